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

from collections.abc import Iterator
import contextlib
import logging
import subprocess
import sys
import types
from typing import Any
from unittest import mock

from kazoo.protocol import serialization
from kazoo import security
from oslo_config import cfg
from tooz import coordination

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster
from nova_servicegroup.drivers.common import starting
from nova_servicegroup.drivers.zk import driver
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import kazoo_log
from nova_servicegroup import evidence
from nova_servicegroup import pace
from nova_servicegroup.tests import base


class RosterTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.roster = roster.Roster('compute', clock=self.clock)

    def test_hosts_of_ids(self) -> None:
        ids = {naming.member_id(host) for host in ('a', 'b', 'ö/1')}
        self.assertEqual({'a', 'b', 'ö/1'}, self.roster.update(ids))

    def test_a_host_lives_as_long_as_one_of_its_processes(self) -> None:
        one, two = naming.member_id('a'), naming.member_id('a')
        self.assertEqual({'a'}, self.roster.update({one, two}))
        self.assertEqual(sorted((one, two)), self.roster.ids('a'))
        self.assertEqual({'a'}, self.roster.duplicates)
        self.assertEqual({'a'}, self.roster.update({two}))
        self.assertEqual(set(), self.roster.update(set()))
        self.assertEqual([], self.roster.ids('a'))
        self.assertEqual(set(), self.roster.duplicates)

    def test_the_domains_of_hosts(self) -> None:
        one = naming.member_id('A', 'rack1')
        self.roster.update({one, naming.member_id('b')})
        before = self.roster.domains
        self.assertEqual({'a': 'rack1'}, before)
        self.roster.update({one, naming.member_id('b')})
        self.assertIs(before, self.roster.domains)
        self.roster.update({naming.member_id('b', 'rack2')})
        self.assertEqual({'b': 'rack2'}, self.roster.domains)
        self.assertEqual({'a': 'rack1'}, before)
        self.roster.update(set())
        self.assertEqual({}, self.roster.domains)

    def test_of_several_processes_the_last_tells_the_domain(self) -> None:
        with mock.patch('time.time', return_value=5.0):
            old = naming.member_id('a', 'rack9')
        new = naming.member_id('a', 'rack1')
        for ids in ({old, new}, {old}, {new, old}):
            self.roster.update(ids)
            domain = 'rack1' if new in ids else 'rack9'
            self.assertEqual({'a': domain}, self.roster.domains)

    def test_a_restart_in_between_is_invisible(self) -> None:
        self.roster.update({naming.member_id('a')})
        self.assertEqual({'a'}, self.roster.update({naming.member_id('a')}))

    def test_what_was_handed_out_does_not_change(self) -> None:
        first = self.roster.update({naming.member_id('a')})
        self.roster.update({naming.member_id('b')})
        self.assertEqual({'a'}, first)

    def test_foreign_children_are_ignored_with_one_warning(self) -> None:
        member = naming.member_id('a')
        for _ in range(3):
            self.assertEqual({'a'}, self.roster.update({member, b'lock-1'}))
        self.roster.update({member})
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines))
        self.assertIn('lock-1', lines[0])

    def test_thousands_of_foreign_children_are_one_line(self) -> None:
        ids = {b'lock-%d' % number for number in range(3000)}
        self.assertEqual(set(), self.roster.update(ids))
        (line,) = self.log_lines('WARNING')
        self.assertIn('3000 nodes', line)
        self.assertLess(len(line), 300)

    def test_so_are_those_that_come_one_by_one_in_an_hour(self) -> None:
        for number in range(100):
            self.roster.update({b'lock-%d' % number})
            self.clock.advance(1)
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.clock.advance(3600)
        self.roster.update({b'lock-x'})
        self.assertIn('100 nodes', self.log_lines('WARNING')[1])

    def test_what_a_foreign_child_is_called_is_shown_in_one_line(self) -> None:
        self.roster.update({b'\x1b[2J\n', 'hörst\u202e'.encode(), b'\xff'})
        (line,) = self.log_lines('WARNING')
        self.assertTrue(line.isprintable())
        self.assertIn('\\x1b[2J\\n', line)

    def test_a_name_that_is_far_too_long_is_no_host(self) -> None:
        for name in ('x' * 1001, '\U0001f600' * 1001, 'x' * 100_000):
            self.assertEqual(
                set(), self.roster.update({naming.member_id(name)})
            )
        names = {'x' * 1000, '\U0001f600' * 1000}
        ids = {naming.member_id(each) for each in names}
        self.assertEqual(names, self.roster.update(ids))

    def test_a_host_is_the_same_with_and_without_capitals(self) -> None:
        ids = {naming.member_id('CTL1'), naming.member_id('ctl1')}
        self.assertEqual({'ctl1'}, self.roster.update(ids))
        self.assertEqual(2, len(self.roster.ids('ctl1')))

    def test_a_host_is_called_as_it_has_joined(self) -> None:
        self.roster.update({naming.member_id('CTL1'), naming.member_id('b')})
        self.assertEqual('CTL1', self.roster.name('ctl1'))
        self.assertEqual('b', self.roster.name('b'))
        self.roster.update(set())
        self.assertEqual('ctl1', self.roster.name('ctl1'))

    def test_most_have_joined_anew(self) -> None:
        kept = {naming.member_id(host) for host in 'ab'}
        self.roster.update(kept | {naming.member_id(host) for host in 'cdef'})
        self.assertFalse(self.roster.rejoined)
        self.roster.update(kept | {naming.member_id(host) for host in 'cde'})
        self.assertTrue(self.roster.rejoined)

    def test_half_of_them_are_not_most(self) -> None:
        kept = {naming.member_id(host) for host in 'ab'}
        self.roster.update(kept | {naming.member_id(host) for host in 'cde'})
        self.roster.update(kept | {naming.member_id(host) for host in 'cd'})
        self.assertFalse(self.roster.rejoined)

    def test_one_process_more_is_not_to_join_anew(self) -> None:
        ids = {naming.member_id(host) for host in 'ab'}
        self.roster.update(ids)
        self.roster.update(ids | {naming.member_id(host) for host in 'ab'})
        self.roster.update(ids)
        self.assertFalse(self.roster.rejoined)


class Result:
    """An answer that is there."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def done(self) -> bool:
        return True

    def get(self, timeout: float | None = None) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Connection:
    """A connection, and its coordinator, that has the members of a group."""

    backend = 'zk'

    def __init__(self) -> None:
        self.members: set[bytes] | Exception = set()

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[Any]:
        yield starting.Connected(self, b'reader')

    def get_members(self, group: bytes) -> Result:
        return Result(self.members)

    def get_member_capabilities(self, group: bytes, member: bytes) -> Result:
        return Result({'machine': 'somewhere'})


class GroupReaderTest(base.TestCase):
    """What a reading of a group confirms."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf('[zookeeper]\naddress = h1\n')
        self.connection = Connection()
        backend = types.SimpleNamespace(
            settings=kazoo_client.Settings(conf),
            connection=self.connection,
            patience=pace.Patience(2.0),
        )
        self.reader = driver.GroupReader(backend, 'compute')
        self.addCleanup(self.reader.observer.close)

    def join(self, *hosts: str) -> None:
        self.connection.members = {naming.member_id(host) for host in hosts}

    def test_a_member_that_is_not_in_the_group_has_left_it(self) -> None:
        self.join('a', 'B')
        self.assertEqual(
            evidence.Reading(frozenset('ab')), self.reader.read(1.0)
        )
        self.connection.members = set()
        self.assertEqual(evidence.Reading(frozenset()), self.reader.read(1.0))

    def test_a_group_that_is_not_there_is_no_evidence(self) -> None:
        self.join('a')
        self.reader.read(1.0)
        self.connection.members = coordination.GroupNotCreated(b'compute')
        self.assertEqual(
            evidence.Reading(frozenset(), evidence.EMPTIED, complete=False),
            self.reader.read(1.0),
        )

    def test_nor_is_one_where_most_have_joined_anew(self) -> None:
        self.join('a', 'b', 'c')
        self.reader.read(1.0)
        self.join('a', 'b')
        found = self.reader.read(1.0)
        self.assertEqual(
            evidence.Reading(
                frozenset('ab'), evidence.REJOINED, complete=False
            ),
            found,
        )
        self.assertIsNone(self.reader.read(1.0).doubt)

    def test_a_host_is_the_same_with_and_without_capitals(self) -> None:
        self.join('CTL1', 'ctl1', 'b')
        for host in ('CTL1', 'ctl1', 'B'):
            self.assertTrue(self.reader.observer.is_up(host))
        members = self.reader.view({'Ctl1'}).members
        self.assertEqual(['b', 'CTL1'], [each.host for each in members])
        self.assertEqual(
            [{None}, {'somewhere'}],
            [
                {each.machine for each in member.incarnations}
                for member in members
            ],
        )


class SettingsTest(base.TestCase):
    def settings(self, text: str) -> kazoo_client.Settings:
        return kazoo_client.Settings(
            self.make_conf(f'[zookeeper]\naddress = h1\n{text}')
        )

    def test_the_old_timeout_counts_until_the_new_one_is_set(self) -> None:
        self.assertEqual(10, self.settings('').expiry)
        old = 'recv_timeout = 4500\n'
        self.assertEqual(5, self.settings(old).expiry)
        both = f'{old}session_timeout = 8\n'
        self.assertEqual(8, self.settings(both).expiry)

    def test_kazoo_reconnects_well_within_a_session(self) -> None:
        for timeout, granted in ((2, 2), (10, 10), (60, 10)):
            settings = self.settings(f'session_timeout = {timeout}\n')
            retry = settings._connection_retry('threading')
            self.assertLessEqual(retry['max_delay'], granted / 4)
            self.assertEqual(-1, retry['max_tries'])

    def test_the_old_prefix_loses_its_slash(self) -> None:
        settings = self.settings('sg_prefix = /servicegroups\n')
        self.assertEqual('servicegroups', settings.namespace)


#: Wakes kazoo's loop without a request.
WOKEN = """
import sys

import eventlet
eventlet.monkey_patch()

from oslo_config import cfg

from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup import opts

conf = cfg.ConfigOpts()
opts.register_opts(conf)
conf(['--config-file', sys.argv[1]], project='nova')
client = kazoo_client.Settings(conf).make(b'a@1')._coord
loop = client._connection
loop._read_sock, loop._write_sock = client.handler.create_socket_pair()
with eventlet.Timeout(5):
    loop._send_request(1.0, 1.0)
print('went on')
"""


class KazooWakeTest(base.TestCase):
    def test_a_wake_without_a_request_does_not_block_under_eventlet(self):
        text = '[zookeeper]\naddress = 127.0.0.1:1\n'
        file = self.create_tempfiles([('nova', text)], ext='.conf')[0]
        done = subprocess.run(
            [sys.executable, '-c', WOKEN, file],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual('went on\n', done.stdout, done.stderr)


class KazooLogTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logger = logging.getLogger('kazoo')
        self.addCleanup(self.logger.setLevel, self.logger.level)
        self.logger.setLevel(logging.NOTSET)

    def test_it_is_quiet_by_default(self) -> None:
        kazoo_log.quieten(self.make_conf())
        self.assertEqual(logging.ERROR, self.logger.level)

    def test_a_configured_level_stays(self) -> None:
        self.logger.setLevel(logging.INFO)
        kazoo_log.quieten(self.make_conf())
        self.assertEqual(logging.INFO, self.logger.level)

    def test_it_is_not_quiet_with_debug(self) -> None:
        conf = self.make_conf('[DEFAULT]\ndebug = true\n')
        conf.register_opt(cfg.BoolOpt('debug'))
        kazoo_log.quieten(conf)
        self.assertEqual(logging.NOTSET, self.logger.level)

    def debugged(self, text: str, *args: object, level: int = 10) -> str:
        """Return what is logged at any level."""
        self.logger.setLevel(1)
        for _ in range(2):
            kazoo_log.quieten(self.make_conf())
        client = logging.getLogger('kazoo.client')
        self.assertEqual(1, len(client.filters))
        client.log(level, text, *args)
        client.debug('Sending request(xid=%s): %s', 1, 'Ping')
        self.assertIn('Ping', self.log.output)
        return str(self.log.output)

    def test_no_password_is_logged_at_any_level(self) -> None:
        auth = serialization.Auth(0, 'digest', 'nova:hush')
        output = self.debugged('Sending request(xid=%s): %s', -4, auth)
        self.assertNotIn('hush', output)

    def test_nor_is_the_digest_of_one(self) -> None:
        acl = security.make_digest_acl('nova', 'hush', all=True)
        digest = acl.id.id.partition(':')[2]
        create = serialization.Create('/one', b'', [acl], 0)
        for each in (
            create,
            serialization.Create2('/two', b'', [acl], 0),
            serialization.SetACL('/three', [acl], 0),
            serialization.Transaction([create]),
            ([acl], 'what a server answers'),
        ):
            output = self.debugged('Sending request(xid=%s): %s', 1, each)
            self.assertNotIn(digest, output)
        for path in ('/one', '/two', '/three', 'what a server answers'):
            self.assertIn(path, output)

    def test_nor_is_what_a_session_can_be_taken_over_with(self) -> None:
        connect = serialization.Connect(0, 0, 4000, 17, b'hush', False)
        output = self.debugged('Sending request(xid=%s): %s', None, connect)
        self.assertIn('session_id=17', output)
        output = self.debugged(
            'Using session_id: %r session_passwd: %s', 17, 'hush', level=5
        )
        self.assertNotIn('hush', output)

    def test_a_record_that_cannot_be_masked_is_not_logged(self) -> None:
        class Odd(tuple):
            _fields = ('passwd',)

        self.assertNotIn('hush', self.debugged('%s', Odd(('hush',))))

    def test_what_everybody_may_know_is_logged_as_it_is(self) -> None:
        for each in (
            serialization.Create('/a', b'', security.OPEN_ACL_UNSAFE, 1),
            serialization.GetChildren('/a', None),
            ['host@token'],
        ):
            self.assertIn(str(each), self.debugged('%s', each))
