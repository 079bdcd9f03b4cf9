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

"""Forks processes of hosts that end with their parent."""

from collections.abc import Callable, Sequence
import functools
import os
import signal
import threading
import time
from typing import Protocol

from benchmarks import records as records_


class Child(Protocol):
    """What a process of hosts does."""

    def run(self, begun: int, joined: int) -> None:
        """Join, and stop on SIGTERM.

        :param begun: a pipe whose closing lets hosts join that do so at once
        :param joined: a pipe to which a byte is written when all have joined
        """


class Parent:
    """The parent of the processes of hosts, which end when it does.

    :param first: the number of the first host
    :param child: makes a process of hosts
    """

    def __init__(
        self, first: int, shares: Sequence[int], child: Callable[..., Child]
    ) -> None:
        # Children end when the other end is closed everywhere.
        self._alive, self._mine = os.pipe()
        self._joined, self._theirs = os.pipe()
        self._begun, self._begin = os.pipe()
        self._only_ours = {self._mine, self._begin}
        self._children: list[Callable[[], Child]] = []
        for share in shares:
            hosts = records_.hosts(share, first)
            self._children.append(functools.partial(child, hosts))
            first += share
        self._pids = [self._fork(each) for each in self._children]

    def _fork(self, child: Callable[[], Child]) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            for each in self._only_ours:
                os.close(each)
            threading.Thread(target=self._follow, daemon=True).start()
            child().run(self._begun, self._theirs)
        finally:
            os._exit(1)

    def _follow(self) -> None:
        """End this process when the parent ends."""
        os.read(self._alive, 1)
        os._exit(0)

    def wait(self) -> int:
        """Let those join that do so at once; wait until all have joined."""
        os.close(self._begin)
        self._only_ours.remove(self._begin)
        for _ in self._pids:
            if os.read(self._joined, 1) != b'j':
                raise RuntimeError('a process of hosts has ended')
        return len(self._pids)

    def end(self, how: signal.Signals, number: str) -> float:
        """Send a signal to a process; return the time."""
        os.kill(self._pids[int(number)], how)
        return time.monotonic()

    def revive(self, number: str) -> None:
        """Kill a process if it lives, and fork another one in its place."""
        place = int(number)
        os.kill(self._pids[place], signal.SIGKILL)
        os.waitpid(self._pids[place], 0)
        self._pids[place] = self._fork(self._children[place])
