# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The base class of the drivers with a registration for each member."""

from typing import Protocol

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup import process
from nova_servicegroup import reporter

LOG = logging.getLogger(__name__)


class Registration(Protocol):
    """One member of one group, for as long as its service runs."""

    reporter: reporter.Reporter

    @property
    def proved_at(self) -> float | None:
        """See heartbeat.Renewable."""

    def stop(self) -> None:
        """Leave, in bounded time. Raises nothing."""

    def mark(self, mark: str | None) -> None:
        """Show readers a mark, see condition, or none if it is None.

        Returns in bounded time, and tries again with each heartbeat.
        """


class RegisteringDriver(base.Driver):
    """A driver that keeps the registrations of this process."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        self._registrations: process.PerProcess[
            dict[tuple[str, str], Registration]
        ] = process.PerProcess(dict)

    def leave(self, member: str, group: str) -> None:
        """See base.Driver."""
        registration = self._registrations.get().pop((member, group), None)
        if registration is not None:
            registration.stop()

    def mark(
        self, member: str, group: str, condition: condition.Condition | None
    ) -> None:
        """See base.Driver."""
        registration = self._registrations.get().get((member, group))
        if registration is None:
            return
        try:
            mark = _encode(condition)
        except ValueError as error:
            LOG.error('%s of group %s: %s', member, group, error)
        else:
            registration.mark(mark)

    def proof(self, member: str, group: str) -> float | None:
        """See base.Driver."""
        registration = self._registrations.get().get((member, group))
        return None if registration is None else registration.proved_at

    def reporters(self) -> dict[tuple[str, str], reporter.Reporter]:
        """See base.Driver."""
        joined = self._registrations.get().copy()
        return {key: each.reporter for key, each in joined.items()}

    def close(self) -> None:
        """See base.Driver."""
        for member, group in list(self._registrations.get()):
            self.leave(member, group)


def _encode(found: condition.Condition | None) -> str | None:
    """Return the mark of a condition.

    :raises ValueError: it cannot be encoded
    """
    return None if found is None else condition.encode(found)
