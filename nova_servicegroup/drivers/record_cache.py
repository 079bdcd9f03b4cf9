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

"""Reads Nova's services table in bounded time."""

from typing import Protocol

from nova_servicegroup import background
from nova_servicegroup import process
from nova_servicegroup import services

#: Seconds for which records are used that were read after all callers had
#: given up.
_MAX_AGE = 60.0

_Reads = dict[str, background.OneAtATime[list[services.ServiceRef]]]


class HasTable(Protocol):
    """What has access to the services table, such as a driver."""

    table: services.Table


class Records:
    """Reads the services table in the background, one group at a time.

    :param owner: its table is read, which may be replaced
    """

    def __init__(self, owner: HasTable) -> None:
        self._owner = owner
        self._reads: process.PerProcess[_Reads] = process.PerProcess(dict)

    def read(self, group: str, wait: float) -> list[services.ServiceRef]:
        """Return the records of a group.

        :param wait: seconds to wait for them, also if another thread reads
        :raises BackendError: they cannot be read, or not in time
        """
        reads = self._reads.get()
        one = reads.get(group)
        if one is None:
            made = background.OneAtATime(
                services.TABLE,
                lambda: self._owner.table.records(group),
                _MAX_AGE,
            )
            one = reads.setdefault(group, made)
        return list(one.ask(wait))
