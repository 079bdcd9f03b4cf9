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

from collections.abc import Callable, Set
import dataclasses
import errno
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
        self._directory = directory
        self._member = host, group
        self._end = end
        self._expiry = expiry
        self._removes = removes
        self._log = LOG.info if removes else LOG.debug
        self._clock = clock
        self._wall = wall
        self._processes: dict[pathlib.Path, _Process] = {}
        self._refused: set[pathlib.Path] = set()
        self.condition: condition.Condition | None = self._found(
            condition.STOPPED
        )

    def poll(self) -> None:
        """Look at every process once, and end the memberships of the dead.

        :raises OSError: the directory cannot be read
        """
        begun = self._clock()
        complete = self._find()
        died = {
            path: each
            for path, each in self._processes.items()
            if each.died_at is not None or not each.file.lives()
        }
        if complete:
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

    def _find(self) -> bool:
        """Add new processes; return whether these were all."""
        paths, complete = set(process_files.find(self._directory)), True
        self._refused &= paths
        for path in paths - self._processes.keys() - self._refused:
            if len(self._processes) >= _MOST:
                return False
            try:
                seen = process_files.Seen(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                if getattr(error, 'errno', None) in _TOO_MANY:
                    complete = False
                else:
                    self._refuse(path, str(error))
            else:
                self._add(path, seen)
        return complete

    def _add(self, path: pathlib.Path, seen: process_files.Seen) -> None:
        host, group = self._member
        if seen.joined.group != group:
            self._refused.add(path)
            seen.close()
        elif seen.joined.host != host:
            seen.close()
            self._refuse(path, 'it names another host')
        else:
            self._processes[path] = _Process(seen)

    def _refuse(self, path: pathlib.Path, reason: str) -> None:
        self._refused.add(path)
        if not self._removes:
            return
        LOG.warning(
            'The file %s is ignored: %s.',
            escaping.printable(str(path)),
            escaping.printable(reason),
        )

    def _ended(self, path: pathlib.Path, ended: _Process) -> None:
        """Go on after a process has ended."""
        now = self._clock()
        if ended.died_at is None:
            ended.died_at, ended.over = now, ended.file.is_removed()
            state = condition.STOPPED if ended.over else condition.DIED
            self.condition = self._found(state)
            self._log('A process of %s has ended: %s.', self._member[1], state)
        if not ended.over and now >= ended.due:
            ended.due = now + _RETRY
            ended.over = self._is_over(ended, now)
            if ended.over:
                self._remove(path, ended.file)
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

    def _remove(self, path: pathlib.Path, file: process_files.Seen) -> None:
        if not self._removes:
            self._refused.add(path)
            return
        try:
            file.remove()
        except OSError as error:
            self._refuse(path, str(error))

    def _found(self, state: str) -> condition.Condition:
        return condition.Condition(state, self._member[1], self._wall())
