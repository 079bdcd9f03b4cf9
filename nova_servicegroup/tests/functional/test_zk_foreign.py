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


"""What others do to the group: foreign nodes, doubles, too many sessions."""

import time
from typing import Any

from kazoo import client

from nova_servicegroup.drivers.zk import internals
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import kazoo_loop
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import fault_contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import zk_faults
from nova_servicegroup.tests.unit import test_decoding

FOREIGN = ('hörst', 'h%zz@token', 'no-token', '@', 'lock-0000000001')


class ForeignTest(zk_faults.Faults, contract.FunctionalTestCase):
    def test_foreign_children_are_ignored_with_one_warning(self) -> None:
        self.running('host1')
        watcher = self.observe('host1')
        fault = time.monotonic()
        session = self.hollow()
        for name in FOREIGN:
            session.create(f'{self.path}/{name}', b'\xff\x00{garbage')
        garbage = f'{self.path}/host2@token'
        session.create(garbage, b'\xff\x00{garbage')
        time.sleep(1)
        self.wait_up('host2')
        self.assertEqual(['host1', 'host2'], self.proven())
        # It is still read: who comes and goes is seen.
        session.delete(garbage)
        self.wait_down('host2', 1)
        self.running('host3').kill()
        self.wait_down('host3', self.dead_within)
        self.assert_never_down(fault)
        (line,) = watcher.warnings('are no members')
        self.assertTrue(any(name in line for name in FOREIGN), line)

    def test_a_late_reader_takes_foreign_children_too(self) -> None:
        session = self.hollow('host1')
        session.create(f'{self.path}/hörst')
        self.assertTrue(self.is_up('host1'))
        self.assertFalse(self.is_up('hörst'))

    def test_garbage_in_a_double_breaks_no_reader(self) -> None:
        session = self.hollow('host1', 'host1')
        session.create(f'{self.path}/host1@token', b'\xff\x00{garbage')
        session.create(f'{self.path}/host1@crash', test_decoding.nested(200))
        for number, each in enumerate(test_decoding.raising()):
            session.create(f'{self.path}/host1@raises{number}', each)
        count = 4 + len(test_decoding.raising())
        watcher = self.observe('host1')
        time.sleep(3 * self.session)
        self.assertEqual('up', watcher.state('host1'))
        found = self.api.view('compute', True)
        self.assertEqual(count, len(found.members[0].incarnations))
        self.assertNotIn('Traceback', watcher.log.read_text())

    def test_garbage_in_its_own_node_does_a_member_no_harm(self) -> None:
        running = self.running('host1')
        session = self.hollow()
        (name,) = session.get_children(self.path)
        for each in (test_decoding.nested(200), b'\xc1'):
            session.set(f'{self.path}/{name}', each)
            time.sleep(1)
            self.assertEqual([name], session.get_children(self.path))
        self.assertNotIn('WARNING nova_service', running.log.read_text())


class ToozTest(zk_faults.Faults, contract.FunctionalTestCase):
    """What zk.internals uses of tooz and kazoo without being promised it."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = kazoo_client.Settings(self.api.driver.conf)

    def test_the_children_can_be_read_off_the_result(self) -> None:
        session = self.hollow()
        session.create(f'{self.path}/hörst', makepath=True)
        coordinator = self.settings.make(b'reader')
        coordinator.start()
        self.addCleanup(coordinator.stop)
        result = coordinator.get_members(b'compute')
        of_tooz = result._result
        self.assertRaises(UnicodeEncodeError, of_tooz.get)
        self.assertEqual(['hörst'], internals.raw_children(of_tooz))
        self.assertEqual({'hörst'.encode()}, result.get())

    def test_a_node_that_was_read_is_watched(self) -> None:
        session = self.hollow('host1')
        (name,) = session.get_children(self.path)
        node = f'{self.path}/{name}'
        coordinator = self.settings.make(b'reader')
        coordinator.start()
        self.addCleanup(coordinator.stop)
        told: list[str] = []

        def read() -> Any:
            found = internals.watched(
                coordinator,
                contract.GROUP.encode(),
                name.encode(),
                lambda event: told.append(event.type),
            )
            faults.wait_until(found.done, 5)
            return found.get()

        def is_told(what: str) -> None:
            faults.wait_until(lambda: told, 20)
            self.assertEqual([what], told)
            told.clear()

        self.assertFalse(internals.is_own(coordinator, read()))
        session.set(node, b'')
        is_told('CHANGED')
        self.assertEqual(session.client_id[0], read().ephemeralOwner)
        self.assertLess(kazoo_loop.silence(coordinator), 1.0)
        # All is forgotten with the connection.
        for each in self.servers.servers:
            each.kill()
            each.start()
        is_told('NONE')
        # A server that has just started may keep a connection that it cannot
        # answer yet, and kazoo waits for the session timeout.
        faults.wait_until(lambda: session.connected, 60)
        faults.wait_until(lambda: coordinator._coord.connected, 60)
        read()
        session.delete(node)
        is_told('DELETED')
        self.assertIsNone(read())
        session.create(node)
        self.assertEqual([], told)

    def test_the_granted_session_timeout_can_be_told(self) -> None:
        self.settings.expiry = 60
        coordinator = self.settings.make(b'reader')
        granted: list[float] = []
        kazoo_loop.on_session(coordinator, granted.append)
        coordinator.start()
        self.addCleanup(coordinator.stop)
        self.assertEqual([20 * self.tick], granted)


class DoubleTest(
    zk_faults.Faults,
    fault_contract.DoubleFaults,
    contract.FunctionalTestCase,
):
    """ZooKeeper tells them apart."""


class CrowdTest(zk_faults.Faults, contract.FunctionalTestCase):
    """More sessions than a server takes from one address."""

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {'max_client_connections': 4}

    def test_too_many_sessions_are_named_and_the_process_goes_on(self) -> None:
        crowd = [client.KazooClient(self.servers.address) for _ in range(4)]
        for each in crowd:
            each.start()
            self.addCleanup(each.close)
            self.addCleanup(each.stop)
        late = self.make_member('host1')
        late.start()
        faults.wait_until(
            lambda: 'maxClientCnxns' in late.log.read_text(),
            contract.START,
            what='the setting is named',
        )
        lines = late.log.read_text().splitlines()
        named = [line for line in lines if 'maxClientCnxns' in line]
        self.assertEqual(1, len(named), named)
        self.assertIn('WARNING', named[0])
        for each in crowd:
            each.stop()
        self.wait_up('host1')


class WarningTest(zk_faults.Faults, contract.FunctionalTestCase):
    """Options that the servers or the timings cannot honour."""

    def test_a_clamped_session_timeout_is_told_once(self) -> None:
        line = self._log_of('session_timeout = 60', 'grant')
        self.assertIn('60', line)
        self.assertIn('10', line)

    def test_too_short_a_service_down_time_is_told_once(self) -> None:
        line = self._log_of('session_timeout = 8', 'service_down_time')
        self.assertIn('8', line)
        self.assertIn('4', line)

    def test_good_options_are_not_talked_about(self) -> None:
        running = self.running('host1')
        time.sleep(1)
        text = running.log.read_text()
        self.assertNotIn('WARNING nova_servicegroup', text)

    def _log_of(self, option: str, part: str) -> str:
        """Return the only warning of a member with part."""
        self.config.write_text(
            self.config.read_text().replace('session_timeout = 2', option)
        )
        running = self.running('host1')
        time.sleep(1)
        lines = [
            line
            for line in running.log.read_text().splitlines()
            if 'WARNING' in line and part in line
        ]
        self.assertEqual(1, len(lines), lines)
        return lines[0]
