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

"""Findings, and the subject that checks examine."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import dataclasses
import enum
import threading
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import escaping
from nova_servicegroup import exceptions

#: The number of hosts that one finding names.
_NAMED = 10


class Level(enum.IntEnum):
    """How bad a finding is; the worst is the exit status of the command."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclasses.dataclass(frozen=True)
class Finding:
    """One result of a check.

    :ivar check: the name of the check; examination.examine sets it
    :ivar what: what was found
    :ivar why: why it matters; empty if all is well
    :ivar advice: what to do; empty if there is nothing to do
    """

    level: Level
    check: str
    what: str
    why: str = ''
    advice: str = ''


def ok(what: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Level.OK, '', what)


def warning(what: str, why: str, advice: str) -> Finding:
    """Return a finding of the level WARNING."""
    return Finding(Level.WARNING, '', what, why, advice)


def error(what: str, why: str, advice: str) -> Finding:
    """Return a finding of the level ERROR."""
    return Finding(Level.ERROR, '', what, why, advice)


#: See Subject.
Databases = Callable[[], Mapping[str, Callable[[], Any]]]


class Subject:
    """The installation that the checks examine. Safe for several threads.

    :ivar nova_error: why Nova could not be imported here, or None
    :ivar hook_problems: returns why Nova does not use our drivers
    :ivar databases: returns the factories of the SQLAlchemy engines of the
        cells' databases, by name. :raises BackendError: the cells cannot be
        read. None if no database is configured
    :ivar towards: the names of drivers to which a migration is planned,
        besides those of also_report_to
    :param make_api: returns an API that asks by the driver of a name.
        :raises ServiceGroupError: see api.API
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        nova_error: str | None,
        make_api: Callable[[str], api.API],
        hook_problems: Callable[[], list[str]] = list,
        databases: Databases | None = None,
        towards: Sequence[str] = (),
    ) -> None:
        self.conf = conf
        self.nova_error = nova_error
        self.hook_problems = hook_problems
        self.databases = databases
        self.towards = towards
        self._make_api = make_api
        self._apis: dict[str, api.API] = {}
        self._lock = threading.Lock()

    @property
    def driver(self) -> str:
        """The name of the configured driver.

        :raises ServiceGroupError: Nova does not accept it
        """
        try:
            return str(self.conf.servicegroup_driver)
        except ValueError as error:
            raise exceptions.ServiceGroupError(str(error)) from None

    @property
    def backend(self) -> str:
        """The backend of the configured driver; see drivers.base.Driver.

        :raises ServiceGroupError: see api
        """
        return self.api(self.driver).driver.backend

    def api(self, driver: str) -> api.API:
        """Return the one API that asks by the driver of a name.

        :raises ServiceGroupError: see api.API
        """
        with self._lock:
            if driver not in self._apis:
                self._apis[driver] = self._make_api(driver)
            return self._apis[driver]

    def close(self) -> None:
        """Close the connections of all APIs."""
        for each in list(self._apis.values()):
            each.close()


#: Examines a subject, in bounded time.
#: :raises ServiceGroupError: what it asks does not answer
Check = Callable[[Subject], Iterable[Finding]]


def names(hosts: Collection[str]) -> str:
    """Return the sorted names of some hosts, or the first of many."""
    return escaping.names(hosts, _NAMED)
