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

import logging

from kazoo.protocol import serialization
from oslo_config import cfg

from nova_servicegroup.drivers import _names
from nova_servicegroup.drivers import _zookeeper
from nova_servicegroup.tests import base


class RosterTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.roster = _zookeeper.Roster('compute')

    def test_hosts_of_ids(self) -> None:
        ids = {_names.member_id(host) for host in ('a', 'b', 'ö/1')}
        self.assertEqual({'a', 'b', 'ö/1'}, self.roster.take(ids))

    def test_a_host_lives_as_long_as_one_of_its_processes(self) -> None:
        one, two = _names.member_id('a'), _names.member_id('a')
        self.assertEqual({'a'}, self.roster.take({one, two}))
        self.assertEqual(sorted((one, two)), self.roster.ids('a'))
        self.assertEqual({'a'}, self.roster.doubles)
        self.assertEqual({'a'}, self.roster.take({two}))
        self.assertEqual(set(), self.roster.take(set()))
        self.assertEqual([], self.roster.ids('a'))
        self.assertEqual(set(), self.roster.doubles)

    def test_a_restart_in_between_is_invisible(self) -> None:
        self.roster.take({_names.member_id('a')})
        self.assertEqual({'a'}, self.roster.take({_names.member_id('a')}))

    def test_what_was_handed_out_does_not_change(self) -> None:
        first = self.roster.take({_names.member_id('a')})
        self.roster.take({_names.member_id('b')})
        self.assertEqual({'a'}, first)

    def test_foreign_children_are_ignored_with_one_warning(self) -> None:
        member = _names.member_id('a')
        for _ in range(3):
            self.assertEqual({'a'}, self.roster.take({member, b'lock-1'}))
        self.roster.take({member})
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines))
        self.assertIn('lock-1', lines[0])


class SettingsTest(base.TestCase):
    def settings(self, text: str) -> _zookeeper.Settings:
        return _zookeeper.Settings(
            self.make_conf(f'[zookeeper]\naddress = h1\n{text}')
        )

    def test_the_old_timeout_counts_until_the_new_one_is_set(self) -> None:
        self.assertEqual(10, self.settings('').session_timeout)
        old = 'recv_timeout = 4500\n'
        self.assertEqual(5, self.settings(old).session_timeout)
        both = f'{old}session_timeout = 8\n'
        self.assertEqual(8, self.settings(both).session_timeout)

    def test_kazoo_reconnects_well_within_a_session(self) -> None:
        for timeout, granted in ((2, 2), (10, 10), (60, 10)):
            settings = self.settings(f'session_timeout = {timeout}\n')
            retry = settings._connection_retry('threading')
            self.assertLessEqual(retry['max_delay'], granted / 4)
            self.assertEqual(-1, retry['max_tries'])

    def test_the_old_prefix_loses_its_slash(self) -> None:
        settings = self.settings('sg_prefix = /servicegroups\n')
        self.assertEqual('servicegroups', settings.namespace)


class KazooLogTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logger = logging.getLogger('kazoo')
        self.addCleanup(self.logger.setLevel, self.logger.level)
        self.logger.setLevel(logging.NOTSET)

    def test_it_is_quiet_by_default(self) -> None:
        _zookeeper.quieten_kazoo(self.make_conf())
        self.assertEqual(logging.ERROR, self.logger.level)

    def test_a_level_that_somebody_chose_stays(self) -> None:
        self.logger.setLevel(logging.INFO)
        _zookeeper.quieten_kazoo(self.make_conf())
        self.assertEqual(logging.INFO, self.logger.level)

    def test_it_is_not_quiet_where_somebody_debugs(self) -> None:
        conf = self.make_conf('[DEFAULT]\ndebug = true\n')
        conf.register_opt(cfg.BoolOpt('debug'))
        _zookeeper.quieten_kazoo(conf)
        self.assertEqual(logging.NOTSET, self.logger.level)

    def test_no_password_is_logged_at_any_level(self) -> None:
        self.logger.setLevel(logging.DEBUG)
        for _ in range(2):
            _zookeeper.quieten_kazoo(self.make_conf())
        client = logging.getLogger('kazoo.client')
        auth = serialization.Auth(0, 'digest', 'nova:hush')
        client.debug('Sending request(xid=%s): %s', -4, auth)
        client.debug('Sending request(xid=%s): %s', 1, 'Ping')
        self.assertNotIn('hush', self.log.output)
        self.assertIn('Ping', self.log.output)
        self.assertEqual(1, len(client.filters))
