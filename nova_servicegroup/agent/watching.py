# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Looks at the processes of one group on this host, and ends what died."""

from collections.abc import Callable, Iterator, Set
import dataclasses
import errno
import itertools
import logging as levels
import math
import pathlib
import time

from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup import process_files
from nova_servicegroup import services

LOG = logging.getLogger(__name__)

#: Seconds between two tries to end a membership.
_RETRY = 1.0
#: Processes that are watched at once: the connections need descriptors, too.
_MOST = 200
#: No more files can be opened now: those of the dead are closed soon.
_TOO_MANY = errno.EMFILE, errno.ENFILE


@dataclasses.dataclass
class _Process:
    """A process that has joined.

    :ivar file: the file that it has written
    :ivar alone_at: when no other process had joined that lives, at the latest,
        by the monotonic clock
    :ivar died_at: when it was found dead, by the same; None: it lives
    :ivar due: when to try to end its membership
    :ivar over: whether that has ended
    """

    file: process_files.Seen
    alone_at: float = -math.inf
    died_at: float | None = None
    due: float = -math.inf
    over: bool = False


class _Files:
    """The files of the processes of one group, as they appear.

    :param host: the name of this host
    :param quiet: whether to leave it to another to log what is ignored
    """

    def __init__(
        self, directory: str, host: str, group: str, quiet: bool
    ) -> None:
        self._directory = directory
        self._host = host
        self.group = group
        self.quiet = quiet
        self._ignored: set[pathlib.Path] = set()
        #: Whether the last look has found all files.
        self.complete = False

    def find(
        self, known: Set[pathlib.Path]
    ) -> Iterator[tuple[pathlib.Path, process_files.Seen]]:
        """Yield the files that are not known, _MOST with those at once.

        :raises OSError: the directory cannot be read
        """
        paths = set(process_files.find(self._directory))
        self._ignored &= paths
        new = paths - known - self._ignored
        room = _MOST - len(known)
        self.complete = len(new) <= room
        for path in itertools.islice(new, room):
            seen = self._open(path)
            if seen is not None:
                yield path, seen

    def _open(self, path: pathlib.Path) -> process_files.Seen | None:
        try:
            seen = process_files.Seen(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if getattr(error, 'errno', None) in _TOO_MANY:
                self.complete = False
            else:
                self.ignore(path, str(error))
            return None
        if (seen.joined.host, seen.joined.group) == (self._host, self.group):
            return seen
        seen.close()
        if seen.joined.group == self.group:
            self.ignore(path, 'it names another host')
        else:
            self._ignored.add(path)
        return None

    def ignore(self, path: pathlib.Path, reason: str) -> None:
        """Ignore a file, as long as it is there."""
        self._ignored.add(path)
        if not self.quiet:
            LOG.warning(
                'The file %s is ignored: %s.',
                escaping.printable(str(path)),
                escaping.printable(reason),
            )

    def done(self, path: pathlib.Path, file: process_files.Seen) -> None:
        """Remove the file of a dead process, or leave that to another."""
        if self.quiet:
            self._ignored.add(path)
            return
        try:
            file.remove()
        except OSError as error:
            self.ignore(path, str(error))


class Watch:
    """The processes of one group on this host.

    :param directory: see [servicegroup] process_directory
    :param host: the name of this host
    :param end: ends the membership of a process that has died; raises
        BackendError. See base.Driver.end
    :param expiry: seconds after which a membership ends by itself
    :param removes: whether it removes the files of those that died, and logs;
        else that is left to another watch
    :ivar condition: what to report of the service; None: it runs
    """

    def __init__(
        self,
        directory: str,
        host: str,
        group: str,
        end: Callable[[services.Joined, float], None],
        expiry: float,
        *,
        removes: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._files = _Files(directory, host, group, not removes)
        self._end = end
        self._expiry = expiry
        self._clock = clock
        self._wall = wall
        self._processes: dict[pathlib.Path, _Process] = {}
        self.condition: condition.Condition | None = self._found(
            condition.STOPPED
        )

    def poll(self) -> None:
        """Look at every process once, and end the memberships of the dead.

        :raises OSError: the directory cannot be read
        """
        begun = self._clock()
        for path, seen in self._files.find(set(self._processes)):
            self._processes[path] = _Process(seen)
        died = {
            path: each
            for path, each in self._processes.items()
            if each.died_at is not None or not each.file.lives()
        }
        if self._files.complete:
            self._note_alone(died.keys(), begun)
        for path, each in died.items():
            self._ended(path, each)
        if self._processes.keys() - died.keys():
            self.condition = None

    def _note_alone(self, died: Set[pathlib.Path], now: float) -> None:
        """Note which processes are without another that lives.

        Each writes its file before it reports.

        :param now: from before the files were looked for
        """
        alive = self._processes.keys() - died
        for path, each in self._processes.items():
            if not alive - {path}:
                each.alone_at = now

    def _ended(self, path: pathlib.Path, ended: _Process) -> None:
        """Go on after a process has ended."""
        now = self._clock()
        if ended.died_at is None:
            ended.died_at, ended.over = now, ended.file.is_removed()
            state = condition.STOPPED if ended.over else condition.DIED
            self.condition = self._found(state)
            self._log(f'A process of {self._files.group} has ended: {state}.')
        if not ended.over and now >= ended.due:
            ended.due = now + _RETRY
            ended.over = self._is_over(ended, now)
            if ended.over:
                self._files.done(path, ended.file)
        if ended.over:
            ended.file.close()
            del self._processes[path]

    def _is_over(self, ended: _Process, now: float) -> bool:
        """Return whether a membership is over, of a process that has died."""
        try:
            self._end(ended.file.joined, now - ended.alone_at)
        except exceptions.BackendError as error:
            LOG.debug('The membership cannot be ended: %s', error)
            # Most likely, it has ended by itself.
            return now - (ended.died_at or now) > 2 * self._expiry
        except Exception:
            LOG.exception('Unexpected error while ending a membership')
            return True
        self._log('The membership of a dead process is ended.')
        return True

    def _log(self, line: str) -> None:
        """Log what happens, once for all watches of the group."""
        LOG.log(levels.DEBUG if self._files.quiet else levels.INFO, '%s', line)

    def _found(self, state: str) -> condition.Condition:
        return condition.Condition(state, self._files.group, self._wall())
