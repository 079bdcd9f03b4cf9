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
from typing import Any

from oslo_config import cfg

from nova_servicegroup.drivers import _mc_reading
from nova_servicegroup.drivers import _memcached
from nova_servicegroup.drivers import _memcached_keys
from nova_servicegroup.drivers import mc
from nova_servicegroup import exceptions
from nova_servicegroup import observer
from nova_servicegroup.tests import base


class KeysTest(base.TestCase):
    keys = _memcached_keys.Keys('nova')

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

    def test_the_host_can_be_read_off_an_id_that_is_not_hashed(self) -> None:
        for host in ('a', 'a:b', 'ü b'):
            self.assertFalse(self.keys.is_hashed('compute', host))
            member_id = self.keys.member('compute', host)
            self.assertEqual(host, self.keys.host('compute', member_id))
        self.assertTrue(self.keys.is_hashed('compute', 'x' * 300))
        self.assertRaises(ValueError, self.keys.host, 'conductor', member_id)

    def test_members_are_spread_over_all_shards(self) -> None:
        shards = {
            self.keys.shard('compute', self.keys.member('compute', f'h{n}'))
            for n in range(2000)
        }
        self.assertEqual(set(self.keys.shards('compute')), shards)
        self.assertEqual(_memcached_keys.SHARDS, len(shards))
        self.assertFalse(shards & set(self.keys.shards('conductor')))


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

    def test_servers_as_the_cache_takes_them(self) -> None:
        self.assertEqual(
            ['[::1]:11212', 'h1:11211'],
            self.settings(
                'memcached_servers = inet6:[::1]:11212,, h1 , h1:11211'
            ).addresses,
        )

    def test_tls_needs_a_certificate(self) -> None:
        error = self.assertRaises(
            exceptions.ConfigurationError,
            self.settings,
            'memcached_servers = h1\n[memcached]\nuse_tls = true',
        )
        self.assertIn('[memcached] cert_file', str(error))

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
            ('memcached_servers = unix:/s', '', 'memcached_servers'),
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
            ['a'],
            [each.host for each in self.driver.view(self.group).members],
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
        self.young = False
        self.listed: list[str] = []
        self.withdrawn: list[bytes] = []
        self.reads: list[int] = []
        self.crowded = False
        self.away = False

    def read(self, ids: Collection[str]) -> _memcached.Answer:
        if self.away:
            raise exceptions.BackendError(self.name, 'away')
        self.reads.append(len(ids))
        found = {
            each: self.tokens[each] for each in ids if each in self.tokens
        }
        return _memcached.Answer(found, self.marker, self.young)

    def renew(self, member_id: str, token: bytes) -> _memcached.Answer:
        answer = self.read([member_id])
        self.tokens[member_id] = token
        return answer

    def withdraw(self, member_id: str, token: bytes, ttl: int) -> None:
        self.withdrawn.append(token)

    def enlist(self, group: str, host: str, origin: Any) -> None:
        if self.crowded:
            raise exceptions.BackendError(self.name, 'no answer yet')
        self.listed.append(host)

    def listing(self, group: str) -> set[str]:
        return set(self.listed)

    def close(self) -> None:
        pass

    def flush(self) -> None:
        self.tokens, self.marker = {}, None

    def mark(self) -> None:
        self.marker, self.young = b'second', True


class GroupReaderTest(base.TestCase):
    """What is read, and what a server's loss of memory does."""

    def setUp(self) -> None:
        super().setUp()
        self.keys = _memcached_keys.Keys('nova')
        self.servers = [Server(), Server()]
        self.servers[1].name = 'another'
        self.reader = self.make()

    def make(self) -> _mc_reading.GroupReader:
        reader = _mc_reading.GroupReader(
            self.make_conf('[servicegroup]\nrefresh_interval = 1\n'),
            self.servers,
            self.keys,
            60,
            observer.Contact(),
            'compute',
        )
        reader._clock = self.clock
        return reader

    def alive(self, *hosts: str) -> None:
        for server in self.servers:
            for host in hosts:
                member_id = self.keys.member('compute', host)
                server.tokens[member_id] = b'token'

    def dead(self, *hosts: str) -> None:
        for server in self.servers:
            for host in hosts:
                server.tokens.pop(self.keys.member('compute', host), None)

    def up(self, *hosts: str, after: float = 0.0) -> list[str]:
        self.clock.advance(after)
        return [host for host in hosts if self.reader.is_up(host)]

    def test_a_host_is_asked_for_when_it_is_first_named(self) -> None:
        self.alive('a', 'b')
        self.assertEqual(['a', 'b'], self.up('a', 'b', 'c'))

    def test_who_is_listed_is_asked_for_with_the_first(self) -> None:
        hosts = [f'host{number}' for number in range(100)]
        self.alive(*hosts)
        for server in self.servers:
            server.listed = hosts
        self.assertEqual(hosts, self.up(*hosts))
        self.assertEqual([[100], [100]], [s.reads for s in self.servers])

    def test_get_all_asks_for_those_that_were_listed_later(self) -> None:
        self.assertEqual((), self.reader.view(False).members)
        self.alive('a')
        self.servers[1].listed = ['a', 'dead']
        self.clock.advance(3)
        self.assertEqual(
            ['a'], [each.host for each in self.reader.view(False).members]
        )

    def test_one_server_is_enough_to_be_up(self) -> None:
        self.alive('a')
        self.servers[0].tokens = {}
        self.assertEqual(['a'], self.up('a'))

    def test_who_is_gone_from_all_servers_is_down(self) -> None:
        self.alive('a', 'b')
        self.up('a', 'b')
        self.dead('b')
        self.assertEqual(['a'], self.up('a', 'b', after=1))

    def test_a_server_that_is_away_may_still_have_it(self) -> None:
        self.alive('a', 'b')
        self.up('a', 'b')
        self.servers[0].away = True
        self.dead('b')
        for _ in range(60):
            self.assertEqual(['a', 'b'], self.up('a', 'b', after=1))
        self.assertEqual(['a'], self.up('a', 'b', after=1))

    def test_flushed_servers_are_no_evidence(self) -> None:
        self.alive('a')
        self.up('a')
        for server in self.servers:
            server.flush()
        self.assertEqual(['a'], self.up('a', after=1))
        for server in self.servers:
            server.mark()
        for _ in range(59):
            self.assertEqual(['a'], self.up('a', after=1))
        self.assertEqual([], self.up('a', after=2))

    def test_nor_are_they_for_a_stranger(self) -> None:
        self.alive('a')
        self.up('a')
        for server in self.servers:
            server.flush()
        self.assertEqual(['stranger'], self.up('stranger'))

    def test_nor_for_an_observer_that_has_just_started(self) -> None:
        for server in self.servers:
            server.mark()
        self.alive('a')
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        for server in self.servers:
            server.young = False
        self.assertEqual(['a'], self.up('a', 'b', after=1))

    def test_a_stranger_is_down_while_all_is_well(self) -> None:
        self.alive('a')
        self.assertEqual(['a'], self.up('a', 'b'))


class AttendanceTest(base.TestCase):
    """The member's side."""

    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        self.service = base.FakeService()
        self.attend('a')

    def attend(self, host: str) -> None:
        settings = mc.Settings(self.make_conf())
        settings.servers = lambda member_id: [self.server]  # type: ignore
        self.attendance = mc._Attendance(settings, host, 'compute')
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
        self.server.mark()
        self.attendance._beat()
        self.attendance._beat()
        self.assertEqual(['a', 'a'], self.server.listed)

    def test_the_last_to_leave_is_gone_at_once(self) -> None:
        self.attendance._beat()
        self.service.stop()
        self.assertEqual([self.attendance._token], self.server.withdrawn)

    def test_what_another_process_renewed_is_left_to_it(self) -> None:
        (member_id,) = self.server.tokens
        self.server.tokens[member_id] = b'another'
        self.attendance._beat()
        self.service.stop()
        self.assertEqual([b''], self.server.withdrawn)
