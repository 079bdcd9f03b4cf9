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


"""Groups of thousands, of hollow members.

3,000 of them, or 10,000 when NOVA_SERVICEGROUP_LONG is set.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent import futures
import contextlib
import pathlib
import re
import socket
import time
from typing import Any
import uuid

from nova_servicegroup import api
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import zookeeper

MEMBERS = 10000 if base.LONG else 3000
BURST = 2000
TICK = 0.5
SESSION_TIMEOUT = 10 if base.LONG else 6
# Another one, so that the server's list of connections tells who is who.
OBSERVER_TIMEOUT = 9
REFRESH_INTERVAL = 1.0
# Longer than a busy server of 10,000 sessions may be mute.
HOLD_TIME = 20 if base.LONG else 6
DOWN_WITHIN = SESSION_TIMEOUT + 1.5 * TICK + REFRESH_INTERVAL
SAMPLE = 0.01
OBSERVERS = 2
START = 60.0

CONFIG = """
[DEFAULT]
servicegroup_driver = zk
service_down_time = {hold_time}
report_interval = 1
[servicegroup]
refresh_interval = {refresh_interval}
[zookeeper]
address = "{address}"
session_timeout = {session_timeout}
namespace = {namespace}
"""


_CONNECTION = re.compile(
    r'^ (?P<connection>\S+)\[.*,to=(?P<timeout>\d+),'
    r'lcxid=0x(?P<number>[0-9a-f]+),',
    re.MULTILINE,
)


def record(host: str) -> dict[str, Any]:
    return {'host': host, 'topic': 'compute', 'forced_down': False}


def names(start: int, stop: int) -> list[str]:
    return [f'host{number:05d}' for number in range(start, stop)]


def ask_all(port: int, request: bytes) -> str:
    """Send a four letter word and return the whole answer."""
    with socket.create_connection(('127.0.0.1', port), 10) as connection:
        connection.sendall(request)
        answer = b''.join(iter(lambda: connection.recv(1 << 20), b''))
    return answer.decode()


class ScaleTest(base.TestCase):
    """One server, hollow members in a process of their own, two observers."""

    root: pathlib.Path
    server: zookeeper.ZooKeeper

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.root = cls.make_root()
        cls.server = zookeeper.ZooKeeper(
            cls.root / 'zookeeper', tick_ms=int(1000 * TICK), heap_mb=512
        )
        cls.addClassCleanup(cls.server.kill)
        cls.server.start()

    def setUp(self) -> None:
        super().setUp()
        namespace = uuid.uuid4().hex[:12]
        conf = CONFIG.format(
            hold_time=HOLD_TIME,
            refresh_interval=REFRESH_INTERVAL,
            address=self.server.address,
            session_timeout=OBSERVER_TIMEOUT,
            namespace=namespace,
        )
        self.hollow = hollow.HollowProcess(
            self.server.address, namespace, 'compute', SESSION_TIMEOUT
        )
        self.addCleanup(self.hollow.close)
        # Those of an earlier test may still be on the server's list.
        self.others = self.operations().keys()
        self.apis = [api.API(self.make_conf(conf)) for _ in range(OBSERVERS)]
        self.executor = futures.ThreadPoolExecutor()
        self.addCleanup(self.executor.shutdown)

    def test_a_pass_costs_no_operation(self) -> None:
        members = self.joined(MEMBERS)
        with self.at_most_one_read_an_interval():
            self.watch(members, self.after(4 * REFRESH_INTERVAL))

    def test_a_burst_of_joins(self) -> None:
        members = self.joined(MEMBERS - BURST)
        late = names(MEMBERS - BURST, MEMBERS)
        with self.at_most_one_read_an_interval():
            joining = self.in_background(lambda: self.hollow.join(late))
            self.watch(members, joining)
            self.watch(members, self.after(1.5 * REFRESH_INTERVAL))
            self.assertEqual(set(), self.down(late))

    def test_a_fifth_expires_at_once(self) -> None:
        members = self.joined(MEMBERS)
        dead, alive = members[: MEMBERS // 5], members[MEMBERS // 5 :]
        self.expire(dead, alive, DOWN_WITHIN)

    def test_two_thirds_expire_at_once(self) -> None:
        members = self.joined(3000)
        dead, alive = members[:BURST], members[BURST:]
        # The last proof of those that are held is their last reading.
        self.expire(dead, alive, DOWN_WITHIN + HOLD_TIME)

    def expire(
        self, dead: Collection[str], alive: Collection[str], within: float
    ) -> None:
        """Kill the dead; they must be down in time, and the others never."""
        with self.at_most_one_read_an_interval():
            killed = self.in_background(lambda: self.hollow.kill(dead))
            self.watch(alive, killed)
            self.watch(alive, self.after(within))
            self.assertEqual(set(dead), self.down(dead))
            self.watch(alive, self.after(REFRESH_INTERVAL))

    def joined(self, count: int) -> list[str]:
        """Return the names of so many members that every observer has seen."""
        members = names(0, count)
        self.hollow.join(members)
        process.wait_until(
            lambda: all(len(self.proven(each)) == count for each in self.apis),
            START,
            what=f'{count} members are seen',
        )
        return members

    def proven(self, observer: api.API) -> list[str]:
        """Return the hosts that are up, and not only presumed to be."""
        # The first question makes the connection, in bounded time.
        if not observer.service_is_up(record('host00000')):
            return []
        members = observer.get_all('compute')
        return [each.host for each in members if each.proof_age is not None]

    def watch(self, hosts: Collection[str], over: Callable[[], bool]) -> None:
        """Fail if any observer sees one of hosts down until it is over."""
        while not over():
            down = self.down_for_anyone(hosts)
            if down:
                self.fail(
                    f'{len(down)} were seen down, for one {min(down)};'
                    f' lost by the harness itself: {len(self.hollow.lost())}'
                )
            time.sleep(SAMPLE)

    def down_for_anyone(self, hosts: Collection[str]) -> set[str]:
        return {
            host
            for host in hosts
            for each in self.apis
            if not each.service_is_up(record(host))
        }

    def down(self, hosts: Collection[str]) -> set[str]:
        """Return the hosts that every observer sees down."""
        return {
            host
            for host in hosts
            if not any(each.service_is_up(record(host)) for each in self.apis)
        }

    def after(self, seconds: float) -> Callable[[], bool]:
        end = time.monotonic() + seconds
        return lambda: time.monotonic() > end

    def in_background(self, verb: Callable[[], None]) -> Callable[[], bool]:
        """Start a verb; return what tells whether it is done."""
        future = self.executor.submit(verb)

        def done() -> bool:
            if future.done():
                future.result()
            return bool(future.done())

        return done

    @contextlib.contextmanager
    def at_most_one_read_an_interval(self) -> Iterator[None]:
        """Fail if an observer asked the server for more than that."""
        before, begun = self.operations(), time.monotonic()
        yield
        passed = time.monotonic() - begun
        counts = [
            count - before[connection]
            for connection, count in self.operations().items()
            if connection not in self.others
        ]
        self.assertEqual(OBSERVERS, len(counts))
        self.assertGreater(min(counts), 0)
        self.assertLessEqual(max(counts), passed / REFRESH_INTERVAL + 1)

    def operations(self) -> dict[str, int]:
        """Return how much each observer has asked, by its connection.

        The number that a client gives each of its requests but pings.
        """
        connections = ask_all(self.server.port, b'cons')
        return {
            found['connection']: int(found['number'], 16)
            for found in _CONNECTION.finditer(connections)
            if int(found['timeout']) == 1000 * OBSERVER_TIMEOUT
        }
