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

import base64
import contextlib
import json
import json as jsonlib
import threading
import time
import types
from typing import Any
from unittest import mock

import fixtures
import requests as http

from nova_servicegroup import api
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import starting
from nova_servicegroup.drivers.common import tls
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import coordinator
from nova_servicegroup.drivers.etcd import driver
from nova_servicegroup.drivers.etcd import gateway
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import pace
from nova_servicegroup.tests import base
from nova_servicegroup.tests.promises import etcd as fake

SERVERS = 'a:1,b:2,c:3'


class SettingsTest(base.TestCase):
    def settings(self, etcd: str = '', url: str = '') -> Any:
        return configuration.Settings(
            self.make_conf(
                f'[etcd]\n{etcd}\n[coordination]\nbackend_url = {url}\n'
            )
        )

    def test_own_servers_come_first(self) -> None:
        settings = self.settings(
            'address = "h1, [::1]:9,h1"', 'etcd3+http://other'
        )
        self.assertEqual(['h1:2379', '[::1]:9'], settings.addresses)
        self.assertEqual(10, settings.expiry)

    def test_else_the_servers_of_other_services(self) -> None:
        settings = self.settings(
            '', 'etcd3+http://nova:p%40ss@h1:2379,h2?timeout=60'
        )
        self.assertEqual(['h1:2379', 'h2:2379'], settings.addresses)
        self.assertEqual(
            ('nova', 'p@ss'), settings.endpoints[-2:], 'as a URL has them'
        )

    def test_their_timeouts_are_bounded(self) -> None:
        settings = self.settings('', 'etcd3+http://h1?timeout=60')
        self.assertLessEqual(settings.wait, 2.0)
        self.assertEqual(10, settings.expiry)
        made = coordinator.Coordinator(settings, b'a@1')._tooz
        self.assertEqual(10, made.membership_timeout)

    def test_what_is_no_etcd_is_refused(self) -> None:
        for url in ('', 'redis://h1', 'zookeeper://h1', 'etcd3://h1'):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, '', url
            )
            self.assertIn('[etcd] address', str(error))
            self.assertIn('[coordination] backend_url', str(error))

    def test_no_error_shows_a_password(self) -> None:
        for own, url in (
            ('', 'etcd3+http://nova:hush/x@h1'),
            ('', 'etcd3+http://nova:hu[sh@h1'),
            ('address = nova:hush@h1', ''),
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.settings, own, url
            )
            self.assertNotIn('hu', str(error).partition('Accepted')[0], url)

    def test_what_would_count_only_with_own_servers_is_refused(self) -> None:
        error = self.assertRaises(
            exceptions.ConfigurationError,
            self.settings,
            'use_tls = true',
            'etcd3+http://h1',
        )
        self.assertIn('[etcd] use_tls', str(error))

    def test_the_servers_of_a_url_are_checked(self) -> None:
        self.assertRaises(
            exceptions.ConfigurationError,
            self.settings,
            '',
            'etcd3+http://h1:0',
        )

    def test_a_user_has_a_password(self) -> None:
        for one in ('username = nova', 'password = hush'):
            error = self.assertRaises(
                exceptions.ConfigurationError,
                self.settings,
                f'address = h1\n{one}',
            )
            self.assertNotIn('hush', str(error))

    def test_files_that_cannot_be_used_are_named(self) -> None:
        for url in ('', 'etcd3+https://h1?ca_cert=/none/ca.pem'):
            own = '' if url else 'address = h1\nuse_tls = true\n'
            error = self.assertRaises(
                exceptions.ConfigurationError,
                self.settings,
                f'{own}ca_file = /none/ca.pem',
                url,
            )
            self.assertIn('/none/ca.pem', str(error))

    def test_a_key_without_a_certificate_is_refused(self) -> None:
        error = self.assertRaises(
            exceptions.ConfigurationError,
            self.settings,
            'address = h1\nuse_tls = true\nkey_file = /none/key.pem',
        )
        self.assertIn('[etcd] cert_file', str(error))

    def test_the_driver_tells_what_others_need_to_know(self) -> None:
        conf = self.make_conf(
            '[DEFAULT]\nservicegroup_driver = etcd\n'
            '[etcd]\naddress = h1\nttl = 7\n'
        )
        driver = api.API(conf).driver
        self.assertEqual(['h1:2379'], driver.servers)
        self.assertGreaterEqual(driver.found_within, 7)
        self.assertEqual('etcd', driver.backend)


class Found:
    """An answer, as the library requests returns it."""

    def __init__(self, status: int, said: Any = None, size: int = 0) -> None:
        self.status_code = status
        self._text = b'x' * size or json.dumps(said or {}).encode()
        self.raw = self

    def __enter__(self) -> 'Found':
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def stream(self, size: int, decode_content: bool) -> Any:
        for start in range(0, len(self._text), size):
            yield self._text[start : start + size]


class SessionTest(base.TestCase):
    """Which servers are asked, and what is done with the answers."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Any] = []

    def session(self, options: str = '', servers: str = SERVERS) -> Any:
        conf = self.make_conf(f'[etcd]\naddress = {servers}\n{options}')
        made = self.gateway(configuration.Settings(conf))
        made._server = 0
        self.useFixture(
            fixtures.MockPatchObject(made._session, 'post', self._post)
        )
        return made

    def gateway(self, settings: configuration.Settings) -> gateway.Gateway:
        return gateway.Gateway(settings.endpoints, settings.wait)

    def _post(self, url: str, **how: Any) -> Any:
        self.asked.append((url, how))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hosts(self) -> list[str]:
        return [url.split('/')[2] for url, _ in self.asked]

    def test_the_next_server_is_asked_when_one_fails(self) -> None:
        for failure in (
            http.exceptions.ConnectionError('refused'),
            http.exceptions.ReadTimeout('mute'),
            Found(503, {'message': 'etcdserver: no leader'}),
            Found(200, {'error': {'message': 'etcdserver: no leader'}}),
        ):
            self.asked.clear()
            session = self.session()
            self.answers = [failure, Found(200, {'a': 1}), Found(200)]
            self.assertEqual({'a': 1}, session.post('http://x/v3/kv').json())
            session.post('http://x/v3/kv')
            # Not the first one again.
            self.assertEqual(['a:1', 'b:2', 'b:2'], self.hosts())

    def test_all_have_failed(self) -> None:
        session = self.session()
        self.answers = [http.exceptions.ConnectionError('no')] * 4
        error = self.assertRaises(
            exceptions.BackendUnreachable, session.post, 'http://x/v3/kv'
        )
        self.assertIn('ConnectionError: no', str(error))
        self.assertEqual(['a:1', 'b:2', 'c:3', 'a:1'], self.hosts())

    def test_a_connection_that_has_ended_is_made_again(self) -> None:
        session = self.session(servers='a:1')
        self.answers = [http.exceptions.ConnectionError('gone'), Found(200)]
        session.post('http://x/v3/kv')
        self.assertEqual(['a:1', 'a:1'], self.hosts())

    def test_nothing_is_asked_after_the_deadline(self) -> None:
        session = self.session()
        session.deadline = mock.Mock(left=lambda: 0.0)
        self.assertRaises(
            exceptions.BackendUnreachable, session.post, 'http://x/v3/kv'
        )
        self.assertEqual([], self.asked)

    def test_a_mute_server_takes_no_more_than_half_of_the_time(self) -> None:
        session = self.session()
        self.answers = [Found(200)]
        session.post('http://x/v3/kv')
        (_, how) = self.asked[0]
        self.assertLessEqual(how['timeout'].total, session._wait / 2)
        self.assertFalse(how['allow_redirects'])

    def test_an_answer_that_is_too_long_is_not_read(self) -> None:
        session = self.session()
        self.answers = [Found(200, size=65 * 1024 * 1024)]
        error = self.assertRaises(
            exceptions.BackendError, session.post, 'http://x/v3/kv'
        )
        self.assertIn('too long', str(error))

    def test_an_error_is_one_line(self) -> None:
        session = self.session()
        self.answers = [Found(404, {'message': 'not\n\x1b[2J' + 'x' * 9999})]
        error = self.assertRaises(
            exceptions.BackendError, session.post, 'http://x/v3/kv'
        )
        self.assertTrue(str(error).isprintable())
        self.assertLess(len(str(error)), 300)

    def test_neither_proxies_nor_passwords_of_the_environment(self) -> None:
        session = self.session()
        self.assertFalse(session._session.trust_env)

    def test_one_token_serves_all_requests(self) -> None:
        session = self.session('username = nova\npassword = hush\n')
        self.answers = [Found(200, {'token': 't1'}), Found(200), Found(200)]
        session.post('http://x/v3/kv')
        session.post('http://x/v3/kv')
        first, second, third = self.asked
        self.assertTrue(first[0].endswith('/v3/auth/authenticate'))
        self.assertEqual(
            {'name': 'nova', 'password': 'hush'}, json.loads(first[1]['data'])
        )
        for _, how in (second, third):
            self.assertEqual('t1', how['headers']['Authorization'])
            self.assertNotIn('hush', str(how))

    def test_a_token_that_is_forgotten_is_replaced(self) -> None:
        for status in (400, 401):
            session = self.session('username = nova\npassword = hush\n')
            self.answers = [
                Found(200, {'token': 't1'}),
                Found(status, {'message': 'etcdserver: invalid auth token'}),
                Found(200, {'token': 't2'}),
                Found(200),
            ]
            session.post('http://x/v3/kv')
            self.assertEqual(
                't2', self.asked[-1][1]['headers']['Authorization']
            )

    def test_a_wrong_password_is_tried_once(self) -> None:
        session = self.session('username = nova\npassword = hush\n')
        self.answers = [Found(400, {'message': 'authentication failed'})]
        error = self.assertRaises(
            exceptions.NoAccess, session.post, 'http://x/v3/kv'
        )
        self.assertIn('authentication failed', str(error))
        self.assertNotIn('hush', f'{error}{self.log.output}')

    def test_certificates(self) -> None:
        session = self.session()
        self.assertIs(True, session._session.verify)
        endpoints = session._endpoints._replace(
            files=tls.Files('ca', 'cert', 'key')
        )
        made = gateway.Gateway(endpoints, 1.0)._session
        self.assertEqual(('ca', ('cert', 'key')), (made.verify, made.cert))


class Client(fake.Client):
    """A client that counts the keys that it receives."""

    def __init__(self, cluster: fake.Cluster) -> None:
        self._cluster = cluster
        self.keys: list[int] = []

    def travel(self) -> None:
        pass

    def transaction(self, txn: Any) -> Any:
        self.meanwhile()
        found = super().transaction(txn)
        for each in found['responses']:
            if txn['compare']:
                kvs = each['response_range'].get('kvs', ())
                self.keys.append(len(kvs))
        return found

    def meanwhile(self) -> None:
        """Called before each transaction, for changes by other clients."""


class GroupTest(base.TestCase):
    """Which keys of a group are read."""

    def setUp(self) -> None:
        super().setUp()
        self.cluster = fake.Cluster(1e9)
        self.client = Client(self.cluster)
        self.group = members.Group(fake.KEY, clock=self.clock)

    def join(self, host: str, lease: int | None = None) -> bytes:
        member = naming.member_id(host)
        self.cluster.transact(
            members.join(fake.KEY, member, lease or self.cluster.grant(), b'x')
        )
        return member

    def read(self) -> members.State:
        return self.group.read(self.client)

    def test_what_has_not_changed_is_not_read_again(self) -> None:
        ids = {self.join('a'), self.join('b')}
        for _ in range(3):
            self.assertEqual(ids, self.read().ids)
        # With the key of the group.
        self.assertEqual([3], self.client.keys)

    def test_only_what_has_come_is_read(self) -> None:
        ids = {self.join(host) for host in 'abcd'}
        self.read()
        ids.add(self.join('e'))
        self.assertEqual(ids, self.read().ids)
        self.assertEqual([5, 1], self.client.keys)

    def test_all_is_read_when_something_has_gone(self) -> None:
        lease = self.cluster.grant()
        self.join('a', lease)
        ids = {self.join('b')}
        self.read()
        self.cluster.revoke(lease)
        self.assertEqual(ids, self.read().ids)
        # One that has come in its place does not hide it.
        lease = self.cluster.grant()
        gone = self.join('c', lease)
        self.read()
        self.cluster.revoke(lease)
        ids.add(self.join('d'))
        self.assertEqual(ids, self.read().ids)
        self.assertNotIn(gone, self.read().ids)

    def test_there_is_no_group(self) -> None:
        self.cluster.wipe()
        self.assertEqual((None, frozenset()), self.read()[::2])

    def test_a_group_that_is_recreated_has_another_marker(self) -> None:
        self.join('a')
        before = self.read()
        self.cluster.wipe()
        ids = {self.join('b')}
        after = self.read()
        self.assertEqual(ids, after.ids)
        self.assertNotEqual(before.marker, after.marker)

    def test_a_recreated_group_is_read_though_its_revision_is_higher(
        self,
    ) -> None:
        self.join('a')
        self.read()
        self.cluster.wipe()
        for _ in range(9):
            ids = {self.join('b')}
            self.cluster.empty()
        ids = {self.join('c')}
        self.assertEqual(ids, self.read().ids)

    def test_a_snapshot_was_restored_in_an_outage(self) -> None:
        self.restore(
            lambda: self.assertRaises(
                exceptions.BackendUnreachable, self.group.read, _Unreachable()
            )
        )

    def test_a_snapshot_was_restored_during_a_pause(self) -> None:
        self.restore(lambda: self.clock.advance(pace.IDLE + 1))

    def restore(self, meanwhile: Any) -> None:
        """Restore a snapshot, and write until the revision is the same."""
        self.join('a')
        before = dict(self.cluster._keys)
        revision = self.cluster._revision
        self.join('b')
        self.read()
        meanwhile()
        self.cluster._keys, self.cluster._revision = before, revision
        ids = {self.join('c')} | {
            base64.b64decode(each)[len(fake.KEY) :]
            for each in before
            if each != members.encode(fake.KEY)
        }
        self.assertEqual(ids, self.read().ids)

    def test_a_group_that_is_emptied_while_it_is_read(self) -> None:
        """It is emptied between the two questions of a read."""
        self.join('a')
        self.read()
        self.join('b')
        steps = [lambda: None, self.cluster.empty]
        self.client.meanwhile = lambda: steps.pop(0)()
        self.assertRaises(exceptions.BackendError, self.read)

    def test_joining_again_changes_nothing(self) -> None:
        lease = self.cluster.grant()
        joining = members.join(fake.KEY, b'a@1', lease, b'x')
        answers = [self.cluster.transact(joining) for _ in range(3)]
        self.assertEqual(
            [False, True, True], [each['succeeded'] for each in answers]
        )

    def test_joining_takes_a_key_back_from_another_lease(self) -> None:
        mine, other = self.cluster.grant(), self.cluster.grant()
        for lease in (other, mine):
            self.cluster.transact(members.join(fake.KEY, b'a@1', lease, b'x'))
        self.cluster.revoke(other)
        self.assertEqual({b'a@1'}, self.read().ids)

    def test_namespaces_and_groups_are_apart(self) -> None:
        keys = [
            members.key(*each)
            for each in (('n', b'compute'), ('n', b'com'), ('na', b'compute'))
        ]
        for one in keys:
            for other in keys:
                self.assertEqual(one == other, one.startswith(other))


class _Unreachable:
    def transaction(self, txn: Any) -> Any:
        raise exceptions.BackendUnreachable('etcd', 'away')


class Asked:
    """A coordinator that answers at once."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.capabilities: Any = {'machine': 'somewhere'}

    def read(self, group: members.Group) -> Any:
        return _Done(group.read(self.client))

    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        return _Done(self.capabilities)


class _Done:
    def __init__(self, value: Any) -> None:
        self._value = value

    def done(self) -> bool:
        return True

    def get(self) -> Any:
        return self._value


class GroupReaderTest(base.TestCase):
    """Which readings are evidence of absence."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf('[etcd]\naddress = h1\n')
        self.cluster = fake.Cluster(1e9)
        self.asked = Asked(Client(self.cluster))
        backend = types.SimpleNamespace(
            settings=configuration.Settings(conf),
            connection=self,
            patience=pace.Patience(2.0),
        )
        self.reader = driver.GroupReader(backend, 'compute')
        self.addCleanup(self.reader.observer.close)
        self.leases: dict[str, int] = {}

    backend = 'etcd'

    @contextlib.contextmanager
    def use(self, deadline: Any) -> Any:
        yield starting.Connected(self.asked, b'reader')

    def join(self, *hosts: str) -> None:
        for host in hosts:
            self.leases[host] = lease = self.cluster.grant()
            member = naming.member_id(host)
            self.cluster.transact(members.join(fake.KEY, member, lease, b'x'))

    def leave(self, *hosts: str) -> None:
        for host in hosts:
            self.cluster.revoke(self.leases.pop(host))

    def test_a_member_that_is_not_in_the_group_has_left(self) -> None:
        self.join('a', 'B')
        found = evidence.Reading(frozenset('ab'))
        self.assertEqual(found, self.reader.read(1.0))
        self.leave('a', 'B')
        found = evidence.Reading(frozenset())
        self.assertEqual(found, self.reader.read(1.0))

    def test_a_group_that_is_not_there_is_no_evidence(self) -> None:
        self.join('a')
        self.reader.read(1.0)
        self.cluster.empty()
        self.assertEqual(
            evidence.Reading(frozenset(), evidence.EMPTIED, complete=False),
            self.reader.read(1.0),
        )

    def test_nor_is_one_that_was_recreated_since_the_last_read(self) -> None:
        """The loss of two members is not a mass loss."""
        self.join('a', 'b')
        self.reader.read(1.0)
        self.cluster.empty()
        self.join('a')
        self.assertEqual(
            evidence.Reading(frozenset('a'), evidence.EMPTIED, complete=False),
            self.reader.read(1.0),
        )
        self.assertIsNone(self.reader.read(1.0).doubt)

    def test_nor_is_one_where_most_members_have_rejoined(self) -> None:
        self.join('a', 'b', 'c')
        self.reader.read(1.0)
        self.leave('a', 'b', 'c')
        self.join('a', 'b')
        self.assertEqual(
            evidence.Reading(
                frozenset('ab'), evidence.REJOINED, complete=False
            ),
            self.reader.read(1.0),
        )

    def test_foreign_keys_are_ignored_with_one_warning(self) -> None:
        self.join('a')
        for name in (b'lock-1', b'\xff\x00', b'x' * 99999, b'%zz@1'):
            self.cluster._put(
                {'key': members.encode(fake.KEY + name), 'value': ''},
                self.cluster._revision + 1,
            )
        for _ in range(2):
            self.assertEqual({'a'}, self.reader.read(1.0).present)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_where_members_run(self) -> None:
        self.join('a')
        self.reader.observer.is_up('a')
        (member,) = self.reader.view(True).members
        self.assertEqual('somewhere', member.incarnations[0].machine)


class Server:
    """The session of a coordinator, with one server in memory.

    :ivar hung: set: it has got a request, which it does not answer
    :ivar thawed: set: it answers
    """

    def __init__(self, cluster: fake.Cluster) -> None:
        self._cluster = cluster
        self.hung, self.thawed = threading.Event(), threading.Event()
        self.thawed.set()
        self.close = self.hung.clear

    def post(self, url: str, json: Any = None, **how: Any) -> gateway.Answer:
        asked = jsonlib.loads(how['data']) if 'data' in how else json
        if not self.thawed.is_set():
            self.hung.set()
            self.thawed.wait(10)
        return gateway.Answer(200, jsonlib.dumps(self._answer(url, asked)))

    def _answer(self, url: str, asked: Any) -> Any:
        if url.endswith('/kv/txn'):
            return self._cluster.transact(asked)
        if url.endswith('/lease/grant'):
            return {'ID': str(self._cluster.grant())}
        if url.endswith('/lease/revoke'):
            return self._cluster.revoke(asked['ID'])
        kept = self._cluster.keep_alive(asked['ID'])
        return {'result': {'TTL': '10'} if kept else {}}


class StopTest(base.TestCase):
    """A coordinator that is stopped while a heartbeat is under way."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf('[etcd]\naddress = h1\n')
        self.cluster = fake.Cluster(1e9)
        self.server = Server(self.cluster)
        self.useFixture(
            fixtures.MockPatchObject(
                gateway, 'Gateway', lambda *args: self.server
            )
        )
        settings = configuration.Settings(conf)
        self.made = coordinator.Coordinator(settings, b'a@1')
        self.made.start()
        self.made.renew(b'compute', {}).get()

    def test_a_member_that_stops_is_gone(self) -> None:
        self.assertEqual({'a'}, self.cluster.hosts())
        self.made.stop()
        self.assertEqual(set(), self.cluster.hosts())

    def test_a_heartbeat_under_way_leaves_no_member(self) -> None:
        """Its lease has expired, so it joins with a new one."""
        self.cluster.revoke(1)
        self.server.thawed.clear()
        self.made.renew(b'compute', {})
        self.assertTrue(self.server.hung.wait(10))
        stopping = threading.Thread(target=self.made.stop)
        stopping.start()
        while not self.made._thread._work_queue.qsize():
            time.sleep(0.001)
        self.server.thawed.set()
        stopping.join(10)
        self.assertEqual(set(), self.cluster.hosts())

    def test_no_heartbeat_begins_once_it_leaves(self) -> None:
        self.server.thawed.clear()
        stopping = threading.Thread(target=self.made.stop)
        stopping.start()
        self.assertTrue(self.server.hung.wait(10))
        with contextlib.suppress(RuntimeError):
            self.made.renew(b'compute', {})
        self.server.thawed.set()
        stopping.join(10)
        self.made._thread.shutdown()
        self.assertEqual(set(), self.cluster.hosts())


class CoordinatorTest(base.TestCase):
    """How the coordinators of tooz are set up."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf('[etcd]\naddress = h1\nttl = 7\n')
        self.settings = configuration.Settings(conf)

    def test_peers_send_heartbeats_that_tooz_calls_needless(self) -> None:
        group = self.settings.peer_group('monitors', 'a')
        made = group._connection._factory.make(b'a@1')
        self.assertEqual((), made.CHARACTERISTICS)
        self.assertIsInstance(made.client.session, gateway.Gateway)

    def test_so_do_peers_by_a_url(self) -> None:
        made = peers.by_url(
            self.make_conf(), 'etcd3+http://h1', 'monitors', 'a'
        )
        coordinator = made._connection._factory.make(b'a@1')
        self.assertEqual((), coordinator.CHARACTERISTICS)

    def test_a_question_is_bounded_from_when_it_was_put(self) -> None:
        made = coordinator.Coordinator(self.settings, b'a@1')
        self.addCleanup(made._thread.shutdown)
        seen = made._submit(lambda: made._gateway.deadline.left()).get()
        self.assertLessEqual(seen, self.settings.wait)
