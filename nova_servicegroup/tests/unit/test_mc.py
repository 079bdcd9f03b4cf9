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
import os
import threading
import types
from typing import Any

import msgpack
import testtools

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import driver
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import reading
from nova_servicegroup.drivers.mc import registration
from nova_servicegroup.drivers.mc import renewals
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup.drivers.mc import tooz_server
from nova_servicegroup import exceptions
from nova_servicegroup import pace
from nova_servicegroup.tests import base


class KeysTest(base.TestCase):
    keys = keyspace.Keys('nova')

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

    def test_groups_and_hosts_with_colons_stay_apart(self) -> None:
        self.assertNotEqual(
            self.keys.member('a', 'b:c'), self.keys.member('a:b', 'c')
        )
        self.assertFalse(
            set(self.keys.shards('a')) & set(self.keys.shards('a:1'))
        )

    def test_a_host_is_the_same_with_and_without_capitals(self) -> None:
        self.assertEqual(
            self.keys.member('compute', 'CTL1'),
            self.keys.member('compute', 'ctl1'),
        )

    def test_the_host_can_be_read_off_an_id_that_does_not_hide_it(
        self,
    ) -> None:
        for host in ('a', 'a:b', 'ü b'):
            self.assertFalse(self.keys.is_hidden('compute', host))
            member_id = self.keys.member('compute', host)
            self.assertEqual(host, self.keys.host('compute', member_id))
        for host in ('x' * 300, 'CTL1'):
            self.assertTrue(self.keys.is_hidden('compute', host))
        self.assertRaises(ValueError, self.keys.host, 'conductor', member_id)

    def test_members_are_spread_over_all_shards(self) -> None:
        shards = {
            self.keys.shard('compute', self.keys.member('compute', f'h{n}'))
            for n in range(2000)
        }
        self.assertEqual(set(self.keys.shards('compute')), shards)
        self.assertEqual(keyspace.SHARDS, len(shards))
        self.assertFalse(shards & set(self.keys.shards('conductor')))


class SettingsTest(base.TestCase):
    def settings(
        self, text: str = '', cache: str = ''
    ) -> configuration.Settings:
        conf = self.make_conf(f'[DEFAULT]\n{text}\n[cache]\n{cache}\n')
        return configuration.Settings(conf)

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

    def test_a_default_of_the_cache_is_not_used(self) -> None:
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
        self.driver = self.make()
        self.group = self.getUniqueString()
        self.ref = {
            'host': 'a',
            'topic': self.group,
            'binary': 'nova-compute',
            'updated_at': None,
        }

    def make(self) -> driver.MemcachedDriver:
        made = driver.MemcachedDriver(self.make_conf())
        self.addCleanup(made.close)
        return made

    def test_join_and_leave(self) -> None:
        service = base.FakeService()
        self.driver.join('a', self.group, service)
        self.driver.expect(self.group, ['b'])
        self.assertTrue(self.driver.is_up(self.ref))
        self.assertFalse(self.driver.is_up({**self.ref, 'host': 'b'}))
        self.assertEqual(
            ['a'],
            [each.host for each in self.driver.view(self.group).members],
        )
        service.stop()
        self.assertFalse(self.make().is_up(self.ref))

    def test_an_unfit_member_is_marked_at_once(self) -> None:
        service = base.FakeService()
        self.driver.join('a', self.group, service)
        draining = condition.Condition(condition.DRAINING, 'stopping', 5.0)
        for each in (draining, None):
            self.driver.mark('a', self.group, each)
            (member,) = self.make().view(self.group).members
            self.assertTrue(member.up)
            self.assertEqual(each, member.condition)
            self.assertEqual(1, len(member.incarnations))
        self.driver.mark('a', self.group, draining)
        service.stop()
        self.assertFalse(self.make().is_up(self.ref))

    def test_a_mark_that_cannot_be_encoded_is_an_error_in_the_log(
        self,
    ) -> None:
        self.driver.join('a', self.group, base.FakeService())
        odd = condition.Condition(condition.DEGRADED, 'R P C', 5.0)
        self.driver.mark('a', self.group, odd)
        self.driver.mark('b', self.group, odd)
        self.assertEqual(1, len(self.log_lines('ERROR')))

    def test_close_leaves(self) -> None:
        self.driver.join('a', self.group, base.FakeService())
        self.assertTrue(self.driver.is_up(self.ref))
        self.driver.close()
        self.assertFalse(self.make().is_up(self.ref))

    def test_one_warning_says_that_it_sees_only_itself(self) -> None:
        self.driver.is_up(self.ref)
        self.driver.is_up(self.ref)
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.assertIn('sees only itself', self.log.output)

    def test_a_service_that_does_not_report_does_not_join(self) -> None:
        self.driver.join('a', self.group, base.FakeService(0))
        self.assertFalse(self.driver.is_up(self.ref))

    def test_a_member_that_is_not_renewed_is_gone(self) -> None:
        one = storage.LocalServer(60, clock=self.clock)
        another = storage.LocalServer(60, clock=self.clock)
        one.renew(self.group, b'token')
        for seconds, found in ((59.9, {self.group: b'token'}), (0.1, {})):
            self.clock.advance(seconds)
            self.assertEqual(found, another.read([self.group]).values)

    def test_a_forked_child_has_a_memory_of_its_own(self) -> None:
        self.driver.join('a', self.group, base.FakeService())
        child = os.fork()
        if not child:
            server = storage.LocalServer(60)
            os._exit(len(server.hosts(self.group)))
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_no_host_makes_it_raise(self) -> None:
        for host in (None, '', '\udcff', 5, 'x' * 5000):
            made = api.API(self.make_conf(), self.make())
            found = made.service_is_up({**self.ref, 'host': host})
            self.assertIs(False, found, ascii(host))
        for record in ({}, {'host': 'a'}, {'topic': self.group}):
            self.assertIs(False, made.service_is_up(record), record)


class ListTest(base.TestCase):
    """Foreign entries in the list of a group."""

    def hosts(self, members: Any) -> list[str]:
        keys = keyspace.Keys('nova')
        server = tooz_server.ToozServer(
            'h1:1', self.make_conf(), keys, 'x', 60
        )
        key = coordinators.memcached.MemcachedDriver.GROUP_PREFIX + b'0'
        found = coordinators.deserialize(key, msgpack.packb(members), 2)
        return list(server._hosts('compute', found))

    def test_hosts_are_read_from_ids_or_capabilities(self) -> None:
        members = {
            b'nova:compute:a': {b'capabilities': None},
            b'nova:compute:ctl1': {b'capabilities': {'host': 'CTL1'}},
        }
        self.assertEqual(['a', 'CTL1'], self.hosts(members))

    def test_what_is_foreign_is_ignored_and_nothing_else(self) -> None:
        none = {b'capabilities': None}
        members = {
            b'nova:compute:x': {b'capabilities': {'host': 5}},
            b'nova:compute:y': {b'capabilities': {'name': 'y'}},
            b'nova:compute:z': {b'capabilities': 5},
            b'nova:compute:%zz': none,
            b'nova:conductor:z': none,
            b'\xff': none,
            b'z': None,
            b'nova:compute:l': {b'capabilities': {'host': 'x' * 1001}},
            b'nova:compute:e': {b'capabilities': {'host': ''}},
            b'nova:compute:' + 300 * b'l': none,
            'nova:compute:text': none,
            b'nova:compute:a': none,
        }
        self.assertEqual(['a'], self.hosts(members))
        for members in (None, 5, b'x', [b'x'], {5: none}):
            self.assertEqual([], self.hosts(members))


class Server:
    """A server in memory that can forget."""

    def __init__(self, name: str = 'memcached') -> None:
        self.name = name
        self.values: dict[str, bytes] = {}
        self.marker: bytes | None = b'first'
        self.young = False
        self.lossy = False
        self.evictions = 0
        self.ended: set[bytes] = set()
        self.listed: list[str] = []
        self.left: list[bytes] = []
        self.reads: list[int] = []
        self.during = lambda: None
        self.list_busy = False
        self.away = False
        self.touches = False
        self.touched: list[threading.Thread] = []

    def read(self, ids: Collection[str]) -> storage.ServerState:
        if self.away:
            raise exceptions.BackendError(self.name, 'away')
        self.reads.append(len(ids))
        self.during()
        found = {
            each: self.values[each] for each in ids if each in self.values
        }
        return storage.ServerState(
            found,
            self.marker,
            self.young,
            self.lossy,
            self.evictions,
            self.ended,
        )

    def renew(self, member_id: str, value: bytes) -> storage.ServerState:
        answer = self.read([member_id])
        self.values[member_id] = value
        return answer

    def touch(
        self, member_id: str, value: bytes
    ) -> storage.ServerState | None:
        self.touched.append(threading.current_thread())
        if not self.touches or self.values.get(member_id) != value:
            return None
        return self.read([member_id])

    def leave(self, member_id: str, token: bytes, ttl: int) -> None:
        self.left.append(token)

    def add_to_list(self, group: str, host: str, origin: Any) -> None:
        if self.list_busy:
            raise exceptions.BackendError(self.name, 'no answer yet')
        self.listed.append(host)

    def origins(self, ids: Collection[str]) -> dict[str, Any]:
        return {each: {'machine': f'at {each}'} for each in ids}

    def hosts(self, group: str) -> set[str]:
        if self.list_busy or self.away:
            raise exceptions.BackendError(self.name, 'no answer yet')
        return set(self.listed)

    def close(self) -> None:
        pass

    def flush(self) -> None:
        self.values, self.marker = {}, None

    def mark(self) -> None:
        self.marker, self.young = b'second', True


class ReaderTest(base.TestCase):
    """A reader of one group on two servers.

    The hold time is a minute, and members renew themselves every 10 s.
    """

    def setUp(self) -> None:
        super().setUp()
        self.keys = keyspace.Keys('nova')
        self.servers = [Server(), Server('another')]
        self.read_when_asked()
        self.reader = self.make()

    def make(self) -> reading.GroupReader:
        conf = self.make_conf('[servicegroup]\nrefresh_interval = 1\n')
        backend = types.SimpleNamespace(
            settings=types.SimpleNamespace(conf=conf, keys=self.keys, ttl=60),
            servers=self.servers,
            patience=pace.Patience(2.0),
            silent=set(),
        )
        return reading.GroupReader(
            backend,
            'compute',
            clock=self.clock,
        )

    def alive(self, *hosts: str, on: Collection[int] = (0, 1)) -> None:
        """Let hosts be on servers, and on their lists."""
        for server in (self.servers[number] for number in on):
            for host in hosts:
                member_id = self.keys.member('compute', host)
                server.values[member_id] = b'token'
                if host not in server.listed:
                    server.listed.append(host)

    def unlist(self) -> None:
        for server in self.servers:
            server.listed = []

    def dead(self, *hosts: str) -> None:
        for server in self.servers:
            for host in hosts:
                server.values.pop(self.keys.member('compute', host), None)

    def flush(self) -> None:
        for server in self.servers:
            server.flush()

    def up(self, *hosts: str, after: float = 0.0) -> list[str]:
        self.clock.advance(after)
        return [host for host in hosts if self.reader.observer.is_up(host)]

    def up_for(self, host: str, pause: float = 1.0) -> float:
        """Return the seconds for which it is up from now on."""
        begun = self.clock()
        while self.up(host, after=pause):
            self.assertLess(self.clock() - begun, 3600)
        return self.clock() - begun


class WantedTest(ReaderTest):
    """The members that a reader asks for."""

    def test_listed_members_are_asked_for_with_the_first(self) -> None:
        hosts = [f'host{number}' for number in range(100)]
        self.alive(*hosts)
        self.assertEqual(hosts, self.up(*hosts))
        self.assertEqual([[100], [100]], [s.reads for s in self.servers])

    def test_an_unlisted_host_is_asked_for_when_it_is_first_named(
        self,
    ) -> None:
        self.alive('a')
        self.unlist()
        self.assertEqual(['a'], self.up('a', 'c'))
        self.alive('b')
        self.unlist()
        self.assertEqual(['a', 'b'], self.up('a', 'b', after=1))

    def test_a_pass_over_those_that_are_on_no_list_reads_once(self) -> None:
        self.alive('a')
        for passes in (1, 2):
            self.up('a', *'bcdefghijkl', after=1)
            self.assertEqual(
                [passes + 1] * 2, [len(s.reads) for s in self.servers]
            )
        self.assertEqual(['a'], self.up('a', *'bcdefghijkl'))

    def test_while_the_lists_cannot_be_read_no_host_is_down(
        self,
    ) -> None:
        self.alive('a', 'b', 'c')
        for server in self.servers:
            server.list_busy = True
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c'))

    def test_twelve_threads_that_ask_about_twelve_hosts_read_once(
        self,
    ) -> None:
        hosts = [f'host{number}' for number in range(12)]
        self.alive(*hosts)
        reads, may_answer = threading.Event(), threading.Event()

        def during() -> None:
            reads.set()
            may_answer.wait(1)

        for server in self.servers:
            server.during = during
        verdicts: dict[str, bool] = {}
        threads = [
            threading.Thread(
                target=lambda host=host: verdicts.update(
                    {host: self.reader.observer.is_up(host)}
                )
            )
            for host in hosts
        ]
        threads[0].start()
        self.assertTrue(reads.wait(10))
        for each in threads[1:]:
            each.start()
        may_answer.set()
        for each in threads:
            each.join(10)
        self.assertEqual(dict.fromkeys(hosts, True), verdicts)
        self.assertEqual([[12], [12]], [s.reads for s in self.servers])

    def test_get_all_asks_for_those_that_were_listed_later(self) -> None:
        self.assertEqual((), self.reader.view(False).members)
        self.alive('a')
        self.servers[1].listed = ['a', 'dead']
        self.clock.advance(3)
        self.assertEqual(
            ['a'], [each.host for each in self.reader.view(False).members]
        )

    def test_a_host_that_joins_between_two_readings_is_not_down(self) -> None:
        self.alive('a')
        self.assertEqual(['a'], self.up('stranger', 'a'))
        self.alive('b', on=[1])
        self.assertEqual(['b'], self.up('b', 'stranger'))
        self.assertEqual(['b'], self.up('b', after=1))

    def test_expected_hosts_are_asked_for_with_the_first(self) -> None:
        self.alive('a')
        for host in ('b', 'c'):
            self.reader.request(host)
        self.assertEqual(['a'], self.up('a', 'b', 'c'))

    def test_a_host_that_joins_later_is_found_within_a_minute(self) -> None:
        self.alive('a')
        self.up('a')
        self.alive('b')
        self.up('a', after=60)
        self.assertIn('b', self.reader.observer.members)

    def test_a_host_is_the_same_with_and_without_capitals(self) -> None:
        self.alive('CTL1', 'b')
        self.assertEqual(['CTL1', 'ctl1', 'B'], self.up('CTL1', 'ctl1', 'B'))
        members = self.reader.view({'Ctl1'}).members
        self.assertEqual(['b', 'CTL1'], [each.host for each in members])
        self.assertEqual(
            [None, 'at nova:compute:ctl1'],
            [each.incarnations[0].machine for each in members],
        )

    def test_memory_does_not_grow_with_questions(self) -> None:
        self.alive('a')
        for number in range(500):
            self.up('a', f'stranger{number}', after=60)
        self.assertLess(len(self.reader._wanted.ids), 130)

    def test_a_forgotten_host_is_up_when_it_joins_again(self) -> None:
        self.alive('a')
        self.assertEqual(['a'], self.up('a', 'b'))
        for _ in range(125):
            self.up('a', after=60)
        self.assertEqual([], self.up('b'))
        self.assertEqual(1, len(self.reader._wanted.ids))
        self.alive('b')
        self.assertEqual(['b'], self.up('b', after=60))


class GroupReaderTest(ReaderTest):
    """What the absence of a member from a server does."""

    def test_one_server_is_enough_to_be_up(self) -> None:
        self.alive('a', on=[1])
        self.assertEqual(['a'], self.up('a'))

    def test_a_host_that_is_gone_from_all_servers_is_down(self) -> None:
        self.alive('a', 'b')
        self.up('a', 'b')
        self.dead('b')
        self.assertEqual(['a'], self.up('a', 'b', after=1))

    def test_an_unknown_host_is_down_while_all_is_well(self) -> None:
        self.alive('a')
        self.assertEqual([], self.up('b'))

    def domains(self) -> dict[str, str]:
        self.clock.advance(1)
        return dict(self.reader.read(2.0).domains)

    def test_a_domain_beside_the_token(self) -> None:
        self.alive('a', 'b')
        token = b'twelve bytes'
        for value, domain in (
            (keyspace.encode_value(token, None, 'rack1'), 'rack1'),
            (keyspace.encode_value(token, 'degraded:rpc:5', 'rack2'), 'rack2'),
            (keyspace.as_shared(token + b'@rack3'), 'rack3'),
            (token, None),
            (token + b'@', None),
            (token + b'@\xff', None),
            (token + b'@a b', None),
        ):
            self.say(value)
            expected = {} if domain is None else {'a': domain}
            self.assertEqual(expected, self.domains(), value)

    def test_a_domain_is_no_mark(self) -> None:
        self.alive('a', 'b')
        self.say(b'twelve bytes@rack1')
        self.assertEqual({}, self.unfit())
        self.say(b'twelve bytesdegraded:rpc:5@rack1')
        self.assertEqual(['a'], list(self.unfit()))
        self.say(b'twelve bytes@rack1', on=[1])
        self.assertEqual({}, self.unfit())
        self.assertEqual({'a': 'rack1'}, self.domains())

    def test_a_lost_domain_is_held(self) -> None:
        self.alive(*'abcdefgh')
        for number in (0, 1):
            for host in 'abc':
                key = self.keys.member('compute', host)
                self.servers[number].values[key] = b'twelve bytes@rack1'
        self.up(*'abcdefgh')
        self.dead('a', 'b', 'c', 'd')
        self.assertEqual(list('abcefgh'), self.up(*'abcdefgh', after=1))
        self.assertEqual(list('efgh'), self.up(*'abcdefgh', after=61))

    def ended(self) -> set[str]:
        self.clock.advance(1)
        return set(self.reader.read(2.0).ended)

    def test_a_member_that_its_agent_has_ended(self) -> None:
        self.alive('a', 'b')
        self.say(b'twelve bytes@rack1')
        self.assertEqual(set(), self.ended())
        # One server is enough: the other may not have answered in time.
        self.servers[1].ended = {b'twelve bytes', b'of any other'}
        self.assertEqual(set(), self.ended())
        self.dead('a')
        self.assertEqual({'a'}, self.ended())
        self.assertEqual(set(), self.ended())

    def test_one_that_has_joined_again_was_not_ended(self) -> None:
        self.alive('a', 'b')
        self.say(b'twelve bytes')
        self.ended()
        for each in self.servers:
            each.ended = {b'twelve bytes'}
        self.say(b'bytes twelve')
        self.assertEqual(set(), self.ended())
        self.dead('a')
        self.assertEqual(set(), self.ended())

    def say(self, value: bytes, on: Collection[int] = (0, 1)) -> None:
        for number in on:
            key = self.keys.member('compute', 'a')
            self.servers[number].values[key] = value

    def unfit(self) -> dict[str, condition.Condition]:
        self.clock.advance(1)
        return dict(self.reader.read(2.0).unfit)

    def test_a_mark_beside_the_token(self) -> None:
        self.alive('a', 'b')
        degraded = condition.Condition(condition.DEGRADED, 'rpc', 5.0)
        self.say(b'twelve bytesdegraded:rpc:5')
        self.assertEqual({'a': degraded}, self.unfit())
        # Whatever one server has not heard yet.
        self.say(b'twelve bytes', on=[0])
        self.assertEqual({}, self.unfit())
        self.servers[0].away = True
        self.assertEqual({'a': degraded}, self.unfit())

    def test_a_foreign_mark_costs_itself(self) -> None:
        self.alive('a', 'b')
        for value in (b'', b'twelve bytesdead:rpc:5', 1024 * b'\xff'):
            self.say(value)
            self.assertEqual({}, self.unfit())
            self.assertEqual(['a', 'b'], self.up('a', 'b', after=1))

    def test_a_server_that_is_away_may_still_have_it(self) -> None:
        self.alive('a')
        self.alive('b', on=[0])
        self.up('a', 'b')
        self.servers[0].away = True
        self.assertEqual(['a', 'b'], self.up('a', 'b', after=1))
        mute = 'a server does not answer (memcached)'
        self.assertEqual(mute, self.reason('b'))
        self.assertEqual(61, self.up_for('b'))
        self.assertEqual(['a'], self.up('a'))

    def reason(self, host: str) -> str | None:
        return self.reader.observer.members.reason(host)

    def test_a_server_that_is_away_does_not_delay_a_death(self) -> None:
        self.alive('a', 'b', 'c')
        self.up('a', 'b', 'c')
        self.servers[0].away = True
        self.up('a', after=1)
        self.dead('b')
        self.assertEqual(['a', 'c'], self.up('a', 'b', 'c', after=1))

    def test_nor_does_one_that_is_away_for_a_day(self) -> None:
        self.alive('a', 'b', 'c')
        self.up('a', 'b', 'c')
        self.servers[0].away = True
        for _ in range(24 * 60):
            self.assertEqual(['a'], self.up('a', 'stranger', after=60))
        self.dead('b')
        self.assertEqual(
            ['a', 'c'], self.up('a', 'b', 'c', 'another', after=1)
        )

    def test_a_server_that_is_back_has_not_everybody_at_once(self) -> None:
        self.alive('a', 'b', 'c')
        self.up('a')
        self.servers[0].away = True
        self.up('a', after=30)
        # Meanwhile, members were written to the other server.
        self.servers[0].values.clear()
        self.servers[0].away, self.servers[1].away = False, True
        self.assertEqual(['a', 'b', 'c'], self.up('a', 'b', 'c', after=1))

    def test_flushed_servers_are_no_evidence(self) -> None:
        self.alive('a')
        self.up('a')
        self.flush()
        self.assertEqual(['a'], self.up('a', after=1))
        for server in self.servers:
            server.mark()
        self.assertEqual(61, self.up_for('a'))

    def test_nor_are_they_for_an_unknown_host(self) -> None:
        self.alive('a')
        self.assertEqual(['a'], self.up('dead', 'a'))
        self.flush()
        self.assertEqual(
            ['a', 'stranger'], self.up('a', 'dead', 'stranger', after=1)
        )
        for server in self.servers:
            server.mark()
        self.alive('a')
        self.assertEqual(['stranger'], self.up('stranger', after=20))
        for server in self.servers:
            server.young = False
        self.assertLessEqual(20 + self.up_for('stranger'), 61)
        self.assertEqual(['a'], self.up('a', 'dead'))

    def test_nor_for_an_observer_that_has_just_started(self) -> None:
        for server in self.servers:
            server.mark()
        self.alive('a')
        self.assertEqual(['a', 'b'], self.up('a', 'b'))
        for server in self.servers:
            server.young = False
        self.assertEqual(21, self.up_for('b'))
        self.assertEqual(['a'], self.up('a', 'b'))

    def test_flushed_servers_that_are_asked_seldom_keep_no_host_up(
        self,
    ) -> None:
        for pause in (7, 30, 90):
            for server in self.servers:
                server.values, server.marker = {}, b'first'
            self.reader = self.make()
            self.alive('a')
            self.assertEqual(['a'], self.up('dead', 'a'))
            self.flush()
            for _ in range(10):
                self.assertEqual([], self.up('dead', after=pause), pause)
            self.assertEqual([], self.up('a'), pause)

    def test_a_server_that_has_lost_a_member_may_have_lost_others(
        self,
    ) -> None:
        self.alive('a', 'b')
        self.up('a', 'b')
        for server in self.servers:
            server.lossy = True
        self.dead('b')
        self.assertEqual(['a', 'b'], self.up('a', 'b', after=1))
        self.assertEqual(61, self.up_for('b'))


class EvictionTest(ReaderTest):
    """Servers that evict something between any two readings."""

    def up(self, *hosts: str, after: float = 0.0) -> list[str]:
        for server in self.servers:
            server.evictions += 1
        return super().up(*hosts, after=after)

    def test_a_host_that_may_have_been_evicted_is_held(self) -> None:
        self.alive('a', 'b')
        self.up('a', 'b')
        self.dead('b')
        self.assertEqual(['a', 'b'], self.up('a', 'b', after=1))
        self.assertEqual(61, self.up_for('b'))
        for _ in range(200):
            self.assertEqual(['a'], self.up('a', 'b', after=1))

    def test_a_host_that_died_before_the_start_is_down_after_hold_time(
        self,
    ) -> None:
        for pause in (1.0, 7.0, 15.0):
            self.reader = self.make()
            self.alive('a')
            self.assertEqual(['a'], self.up('a'))
            self.assertLessEqual(self.up_for('dead', pause), 60 + pause)
            for _ in range(200):
                self.assertEqual(['a'], self.up('a', 'dead', after=pause))

    def test_the_log_says_so_once(self) -> None:
        self.alive('a')
        for _ in range(100):
            self.up('a', after=1)
        evicts = 'evicts items for lack of memory'
        self.assertEqual(1, self.log.output.count(evicts))

    def test_the_lists_that_were_read_are_not_to_blame(self) -> None:
        self.alive('a')
        self.up('a')
        self.assertNotIn(reading._NO_LISTS, self.log.output)


class RegistrationTest(base.TestCase):
    """The member's side."""

    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        self.service = base.FakeService()
        self.register('a')

    def register(self, host: str) -> None:
        settings = configuration.Settings(self.make_conf())
        settings.servers = lambda member_id: [self.server]  # type: ignore
        self.registration = registration.Registration(
            settings, host, 'compute'
        )
        self.registration.start(self.service)

    def test_a_list_that_is_too_busy_is_no_lost_contact(self) -> None:
        self.server.list_busy = True
        self.register('b')
        self.assertEqual([], self.log_lines('WARNING'))
        self.server.list_busy = False
        self.registration.beat()
        self.registration.beat()
        self.assertEqual(['a', 'b'], self.server.listed)

    def test_after_a_flush_the_host_is_listed_again(self) -> None:
        self.registration.beat()
        self.server.flush()
        self.server.mark()
        self.registration.beat()
        self.registration.beat()
        self.assertEqual(['a', 'a'], self.server.listed)

    def test_it_is_touched_without_another_thread(self) -> None:
        self.server.touches = True
        self.server.renew = self.fail  # type: ignore[assignment]
        self.server.touched.clear()
        self.registration.reporter.run()
        self.assertEqual(0, self.registration.reporter.counts.failures)
        self.assertEqual([threading.current_thread()], self.server.touched)

    def test_where_it_cannot_be_touched_it_is_renewed(self) -> None:
        self.server.touches = True
        self.server.values.clear()
        self.registration.beat()
        self.assertEqual(
            [self.registration._token], [*self.server.values.values()]
        )

    def test_one_of_several_servers_holds_up_no_other(self) -> None:
        settings = configuration.Settings(self.make_conf())
        servers = [self.server, Server('another')]
        settings.servers = lambda member_id: servers  # type: ignore
        self.server.touches = servers[1].touches = True
        self.server.touched.clear()
        made = registration.Registration(settings, 'b', 'compute')
        made.beat()
        self.assertEqual([], self.server.touched)

    def test_a_mark_is_written_with_the_next(self) -> None:
        self.server.touches = True
        mark = condition.Condition(condition.DEGRADED, 'rpc', 5.0)
        self.registration.mark(condition.encode(mark))
        (value,) = self.server.values.values()
        self.assertEqual(mark, keyspace.condition_of(value))

    def test_it_tells_its_domain(self) -> None:
        conf = self.make_conf('[servicegroup]\ndomain = rack1\n')
        settings = configuration.Settings(conf)
        settings.servers = lambda member_id: [self.server]  # type: ignore
        made = registration.Registration(settings, 'b', 'compute')
        made.beat()
        made.mark('degraded:rpc:5')
        key = settings.keys.member('compute', 'b')
        found = self.server.values[key]
        self.assertEqual('rack1', keyspace.domain_of(found))
        self.assertTrue(keyspace.has_mark(found))
        made.mark(None)
        found = self.server.values[key]
        self.assertEqual('rack1', keyspace.domain_of(found))
        self.assertFalse(keyspace.has_mark(found))

    def test_the_last_to_leave_is_gone_at_once(self) -> None:
        self.registration.beat()
        self.service.stop()
        self.assertEqual([self.registration._token], self.server.left)

    def test_what_another_process_renewed_is_left_to_it(self) -> None:
        (member_id,) = self.server.values
        self.server.values[member_id] = b'another'
        self.registration.beat()
        self.service.stop()
        self.assertEqual([b''], self.server.left)


class RenewalsTest(base.TestCase):
    """When a heartbeat checks the server."""

    def setUp(self) -> None:
        super().setUp()
        self.renewals = renewals.Renewals(60, clock=self.clock)

    def beat(self, value: bytes = b'token') -> bool:
        """Return whether a heartbeat checks; the server confirms it."""
        checked = self.renewals.use_last_check(value)
        if checked is None:
            self.renewals.start_check()
        answer = checked or storage.ServerState({}, b'marker')
        self.renewals.record_success(answer, value)
        return checked is None

    def test_one_of_six_checks(self) -> None:
        checks = [self.beat() for _ in range(13)]
        self.assertEqual(
            [0, 6, 12], [each for each, check in enumerate(checks) if check]
        )

    def test_the_one_after_a_failure_checks(self) -> None:
        self.beat()
        self.renewals.use_last_check(b'token')
        self.assertTrue(self.beat())

    def test_another_value_is_written(self) -> None:
        self.beat()
        self.assertTrue(self.beat(b'token and mark'))
        self.assertFalse(self.beat(b'token and mark'))

    def test_one_that_was_slow_has_written_what_is_old(self) -> None:
        self.beat()
        self.assertIsNone(self.renewals.use_last_check(b'token and mark'))
        self.renewals.record_success(
            storage.ServerState({}, b'marker'), b'token'
        )
        self.assertTrue(self.beat(b'token and mark'))

    def test_a_member_gone_before_its_ttl_was_lost_by_the_server(self) -> None:
        self.assertFalse(self.renewals.has_lost())
        self.beat()
        self.clock.advance(59.0)
        self.assertTrue(self.renewals.has_lost())
        self.clock.advance(1.0)
        self.assertFalse(self.renewals.has_lost())

    def test_a_member_gone_after_no_answer_was_lost_by_the_server(
        self,
    ) -> None:
        self.beat()
        with (
            testtools.ExpectedException(exceptions.BackendError),
            self.renewals.recording_failures(),
        ):
            raise exceptions.BackendError('memcached', 'away')
        self.clock.advance(600.0)
        self.assertTrue(self.renewals.has_lost())
