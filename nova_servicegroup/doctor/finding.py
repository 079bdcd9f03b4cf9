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


"""What a check finds, and what it may ask."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import dataclasses
import enum
import threading
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import escaping
from nova_servicegroup import exceptions

#: A server that takes as long to answer (seconds) is slow.
SLOW = 0.5

#: Why it matters that no server answers.
NOBODY = (
    'Nobody can report or see who is alive: everybody is held up until '
    'hold_time is over, and down then.'
)
#: Why it matters that servers do not belong together.
APART = (
    'Members that join by one of them are not seen by the others: live hosts '
    'are down for some.'
)

#: So many hosts are named in one finding.
_NAMED = 10


class Level(enum.IntEnum):
    """How bad it is; also the exit status of the command."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that a check has found.

    :ivar check: the name of the check
    :ivar what: what was found
    :ivar why: why it matters; empty where all is well
    :ivar advice: what to do; empty where there is nothing to do
    """

    level: Level
    check: str
    what: str
    why: str = ''
    advice: str = ''


#: See Subject.
Databases = Callable[[], Mapping[str, Callable[[], Any]]]


class Subject:
    """What the checks look at. Several threads may ask it at once.

    :ivar nova_error: why Nova could not be imported here; None: it could
    :ivar hook_problems: tells why Nova does not use our drivers
    :ivar databases: returns what makes the SQLAlchemy engine of the database
        of each cell, by name. :raises BackendError: the cells cannot be read.
        None: no database is configured
    :ivar towards: the names of drivers to which a migration is planned,
        besides those of also_report_to
    :param make_api: makes an API that asks by the driver of a name.
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
        """The name of the driver that is configured.

        :raises ServiceGroupError: Nova does not accept it
        """
        try:
            return str(self.conf.servicegroup_driver)
        except ValueError as error:
            raise exceptions.ServiceGroupError(str(error)) from None

    @property
    def backend(self) -> str:
        """What the driver reports to; see drivers.base.Driver.

        :raises ServiceGroupError: see api
        """
        return self.api(self.driver).driver.backend

    def api(self, driver: str) -> api.API:
        """Return an API that asks by the driver of a name, made once.

        :raises ServiceGroupError: see api.API
        """
        with self._lock:
            if driver not in self._apis:
                self._apis[driver] = self._make_api(driver)
            return self._apis[driver]

    def close(self) -> None:
        """End the connections."""
        for each in list(self._apis.values()):
            each.close()


#: Looks at a subject, in bounded time.
#: :raises ServiceGroupError: what was looked at does not answer
Check = Callable[[Subject], Iterable[Finding]]


def names(hosts: Collection[str]) -> str:
    """Return the names of some hosts, or of the first of many."""
    return escaping.names(hosts, _NAMED)


def period(seconds: int) -> str:
    """Return a time in a unit that suits it."""
    for name, size in (('days', 86400), ('hours', 3600), ('minutes', 60)):
        if seconds >= 2 * size:
            return f'{seconds // size} {name}'
    return f'{seconds} s'


def counted(modes: Sequence[str]) -> str:
    """Say how many servers have each mode, the leader first."""
    return ', '.join(
        f'{modes.count(mode)} {mode}{"s" if modes.count(mode) > 1 else ""}'
        for mode in sorted(
            set(modes), key=lambda each: (each != 'leader', each)
        )
    )
