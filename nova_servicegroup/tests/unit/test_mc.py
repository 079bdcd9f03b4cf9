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


from collections.abc import Collection

from oslo_config import cfg

from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import mc
from nova_servicegroup import exceptions
from nova_servicegroup import observer
from nova_servicegroup.tests import base


class KeysTest(base.TestCase):
    keys = _memcached.Keys('nova')

    def test_the_id_has_the_group_in_it(self) -> None:
        self.assertEqual('nova:compute:a', self.keys.member('compute', 'a'))
        self.assertNotEqual(
            self.keys.member('compute', 'a'),
            self.keys.member('conductor', 'a'),
        )

    def test_keys_are_what_memcached_takes(self) -> None:
        for host in ('a b', 'ü', 'x' * 300, 'ü' * 300, 'a\r\nb'):
            self.assertRegex(
                self.keys.member('compute', host), r'^[!-~]{1,200}$'
            )

    def test_long_names_stay_apart(self) -> None:
        self.assertNotEqual(
            self.keys.member('compute', 'x' * 300),
            self.keys.member('compute', 'x' * 301),
        )


class SettingsTest(base.TestCase):
    def settings(self, text: str = '', cache: str = '') -> mc.Settings:
        conf = self.make_conf(f'[DEFAULT]\n{text}\n[cache]\n{cache}\n')
        conf.register_opt(
            cfg.ListOpt('memcache_servers', default=['localhost:11211']),
            group='cache',
        )
        return mc.Settings(conf)

    def test_servers_as_in_the_guide(self) -> None:
        self.assertEqual(
            ['h1:11211', 'h2:11212', '[::1]:11211'],
            self.settings('memcached_servers = h1, h2:11212, [::1]').addresses,
        )

    def test_unset_falls_back_to_the_cache(self) -> None:
        for text in ('', 'memcached_servers =', 'memcached_servers = <None>'):
            self.assertEqual(
                ['c1:1'],
                self.settings(text, 'memcache_servers = c1:1').addresses,
            )

    def test_a_default_of_the_cache_is_nobodys_wish(self) -> None:
        self.assertEqual([], self.settings().addresses)

    def test_the_error_names_the_option_at_fault(self) -> None:
        for text, cache, name in (
            ('memcached_servers = h:x', '', '[DEFAULT] memcached_servers'),
            ('', 'memcache_servers = h:x', '[cache] memcache_servers'),
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, text, cache
            )
            self.assertIn(name, str(error))

    def test_the_ttl_is_at_least_three_beats(self) -> None:
        self.assertEqual(60, self.settings().ttl)
        self.assertEqual(
            90,
            self.settings('report_interval = 30').ttl,
        )


class LocalTest(base.TestCase):
    """Without servers, the members of one process see each other."""

    def setUp(self) -> None:
        super().setUp()
        self.driver = mc.MemcachedDriver(self.make_conf())
        self.group = self.getUniqueString()
        self.ref = {
            'host': 'a',
            'topic': self.group,
            'binary': 'nova-compute',
            'updated_at': None,
        }

    def test_join_and_leave(self) -> None:
        service = base.FakeService()
        self.driver.join('a', self.group, service)
        self.assertTrue(self.driver.is_up(self.ref))
        self.assertFalse(self.driver.is_up({**self.ref, 'host': 'b'}))
        self.assertEqual(
            ['a'], [each.host for each in self.driver.get_all(self.group)]
        )
        service.stop()
        self.assertFalse(mc.MemcachedDriver(self.make_conf()).is_up(self.ref))

    def test_close_leaves(self) -> None:
        self.driver.join('a', self.group, base.FakeService())
        self.assertTrue(self.driver.is_up(self.ref))
        self.driver.close()
        self.assertFalse(mc.MemcachedDriver(self.make_conf()).is_up(self.ref))

    def test_one_warning_says_that_it_sees_only_itself(self) -> None:
        self.driver.is_up(self.ref)
        self.driver.is_up(self.ref)
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.assertIn('sees only itself', self.log.output)

    def test_a_service_that_does_not_report_does_not_join(self) -> None:
        self.driver.join('a', self.group, base.FakeService(0))
        self.assertFalse(self.driver.is_up(self.ref))


class Server:
    """A server in memory that can forget."""

    name = 'memcached'

    def __init__(self) -> None:
        self.tokens: dict[str, bytes] = {}
        self.marker: bytes | None = b'first'
        self.listed: list[str] = []
        self.expired: list[int] = []
        self.crowded = False

    def read(self, ids: Collection[str]) -> _memcached.Answer:
        found = {
            each: self.tokens[each] for each in ids if each in self.tokens
        }
        return _memcached.Answer(found, self.marker)

    def renew(self, member_id: str, token: bytes) -> _memcached.Answer:
        answer = self.read([member_id])
        self.tokens[member_id] = token
        return answer

    def expire(self, member_id: str, ttl: int) -> None:
        self.expired.append(ttl)

    def enlist(self, group: str, host: str) -> None:
        if self.crowded:
            raise exceptions.BackendError(self.name, 'no answer yet')
        self.listed.append(host)

    def listing(self, group: str) -> set[str]:
        return set(self.listed)

    def close(self) -> None:
        pass

    def flush(self) -> None:
        self.tokens, self.marker = {}, b'second'


class GroupReaderTest(base.TestCase):
    """What is read, and what a server's loss of memory does."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = mc.Settings(
            self.make_conf('[servicegroup]\nrefresh_interval = 60\n')
        )
        self.server = Server()
        self.reader = mc._GroupReader(
            self.settings, [self.server], observer.Contact(), 'compute'
        )
        self.reader._clock = self.clock

    def alive(self, *hosts: str) -> None:
        for host in hosts:
            member_id = self.settings.keys.member('compute', host)
            self.server.tokens[member_id] = b'token'

    def test_a_host_is_asked_for_when_it_is_first_named(self) -> None:
        self.alive('a', 'b')
        self.assertTrue(self.reader.is_up('a'))
        self.assertTrue(self.reader.is_up('b'))
        self.assertFalse(self.reader.is_up('c'))

    def test_a_flushed_server_is_no_witness(self) -> None:
        self.alive('a')
        self.assertTrue(self.reader.is_up('a'))
        self.server.flush()
        self.clock.advance(60)
        self.assertTrue(self.reader.is_up('a'))
        self.clock.advance(61)
        self.assertFalse(self.reader.is_up('a'))

    def test_nor_when_it_is_asked_for_a_new_host_first(self) -> None:
        self.alive('a')
        self.assertTrue(self.reader.is_up('a'))
        self.server.flush()
        self.assertFalse(self.reader.is_up('new'))
        self.clock.advance(60)
        self.assertTrue(self.reader.is_up('a'))


class AttendanceTest(base.TestCase):
    """The member's side."""

    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        self.service = base.FakeService()
        self.attend('a')

    def attend(self, host: str) -> None:
        settings = mc.Settings(self.make_conf())
        self.attendance = mc._Attendance(settings, host, 'compute')
        self.attendance._servers = [self.server]
        self.attendance.start(self.service)

    def test_a_list_that_is_too_busy_is_no_lost_contact(self) -> None:
        self.server.crowded = True
        self.attend('b')
        self.assertEqual([], self.log_lines('WARNING'))
        self.server.crowded = False
        self.attendance._beat()
        self.attendance._beat()
        self.assertEqual(['a', 'b'], self.server.listed)

    def test_after_a_flush_the_host_is_listed_again(self) -> None:
        self.attendance._beat()
        self.server.flush()
        self.attendance._beat()
        self.assertEqual(['a', 'a'], self.server.listed)

    def test_the_last_to_leave_is_gone_at_once(self) -> None:
        self.attendance._beat()
        self.service.stop()
        self.assertEqual([0], self.server.expired)

    def test_what_another_process_renewed_is_left_to_it(self) -> None:
        (member_id,) = self.server.tokens
        self.server.tokens[member_id] = b'another'
        self.attendance._beat()
        self.service.stop()
        self.assertEqual([20], self.server.expired)
