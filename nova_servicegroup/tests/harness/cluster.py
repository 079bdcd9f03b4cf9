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

"""Several servers that elect a leader, whatever they are."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server


class Member(server.Server):
    """A server that can lead others."""

    def is_leader(self) -> bool:
        """Tell whether it says that it leads."""
        raise NotImplementedError


S = TypeVar('S', bound=Member)


class Cluster(Generic[S]):
    """Servers of one kind. Its verbs are the failures of all of them.

    :ivar servers: in the order of their numbers
    """

    def __init__(self, servers: Sequence[S]) -> None:
        self.servers = list(servers)

    @property
    def address(self) -> str:
        """All servers' addresses, separated by commas."""
        return ','.join(one.address for one in self.servers)

    @property
    def running(self) -> bool:
        """Whether any server runs."""
        return any(one.running for one in self.servers)

    def start(self) -> None:
        """Start all servers that do not run, and wait for the quorum."""
        for one in self.servers:
            if not one.running:
                one.launch()
        for one in self.servers:
            one.wait()

    def stop(self) -> None:
        """End all servers in good order."""
        for one in self.servers:
            one.stop()

    def kill(self) -> None:
        """Kill all servers."""
        for one in self.servers:
            one.kill()

    def freeze(self) -> None:
        """Make all servers mute."""
        for one in self.servers:
            one.freeze()

    def thaw(self) -> None:
        """Let frozen servers go on."""
        for one in self.servers:
            one.thaw()

    def recover(self) -> None:
        """Wait until all that were mute serve again.

        :raises TimeoutError: when one does not.
        """
        self.leader()
        for one in self.servers:
            one.wait()

    def wipe(self) -> None:
        """Lose all data; only while stopped."""
        for one in self.servers:
            one.wipe()

    def leader(self) -> S:
        """Return the leader, waiting for one.

        :raises TimeoutError: when none is elected.
        """
        process.wait_until(self._leaders, 30, what='there is no leader')
        return self._leaders()[0]

    def follower(self) -> S:
        """Return one that does not lead; leader says what is raised."""
        leader = self.leader()
        return next(one for one in self.servers if one is not leader)

    def _leaders(self) -> list[S]:
        return [one for one in self.servers if one.is_leader()]
