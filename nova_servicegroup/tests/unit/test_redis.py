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


from typing import Any
from unittest import mock

from redis import sentinel

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster_reader
from nova_servicegroup.drivers.redis import configuration
from nova_servicegroup.drivers.redis import driver
from nova_servicegroup.drivers.redis import history
from nova_servicegroup.drivers.redis import internals
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

SETTLE, HOLD = 15.0, 60.0
NOBODY: frozenset[str] = frozenset()


class HistoryTest(base.TestCase):
    """Events on a server, and which members are doubted after each."""

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self) -> None:
        self.history = history.History(SETTLE, HOLD)
        self.answer = history.Answer(
            frozenset(), b'', 'a', 1e6, 0, 5.0, self.clock()
        )

    def update(self, hosts: str, **changed: Any) -> evidence.Reading:
        """Let the server answer with hosts, each a letter."""
        self.answer = self.answer._replace(at=self.clock(), **changed)
        return self.history.update(self.answer, frozenset(hosts))

    def assert_doubts(self, hosts: str, found: evidence.Reading) -> None:
        self.assertIsNotNone(found.doubt)
        self.assertEqual(dict.fromkeys(hosts, HOLD), found.doubted)

    def assert_is_evidence(self, found: evidence.Reading) -> None:
        self.assertFalse(found.doubted)
        self.assertTrue(found.complete)

    def test_a_missing_member_is_gone(self) -> None:
        self.assert_is_evidence(self.update('ab'))
        self.assert_is_evidence(self.update('a'))
        self.assert_is_evidence(self.update(''))

    def test_each_event_on_a_server(self) -> None:
        for changed in (
            {'run': 'b'},
            {'young': b'1'},
            {'ids': None},
            {'ahead': 9.0},
        ):
            self.begin()
            self.update('ab')
            found = self.update('', **changed)
            self.assert_doubts('ab', found)
            self.assertFalse(found.complete)

    def test_a_member_seen_since_the_event_is_gone_when_missing(self) -> None:
        self.update('abc')
        self.assert_doubts('bc', self.update('a', run='b'))
        self.assert_doubts('c', self.update('ab'))
        found = self.update('b')
        self.assert_doubts('c', found)
        self.assertTrue(found.complete)

    def test_the_doubt_ends_after_the_settle_time(self) -> None:
        self.update('ab')
        self.update('a', young=b'1')
        self.clock.advance(SETTLE)
        self.assert_doubts('b', self.update('a', young=b''))
        self.clock.advance(1)
        self.assert_is_evidence(self.update('a'))

    def test_a_group_that_is_recreated_twice_in_a_row(self) -> None:
        self.update('ab')
        self.assert_doubts('b', self.update('a', young=b'1'))
        self.assert_is_evidence(self.update('ab'))
        # No read has seen that it was gone meanwhile.
        self.assert_doubts('b', self.update('a', young=b'2'))

    def test_two_events_one_after_the_other(self) -> None:
        self.update('ab')
        self.update('a', run='b')
        self.clock.advance(SETTLE - 1)
        self.update('', ids=None)
        self.clock.advance(SETTLE - 1)
        self.assert_doubts('ab', self.update('', ids=frozenset()))

    def test_the_first_read_of_a_server_that_was_just_started(self) -> None:
        self.assertFalse(self.update('', uptime=SETTLE - 1).complete)
        self.begin()
        self.assertFalse(self.update('', young=b'1').complete)
        self.begin()
        self.assertTrue(self.update('', uptime=SETTLE + 1).complete)

    def test_no_member_is_gone_while_the_server_evicts_keys(self) -> None:
        self.update('ab')
        found = self.update('a', evictions=1)
        self.assertEqual((None, False), (found.doubted, found.complete))
        self.assertIsNotNone(found.doubt)
        self.assert_is_evidence(self.update('a'))

    def test_a_clock_that_goes_back_or_a_little_forward_is_no_event(
        self,
    ) -> None:
        self.update('a')
        for ahead in (-3600.0, -3599.0):
            self.assert_is_evidence(self.update('a', ahead=ahead))


class SettingsTest(base.TestCase):
    """The addresses of the server, and the settings of connections."""

    def settings(self, text: str) -> configuration.Settings:
        return configuration.Settings(self.make_conf(text))

    def client(self, text: str) -> Any:
        """Return the client of redis-py, not connected."""
        made = self.settings(text).make(b'member')
        return made._make_client(made._parsed_url, made._options, made.timeout)

    def test_one_server(self) -> None:
        text = (
            '[redis]\naddress = "[::1]"\nusername = nova\n'
            'password = a@b/?#:\ndatabase = 2\n'
        )
        self.assertEqual(['[::1]:6379'], self.settings(text).addresses)
        given = self.client(text).connection_pool.connection_kwargs
        for name, value in (
            ('host', '::1'),
            ('port', 6379),
            ('db', 2),
            ('username', 'nova'),
            ('password', 'a@b/?#:'),
        ):
            self.assertEqual(value, given[name], name)

    def test_sentinels(self) -> None:
        text = (
            '[redis]\nsentinel_name = nova\npassword = one\n'
            'sentinel_addresses = s1,s2:5\nsentinel_password = two\n'
        )
        self.assertEqual(['s1:26379', 's2:5'], self.settings(text).addresses)
        pool = self.client(text).connection_pool
        self.assertIsInstance(pool, sentinel.SentinelConnectionPool)
        self.assertEqual('nova', pool.service_name)
        self.assertEqual('one', pool.connection_kwargs['password'])
        for each in pool.sentinel_manager.sentinels:
            given = each.connection_pool.connection_kwargs
            self.assertEqual('two', given['password'])
            self.assert_bounded(given, 0.5)

    def assert_bounded(
        self, given: dict[str, Any], seconds: float = 2.0
    ) -> None:
        self.assertEqual(seconds, given['socket_timeout'])
        self.assertEqual(seconds, given['socket_connect_timeout'])
        self.assertEqual(0, given['retry']._retries)

    def test_the_url_of_other_services(self) -> None:
        text = (
            '[coordination]\nbackend_url = redis://default:hush@s1:26379'
            '?sentinel=kolla&sentinel_fallback=s2:26379'
            '&sentinel_fallback=s3:26379&db=0&socket_timeout=60'
            '&retry_on_timeout=yes\n'
        )
        self.assertEqual(
            ['s1:26379', 's2:26379', 's3:26379'], self.settings(text).addresses
        )
        pool = self.client(text).connection_pool
        self.assertEqual('hush', pool.connection_kwargs['password'])
        self.assert_bounded(pool.connection_kwargs)
        self.assertEqual(3, len(pool.sentinel_manager.sentinels))
        self.assertNotIn('hush', self.settings(text).backend)

    def test_own_options_win(self) -> None:
        text = (
            '[coordination]\nbackend_url = redis://r1\n[redis]\naddress = r2\n'
        )
        self.assertEqual(['r2:6379'], self.settings(text).addresses)

    def test_tls(self) -> None:
        text = '[redis]\naddress = r1\nuse_tls = true\nkey_password = hush\n'
        given = self.client(text).connection_pool.connection_kwargs
        self.assertIs(True, given['ssl_check_hostname'])
        self.assertEqual('hush', given['ssl_password'])

    def test_no_error_shows_a_password(self) -> None:
        for text in (
            '[coordination]\nbackend_url = redis://:hush/x@r1\n',
            '[coordination]\nbackend_url = redis://:hu[sh@r1\n',
            '[coordination]\nbackend_url = redis://:hush\u2100@r1\n',
            '[redis]\naddress = :hush@r1\n',
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, text
            )
            self.assertNotIn('hu', str(error).partition('Accepted')[0], text)

    def test_a_sentinel_counts_once(self) -> None:
        text = (
            '[coordination]\nbackend_url = redis://s1:26379'
            '?sentinel=nova&sentinel_fallback=s2:26379&sentinel_fallback=s1\n'
        )
        self.settings(text)
        self.assertRaises(
            exceptions.ConfigurationError,
            self.settings,
            text.replace('fallback=s1', 'fallback=s1:26379'),
        )

    def test_what_would_count_only_with_own_servers_is_refused(self) -> None:
        for line in ('use_tls = true', 'ca_file = /ca.pem', 'database = 3'):
            error = self.assertRaises(
                exceptions.ConfigurationError,
                self.settings,
                f'[coordination]\nbackend_url = redis://r1\n[redis]\n{line}\n',
            )
            self.assertIn(f'[redis] {line.partition(" ")[0]}', str(error))

    def test_what_cannot_be_used_is_named(self) -> None:
        for text in (
            '',
            '[coordination]\nbackend_url = etcd3+http://e1\n',
            '[redis]\naddress = r1,r2\n',
            '[redis]\naddress = r1\nsentinel_name = nova\n',
            '[redis]\nsentinel_name = nova\n',
            '[redis]\nsentinel_addresses = s1\n',
            '[redis]\naddress = r1\nsentinel_addresses = s1\n',
            '[redis]\naddress = r1\nsentinel_addresses = s1\n'
            'sentinel_name = nova\n',
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, text
            )
            self.assertIn('[redis] address', str(error), text)

    def test_a_file_that_cannot_be_used_is_named(self) -> None:
        text = '[redis]\naddress = r1\nuse_tls = true\n'
        for option, line in (
            ('ca_file', 'ca_file = /nowhere\n'),
            ('cert_file', 'cert_file = /nowhere\n'),
            # A key needs a certificate.
            ('cert_file', 'key_file = /nowhere\n'),
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, text + line
            )
            self.assertIn(f'[redis] {option}', str(error))


class Later:
    """A result that is ready when it is asked for the second time."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._asked = 0

    def done(self) -> bool:
        self._asked += 1
        return self._asked > 1

    def get(self) -> Any:
        return self._value


class Servers:
    """Takes the place of internals.Group."""

    answer: history.Answer

    def __init__(self, session: Any) -> None:
        self._session = session

    def ask(self, name: str, call: Any, **how: Any) -> Any:
        return self._session.ask(name, lambda: Later(call()), **how)

    def read(self) -> history.Answer:
        return self.answer

    def confirm(self) -> bool:
        return True


class ReadingTest(base.TestCase):
    """Reads of a group that do not wait."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(internals, 'Group', Servers)
        conf = self.make_conf('[redis]\naddress = r1\n')
        settings = configuration.Settings(conf)
        settings.make = lambda member_id: mock.Mock()  # type: ignore
        self.backend = roster_reader.Backend(settings, driver.GroupReader)
        self.reader = self.backend.reader('compute')
        self.addCleanup(self.backend.close)

    def patch(self, where: Any, name: str, value: Any) -> None:
        patched = mock.patch.object(where, name, value)
        patched.start()
        self.addCleanup(patched.stop)

    def read(self, *hosts: str) -> evidence.Reading | None:
        """Read without waiting for any answer."""
        Servers.answer = history.Answer(
            frozenset(naming.member_id(each) for each in hosts),
            b'',
            'a',
            1e6,
            0,
            5.0,
            self.clock(),
        )
        try:
            return self.reader.read(0.0)
        except exceptions.BackendTimeout:
            return None

    def test_two_questions_do_not_displace_each_other(self) -> None:
        with self.backend.connection.use(requests.Deadline(10.0)):
            pass
        for hosts in (('a', 'b'), ('a',)):
            found = [self.read(*hosts) for _ in range(6)]
            present = {each.present for each in found if each is not None}
            self.assertIn(frozenset(hosts), present)
