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


"""What others do to a server: they fill it, or write over keys of ours."""

from collections.abc import Iterable
import random
import socket
import threading
import time
from typing import Any

from tooz.drivers import memcached as tooz_memcached

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import mc_faults
from nova_servicegroup.tests.unit import test_decoding

HOSTS = ['host1', 'host2', 'host3']
#: Values and flags that are none of ours: tooz's flags are 1 for bytes and 2
#: for msgpack.
READABLE = (
    (b'\xff\x00{garbage', 1),
    (b'\x93\x01\x02\x03', 2),
    (b'\x81\xa1a\x01', 2),
    (b'\x81\xa1a\x81\xaccapabilities\x93\x01\x02\x03', 2),
)
UNREADABLE = (
    (b'\xc1{garbage', 2),
    (b'{garbage', 0),
    (test_decoding.nested(200), 2),
    *((each, 2) for each in test_decoding.raising()),
)


class Pressure:
    """Writes to a server, as a context manager, what fills its memory.

    Most are as large as a member, for which memcached keeps pages apart.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._batches = [_batch(number) for number in range(40)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _write(self) -> None:
        with socket.create_connection(('127.0.0.1', self._port)) as server:
            while not self._ended.wait(0.02):
                server.sendall(random.choice(self._batches))


def _batch(number: int) -> bytes:
    """Return the commands that write a thousand values of all sizes."""
    sizes = [random.randint(25, 45) for _ in range(800)]
    sizes += [random.randint(64, 200) for _ in range(200)]
    sizes += [random.randint(10_000, 100_000) for _ in range(3)]
    return b''.join(
        b'set foreign-%d-%d 0 0 %d noreply\r\n%s\r\n'
        % (number, place, size, b'x' * size)
        for place, size in enumerate(sizes)
    )


class MemoryTest(mc_faults.Faults, contract.FunctionalTestCase):
    """A server whose memory others use up."""

    hold = 10

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        # What is read often would be kept for long otherwise.
        return {'memory_mb': 2, 'options': ['-o', 'no_modern']}

    def test_evicted_members_stay_up_with_one_warning(self) -> None:
        self.members_of(*HOSTS)
        self.observe(*HOSTS)
        self.settle()
        fault = time.monotonic()
        with Pressure(self.server.port):
            self._evict()
        self._all_come_back(fault)

    def test_an_observer_that_starts_under_pressure_warns_once(self) -> None:
        self.members_of(*HOSTS)
        with Pressure(self.server.port):
            time.sleep(self.report_interval)
            self.make_observer(*HOSTS).start()
            self._evict()
        self._all_come_back(0.0)

    def _evict(self) -> None:
        """Wait, and check that members were missing meanwhile."""
        pulse = self.pulse(self.server, *HOSTS)
        time.sleep((10 if base.LONG else 2) * self.expiry)
        pulse.stop()
        self.measured('members found missing', pulse.missing, unit='times')
        self.assertGreater(self.server.stat('evictions'), 0)
        self.assertGreater(pulse.missing, 0)

    def _all_come_back(self, fault: float) -> None:
        """Check that nobody was down, and that the log says why once."""
        ended = time.monotonic()
        time.sleep(self.back_within)
        self.wait_all_up(ended, self.back_within)
        self.assert_never_down(fault)
        warnings = self.observers[0].warnings('evict')
        self.assertEqual(1, len(warnings), warnings)
        self.assertIn(self.server.address, warnings[0])

    def test_a_death_under_pressure_is_seen(self) -> None:
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        fault = time.monotonic()
        with Pressure(self.server.port):
            time.sleep(self.expiry)
            killed = self.kill(members[0])
            down = watcher.wait('down', self.hold + 20, HOSTS[0]) - killed
        self.measured('kill to down', down)
        self.assert_within(down, self.hold + self.dead_within)
        self.assert_never_down(fault, *HOSTS[1:])


class GarbageTest(mc_faults.Faults, contract.FunctionalTestCase):
    """Foreign values under the keys of ours, which stay there."""

    hold = 4

    def test_garbage_in_the_lists_does_no_harm(self) -> None:
        prefix = tooz_memcached.MemcachedDriver.GROUP_PREFIX
        shards = self.keys.shards(contract.GROUP)
        self._foul([prefix + each for each in shards], READABLE + UNREADABLE)

    def test_garbage_in_an_origin_does_no_harm(self) -> None:
        keys = [
            self.keys.origin(self.keys.member(contract.GROUP, host)).encode()
            for host in HOSTS
        ]
        self.members_of(*HOSTS)
        self.wait_up(HOSTS[0])
        for each in READABLE + UNREADABLE:
            self._write(keys, *each)
            found = self.api.view(contract.GROUP, True)
            self.assertIsNone(found.error)
            self.assertLessEqual(
                {None}, {one.incarnations[0].machine for one in found.members}
            )

    @base.only_long
    def test_garbage_under_the_marker_does_no_harm(self) -> None:
        self._foul([self.keys.marker.encode()], READABLE + UNREADABLE)

    def test_garbage_under_a_member_does_no_harm(self) -> None:
        self._foul([self.key(HOSTS[1])], READABLE)

    def test_a_member_writes_over_what_cannot_be_read(self) -> None:
        self.members_of(*HOSTS)
        self.observe(*HOSTS)
        for each in UNREADABLE[:3]:
            fault = time.monotonic()
            self._write([self.key(HOSTS[1])], *each)
            time.sleep(self.back_within)
            self.wait_all_up(fault, self.back_within)

    def _foul(
        self, keys: list[bytes], values: tuple[tuple[bytes, int], ...]
    ) -> None:
        """Write garbage, and leave the last there; nobody may notice."""
        members = self.members_of(*HOSTS)
        watcher = self.observe(*HOSTS)
        fault = time.monotonic()
        for each in values:
            self._write(keys, *each)
            time.sleep(self.report_interval)
        time.sleep(self.hold + 1)
        self.make_member('host4').start()
        faults.wait_until(lambda: self.is_up('host4'), 10, what='it joins')
        self.wait_up('host4')
        killed = self.kill(members[0])
        down = watcher.wait('down', contract.START, HOSTS[0]) - killed
        self.assert_within(down, self.dead_within)
        self.assert_never_down(fault, *HOSTS[1:])
        for each in (watcher, *self.members):
            self.assertNotIn('Traceback', each.log.read_text())

    def _write(self, keys: Iterable[bytes], value: bytes, flags: int) -> None:
        client = self.server.client()
        for key in keys:
            client.set(key, value, noreply=False, flags=flags)
