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

"""The processes of hollow members, from their parent's side."""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import multiprocessing
from multiprocessing import connection
from multiprocessing import process
import time
from typing import Any

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup.simulation import hollow
from nova_servicegroup.simulation import plan

_NOTICES_WITHIN = 2.0


@dataclasses.dataclass
class _Worker:
    """One process of hollow members.

    :ivar pipe: to send commands and receive messages; None once it is closed
    """

    hosts: Sequence[str]
    process: process.BaseProcess
    pipe: 'connection.Connection[Any, Any] | None'


class Workers:
    """The processes of a plan, as a context manager that forks and ends them.

    Enter it before this process has threads or connections. On exit, all
    processes end in bounded time and their members leave. They also do when
    the parent is killed, since they notice the closed pipe.
    """

    def __init__(self, servicegroup: api.API, wanted: plan.Plan) -> None:
        self._api = servicegroup
        self._plan = wanted
        self._workers: list[_Worker] = []

    def __enter__(self) -> 'Workers':
        """Fork the processes.

        :raises SimulationError: the system cannot fork so many
        """
        try:
            for hosts in self._plan.processes:
                self._fork(hosts)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise exceptions.SimulationError(
                    f'No process can be started: {error}'
                ) from error
            raise
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _fork(self, hosts: Sequence[str]) -> None:
        context = multiprocessing.get_context('fork')
        ours, theirs = context.Pipe()
        others = [*self._pipes(), ours]
        child = context.Process(
            target=hollow.main,
            args=(self._api, self._plan.group, hosts, theirs, others),
            daemon=True,
        )
        child.start()
        theirs.close()
        self._workers.append(_Worker(hosts, child, ours))

    def _pipes(self) -> 'list[connection.Connection[Any, Any]]':
        return [each.pipe for each in self._workers if each.pipe is not None]

    def send(self, command: str) -> None:
        """Send a command of hollow's to all living processes.

        :raises SimulationError: a process has ended by itself
        """
        for each in self._workers:
            if each.pipe is not None:
                with _ended(each):
                    each.pipe.send(command)

    def receive(self, wait: float) -> list[Any]:
        """Return the messages that arrive within so many seconds.

        :raises SimulationError: a process has ended by itself
        """
        end = time.monotonic() + wait
        messages: list[Any] = []
        while (left := end - time.monotonic()) > 0:
            messages.extend(self._receive_once(left))
        return messages

    def _receive_once(self, wait: float) -> Iterator[Any]:
        ready = connection.wait(self._pipes(), wait)
        for each in self._workers:
            if each.pipe in ready:
                with _ended(each):
                    yield each.pipe.recv()

    def kill(self) -> float:
        """Kill the doomed processes; return when the kill began."""
        begun = time.monotonic()
        doomed = self._workers[: len(self._plan.doomed)]
        for each in doomed:
            each.process.kill()
        for each in doomed:
            self._release(each)
            each.process.join()
        return begun

    def close(self) -> None:
        """Let all members leave; kill the processes that take too long."""
        for each in self._workers:
            self._release(each)
        end = time.monotonic() + hollow.LEAVES_WITHIN + _NOTICES_WITHIN
        for each in self._workers:
            each.process.join(max(0.0, end - time.monotonic()))
            if each.process.is_alive():
                each.process.kill()
                each.process.join()

    def _release(self, worker: _Worker) -> None:
        if worker.pipe is not None:
            worker.pipe.close()
            worker.pipe = None


@contextlib.contextmanager
def _ended(worker: _Worker) -> Iterator[None]:
    """Raise SimulationError if the pipe of a process is broken."""
    try:
        yield
    except (EOFError, OSError):
        worker.process.join(_NOTICES_WITHIN)
        raise exceptions.SimulationError(
            f'The process {worker.process.pid} with {len(worker.hosts)} '
            'members has ended by itself (exit status '
            f'{worker.process.exitcode}); did the machine run out of memory?'
        ) from None
