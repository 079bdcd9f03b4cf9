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


"""The records of a group, read no more often than is decent."""

from collections.abc import Callable
import math
import threading
import time

from nova_servicegroup import exceptions
from nova_servicegroup import services

#: To read takes this share of the time, at most.
_SHARE = 0.1

Read = Callable[[str], list[services.ServiceRef]]


class Table:
    """The records of one group, as they were last read.

    :param read: reads them, in bounded time.
        :raises BackendError: they cannot be read
    :param interval: seconds between two reads, at least; the more records
        there are, the more it takes to read them and the longer they are used
    """

    def __init__(
        self,
        read: Callable[[], list[services.ServiceRef]],
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._records: list[services.ServiceRef] = []
        self._read_at: float | None = None
        self._due = -math.inf
        #: Why the last read failed; None: it did not.
        self.error: exceptions.BackendError | None = None

    def read(self) -> list[services.ServiceRef]:
        """Return the records; when they cannot be read, the old ones."""
        with self._lock:
            if self._clock() >= self._due:
                self._read_now()
            return self._records

    def _read_now(self) -> None:
        begun = self._clock()
        try:
            self._records = self._read()
        except exceptions.BackendError as error:
            self.error = error
            self._due = self._clock() + self._interval
        else:
            self.error, self._read_at = None, begun
            taken = self._clock() - begun
            self._due = begun + max(self._interval, taken / _SHARE)

    def age(self) -> float | None:
        """Return the seconds since the records were read; None: never."""
        return None if self._read_at is None else self._clock() - self._read_at


class Tables(dict[str, Table]):
    """The table of each group, made when it is asked for.

    :param read: see Table; takes the group
    """

    def __init__(self, read: Read, interval: float) -> None:
        super().__init__()
        self._read = read
        self._interval = interval

    def __missing__(self, group: str) -> Table:
        made = Table(lambda: self._read(group), self._interval)
        return self.setdefault(group, made)
