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

"""The doctor on real redis servers and Sentinels, well and ill."""

import time

from nova_servicegroup.doctor import finding
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import redis_faults
from nova_servicegroup.tests.functional import test_doctor
from nova_servicegroup.tests.functional import test_redis_security
from nova_servicegroup.tests.functional import test_redis_sentinel
from nova_servicegroup.tests import harness
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import redis

OK, WARNING, ERROR = finding.Level


class Doctor(test_doctor.Doctor):
    def settle(self, warnings: int = 0) -> None:
        """Wait until Sentinels know that all is well, but for some of it.

        They take some seconds to do so after a server was started.
        """
        process.wait_until(
            lambda: (
                warnings == sum(each.level for each in self.examine('redis'))
            ),
            40,
        )

    def change(self, server: redis.Redis, name: str, *values: str) -> None:
        """Give a setting of a server another value, until the test ends."""
        new, old = values
        self.addCleanup(server.command, 'CONFIG', 'SET', name, old)  # type: ignore[attr-defined]
        self.assertEqual('+OK\r\n', server.command('CONFIG', 'SET', name, new))  # type: ignore[attr-defined]


class WatchedTest(
    test_redis_sentinel.Watched, Doctor, contract.FunctionalTestCase
):
    """A server with a replica, and three Sentinels."""

    # Nobody renews members here.
    ttl = 20

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.restore_backend)
        self.settle()

    def test_healthy(self) -> None:
        self.assert_healthy(
            'Sentinel, names ',
            'master, ',
            'replica, ',
            'A member could join.',
            'Sentinels call the server nova.',
        )

    def test_it_leaves_nothing_behind(self) -> None:
        self.run_command()
        self.assertEqual(
            '*0\r\n',
            self.servers.master().command('KEYS', f'{self.unique}*'),
        )

    def test_a_killed_sentinel(self) -> None:
        killed = self.servers.sentinels[0]
        killed.kill()
        self.join('host1')
        status, shown = self.run_command()
        self.assertEqual(1, status, shown)
        for part in (
            f'WARNING  The Sentinel {killed.address} does not name',
            'refused',
            '2 of 3 Sentinels name it',
            '1 warning\n',
        ):
            self.assertIn(part, ' '.join(shown.split('\n           ')))

    def test_two_frozen_sentinels(self) -> None:
        for each in self.servers.sentinels[:2]:
            each.freeze()
        found = self.examine('redis')
        self.assert_found(found, ERROR, '1 of 3 Sentinels name it')

    def test_a_killed_replica(self) -> None:
        killed = self.servers.replica()
        killed.kill()
        found = self.examine('redis')
        self.assert_found(found, WARNING, killed.address, 'does not answer')
        self.assert_found(found, WARNING, 'no replica that is well')

    def test_a_frozen_master(self) -> None:
        self.servers.replica().kill()
        frozen = self.servers.master()
        frozen.freeze()
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'could not join by the master of nova')

    def test_everything_is_frozen(self) -> None:
        for each in (*self.servers.servers, *self.servers.sentinels):
            each.freeze()
        found = self.examine()
        self.assert_found(found, ERROR, 'does not name the master: Timeout')
        self.assert_found(
            found, ERROR, 'compute, conductor, scheduler cannot be read'
        )

    def test_a_server_that_may_evict_members(self) -> None:
        replica = self.servers.replica()
        self.change(replica, 'maxmemory', '100mb', '0')
        self.change(replica, 'maxmemory-policy', 'allkeys-lru', 'noeviction')
        found = self.examine('redis')
        self.assert_found(
            found,
            WARNING,
            replica.address,
            'maxmemory-policy is allkeys-lru',
            'Set maxmemory-policy to noeviction',
        )

    def test_a_master_that_is_full(self) -> None:
        self.change(self.servers.master(), 'maxmemory', '1', '0')
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'could not join', "'maxmemory'")

    def test_too_few_replicas(self) -> None:
        master = self.servers.master()
        self.change(master, 'min-replicas-to-write', '2', '0')
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'NOREPLICAS', 'min-replicas-to-write')

    def test_another_name(self) -> None:
        self.configure('sentinel_name = nova', 'sentinel_name = other')
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'No such master', 'it calls other')

    def test_a_failover(self) -> None:
        before = self.servers.master()
        self.servers.sentinels[0].command(
            'SENTINEL', 'FAILOVER', self.servers.NAME
        )
        time.sleep(2)
        self.assertIsNot(before, self.servers.master())
        found = self.examine('redis')
        self.assert_found(found, OK, f'names {self.servers.master().address}')


class OneTest(redis_faults.Faults, Doctor, contract.FunctionalTestCase):
    ttl = 20

    def test_healthy(self) -> None:
        self.assert_healthy('A member could join.', 'No Sentinel watches')

    def test_a_frozen_server(self) -> None:
        self.addCleanup(self.restore_backend)
        self.server.freeze()
        found = self.examine()
        self.assert_found(found, ERROR, 'does not answer: Timeout')
        self.assert_found(
            found, ERROR, 'compute, conductor, scheduler cannot be read'
        )

    def test_a_wrong_address(self) -> None:
        wrong = f'127.0.0.1:{harness.free_port()}'
        self.configure(self.server.address, wrong)
        found = self.examine()
        self.assert_found(
            found, ERROR, wrong, 'refused', 'No service can report'
        )

    def test_a_replica(self) -> None:
        replica = redis.Redis(
            self.root / 'replica',
            settings={'replicaof': f'127.0.0.1 {self.server.port}'},
        )
        self.addCleanup(replica.kill)
        replica.start()
        self.configure(self.server.address, replica.address)
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'read only replica', 'Name its master')

    def test_a_server_that_has_evicted(self) -> None:
        small = redis.Redis(
            self.root / 'small',
            settings={'maxmemory': '4mb', 'maxmemory-policy': 'allkeys-lru'},
        )
        self.addCleanup(small.kill)
        small.start()
        small.command('EVAL', _FILL, '0')
        self.configure(self.server.address, small.address)
        self.assert_found(self.examine('redis'), WARNING, 'has evicted ')


_FILL = (
    '"for i=1,3000 do '
    "redis.call('set', 'x' .. i, string.rep('x', 2000)) end\""
)


class PasswordTest(
    test_redis_security.Password, Doctor, contract.FunctionalTestCase
):
    """A user with no more rights than the driver needs."""

    def test_healthy(self) -> None:
        found = self.examine('redis')
        self.assertEqual({OK}, {each.level for each in found}, found)
        self.assert_found(found, OK, 'as user nova, without TLS')

    def test_a_wrong_password(self) -> None:
        self.configure(test_redis_security.PASSWORD, 'other-secret')
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'invalid username-password pair')
        _, shown = self.run_command('--json')
        self.assertNotIn('other-secret', shown)

    def test_too_few_rights(self) -> None:
        self.configure('username = nova', 'username = few')
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'permissions', 'Give the user')


class TlsTest(test_redis_security.Tls, Doctor, contract.FunctionalTestCase):
    """A server that wants a certificate of its clients."""

    def test_healthy(self) -> None:
        found = self.examine('redis')
        self.assertEqual({OK}, {each.level for each in found}, found)
        self.assert_found(found, OK, 'with TLS')

    def test_another_authority(self) -> None:
        self.configure(str(self.pki.ca), str(self.other.ca))
        found = self.examine('redis')
        self.assert_found(found, ERROR, 'certificate verify', 'ca_file has')


class UrlTest(
    test_redis_security.SentinelPassword, Doctor, contract.FunctionalTestCase
):
    """As kolla-ansible has it: passwords for both, in the URL."""

    def test_all_but_the_number_of_sentinels_is_well(self) -> None:
        self.settle(warnings=1)
        found = self.examine('redis')
        self.assert_found(found, WARNING, 'There is 1 Sentinel.')
        _, shown = self.run_command('--json')
        self.assertNotIn('hush', shown)
