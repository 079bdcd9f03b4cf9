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

"""Ending the membership of another process of the host, which has died."""

import contextlib
import os
import types
from typing import Any
from unittest import mock

from pymemcache import exceptions as pymemcache

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import roster_reader
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.mc import commands
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import reading
from nova_servicegroup.drivers.mc import renewals
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import pace
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_zk

OTHER = 'ffffffff'
MARK = condition.encode(condition.Condition(condition.DEGRADED, 'rpc', 5.0))
KEY = b'key'
ENDED = b'ended'


def other() -> bytes:
    """Return a token of another process."""
    made = naming.token()
    return made[:4] + bytes.fromhex(OTHER) + made[8:]


def joined(
    host: str = 'a', incarnation: str | None = None, group: str = 'compute'
) -> services.Joined:
    """Return a membership; without an incarnation, of this process."""
    found = naming.incarnation() if incarnation is None else incarnation
    return services.Joined(host, group, found, 0)


class NamesTest(base.TestCase):
    """What tokens tell of the process that has made them."""

    def test_all_tokens_of_a_process_are_of_its_incarnation(self) -> None:
        tokens = {naming.token() for _ in range(100)}
        tokens |= {naming.token_of(naming.member_id('a')) for _ in range(100)}
        self.assertEqual(200, len(tokens))
        for each in tokens:
            self.assertEqual(naming.TOKEN, len(each))
            self.assertTrue(naming.is_of(each, naming.incarnation()))
            self.assertFalse(naming.is_of(each, OTHER))
        self.assertTrue(naming.is_of(other(), OTHER))

    def test_a_forked_child_is_another_incarnation(self) -> None:
        own = naming.incarnation()
        child = os.fork()
        if not child:
            same = naming.incarnation() == own
            is_own = naming.is_of(naming.token(), own)
            os._exit(1 if same or is_own else 0)
        self.assertEqual(0, os.waitpid(child, 0)[1])
        self.assertEqual(own, naming.incarnation())

    def test_a_foreign_token_is_of_nobody_and_of_no_time(self) -> None:
        own = naming.token()
        for each in (b'', b'8 bytes!', own[:-1], own + b'x', own[:8]):
            self.assertFalse(naming.is_of(each, naming.incarnation()), each)
            self.assertIsNone(naming.since(each), each)
        for incarnation in ('', '0', own.hex(), OTHER, naming.MARK.decode()):
            self.assertFalse(naming.is_of(own, incarnation), incarnation)

    def test_the_token_of_a_foreign_id_is_nobodys(self) -> None:
        own = naming.member_id('a')
        foreign = (
            b'',
            b'a',
            b'@',
            b'a@zz',
            b'a@\xff',
            own + b'0',
            own + b'00',
            own[:-1],
            own + b'@',
            naming.marked(own, MARK),
        )
        for each in foreign:
            token = naming.token_of(each)
            self.assertFalse(naming.is_of(token, naming.incarnation()), each)
            self.assertIsNone(naming.joined(each), each)

    def test_an_id_tells_when_it_was_made(self) -> None:
        self.set_time(base.Clock(1e9))
        self.assertEqual(1e9, naming.joined(naming.member_id('a')))
        self.assertEqual(1e9, naming.since(naming.token()))


class Client:
    """A client of memcached, for one key; others may write meanwhile."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.version = 1
        self.meanwhile = lambda: None
        #: The tokens of members that were ended.
        self.ended = b''

    def write(self, value: Any) -> None:
        self.value, self.version = value, self.version + 1

    def gets(self, key: bytes) -> tuple[Any, int | None]:
        found = self.value, None if self.value is None else self.version
        self.meanwhile()
        return found

    def append(self, key: bytes, value: bytes, **how: Any) -> bool:
        if key == ENDED and self.ended:
            self.ended += value
            return True
        return False

    def add(self, key: bytes, value: bytes, **how: Any) -> bool:
        self.ended = value
        return key == ENDED

    def touch(self, key: bytes, **how: Any) -> bool:
        return self.value is not None

    def cas(
        self, key: bytes, value: bytes, version: Any, expire: int, **how: Any
    ) -> bool:
        if version is None:
            # As pymemcache does.
            raise ValueError('cas must be an integer')
        if version != self.version or self.value is None:
            return False
        self.write(None if expire < 0 else value)
        return True


class CommandTest(base.TestCase):
    """On a memcached server."""

    def end(self, client: Client) -> Any:
        """End the membership of this process; return what there is then."""
        commands.end(
            client,  # type: ignore[arg-type]
            KEY,
            naming.incarnation(),
            ENDED,
            20,
        )
        return client.value

    def test_what_the_process_wrote_is_deleted(self) -> None:
        for mark in (None, MARK):
            value = keyspace.encode_value(naming.token(), mark)
            self.assertIsNone(self.end(Client(value)))

    def test_its_token_is_there_for_a_while(self) -> None:
        client, tokens = Client(None), set()
        for mark in (None, MARK):
            client.write(keyspace.encode_value(naming.token(), mark))
            tokens.add(keyspace.token_of(client.value))
            self.end(client)
            self.assertEqual(tokens, keyspace.tokens_of(client.ended))

    def test_one_that_cannot_be_added_there_is_ended_all_the_same(
        self,
    ) -> None:
        client = Client(naming.token())
        with mock.patch.object(
            client, 'append', side_effect=pymemcache.MemcacheServerError
        ):
            self.assertIsNone(self.end(client))

    def test_what_is_foreign_there_has_a_bound(self) -> None:
        for key in ('nova:ended', b'nova:ended'):
            found = coordinators.deserialize(key, 10**7 * b'123456789012x', 1)
            self.assertEqual(10_000 * naming.TOKEN, len(found))
        self.assertEqual({b'x'}, keyspace.tokens_of(b'x'))

    def test_ten_thousand_are_read(self) -> None:
        tokens = [naming.token() for _ in range(10_000)]
        key = keyspace.Keys('nova').ended
        found = coordinators.deserialize(key, b''.join(tokens), 1)
        self.assertEqual(set(tokens), keyspace.tokens_of(found))

    def test_nothing_else_is_touched(self) -> None:
        for value in (
            None,
            b'',
            5,
            b'8 bytes!',
            'text',
            other(),
            keyspace.encode_value(other(), MARK),
            other() + naming.token(),
        ):
            client = Client(value)
            self.assertEqual(value, self.end(client))
            self.assertEqual((1, b''), (client.version, client.ended))

    def test_what_is_renewed_meanwhile_stays(self) -> None:
        for mark in (None, MARK):
            client = Client(naming.token())
            value = keyspace.encode_value(other(), mark)
            client.meanwhile = lambda: client.write(value)  # noqa: B023
            self.assertEqual(value, self.end(client))

    def test_what_others_may_renew_is_left_to_them(self) -> None:
        for mark in (None, MARK):
            value = keyspace.as_shared(
                keyspace.encode_value(naming.token(), mark)
            )
            self.assertEqual(value, self.end(Client(value)))


class LeaveTest(base.TestCase):
    """A process that leaves a key to others, which it has seen."""

    def leave(self, value: Any) -> Any:
        client = Client(value)
        commands.leave(client, KEY, b'', 20)  # type: ignore[arg-type]
        return client.value

    def test_there_is_no_key(self) -> None:
        """The membership of the other may have been ended."""
        self.assertIsNone(self.leave(None))

    def test_what_is_foreign_stays(self) -> None:
        for value in (5, 'text', b''):
            self.assertEqual(value, self.leave(value))

    def test_the_value_stays_without_its_mark(self) -> None:
        token = other()
        for shared in (keyspace.as_shared, bytes):
            value = shared(keyspace.encode_value(token, MARK))
            self.assertEqual(shared(token), self.leave(value))


class SharedValueTest(base.TestCase):
    """A value which says that several processes renew the member."""

    def test_it_has_the_same_token_and_mark(self) -> None:
        for mark in (None, MARK):
            value = keyspace.encode_value(other(), mark)
            shared = keyspace.as_shared(value)
            self.assertTrue(keyspace.is_shared(shared))
            self.assertFalse(keyspace.is_shared(value))
            for read in (
                keyspace.token_of,
                keyspace.has_mark,
                keyspace.condition_of,
            ):
                self.assertEqual(read(value), read(shared))

    def test_it_stays_one_without_its_mark(self) -> None:
        token = other()
        shared = keyspace.as_shared(token)
        marked = keyspace.as_shared(keyspace.encode_value(token, MARK))
        self.assertEqual(shared, keyspace.without_mark(marked))
        self.assertEqual(
            token, keyspace.without_mark(keyspace.encode_value(token, MARK))
        )


class SharingTest(base.TestCase):
    """How a process knows that it shares a member with others."""

    def setUp(self) -> None:
        super().setUp()
        self.own = naming.token()
        self.renewals = renewals.Renewals(60)

    def is_shared(self, found: bytes) -> bool:
        return self.renewals.is_shared(found, self.own)

    def beat(self, times: int) -> None:
        for _ in range(times):
            self.renewals.record_success(
                storage.ServerState({}, b'marker'), self.own
            )

    def test_one_that_was_always_alone_does_not(self) -> None:
        for _ in range(3):
            self.assertFalse(self.is_shared(b''))
            self.assertFalse(self.is_shared(self.own))
            self.assertFalse(
                self.is_shared(keyspace.encode_value(self.own, MARK))
            )
            self.beat(6)

    def test_one_that_finds_the_value_of_another_does(self) -> None:
        for found in (other(), b'foreign', keyspace.as_shared(other())):
            self.assertTrue(self.is_shared(found))

    def test_it_goes_on_for_a_while_without_another_value(self) -> None:
        """The other's next check may come just after two of its own."""
        self.is_shared(other())
        self.beat(6)
        self.assertTrue(self.is_shared(self.own))
        self.beat(5)
        self.assertTrue(self.is_shared(b''))
        self.beat(1)
        self.assertFalse(self.is_shared(self.own))
        self.assertTrue(self.is_shared(other()))


class Server:
    """A memcached server of which only the values count."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.away = False
        self.ended: list[tuple[str, str]] = []

    def end(self, member_id: str, incarnation: str) -> None:
        if self.away:
            raise exceptions.BackendError(self.name, 'away')
        self.ended.append((member_id, incarnation))


class BackendTest(base.TestCase):
    """On all memcached servers."""

    def setUp(self) -> None:
        super().setUp()
        self.keys = keyspace.Keys('nova')
        self.servers = [Server(name) for name in ('one', 'two', 'three')]
        self.backend = reading.Backend(
            types.SimpleNamespace(  # type: ignore[arg-type]
                conf=self.make_conf(),
                keys=self.keys,
                servers=lambda _: self.servers,
            )
        )

    def ended(self) -> list[int]:
        return [len(server.ended) for server in self.servers]

    def test_it_ends_on_all(self) -> None:
        self.backend.end(joined())
        expected = self.keys.member('compute', 'a'), naming.incarnation()
        for server in self.servers:
            self.assertEqual([expected], server.ended)

    def test_a_host_is_the_same_with_and_without_capitals(self) -> None:
        self.backend.end(joined('A'))
        self.backend.end(joined('a'))
        for server in self.servers:
            self.assertEqual(1, len(set(server.ended)))

    def test_one_that_is_away_is_named_and_the_others_are_asked(self) -> None:
        self.servers[1].away = True
        for number in (1, 2):
            error = self.assertRaises(
                exceptions.BackendError, self.backend.end, joined()
            )
            self.assertEqual('two', error.backend)
            self.assertEqual([number, 0, number], self.ended())
        self.servers[1].away = False
        self.backend.end(joined())
        self.assertEqual([3, 1, 3], self.ended())

    def test_all_are_away(self) -> None:
        for server in self.servers:
            server.away = True
        self.assertRaises(exceptions.BackendError, self.backend.end, joined())

    def test_the_memory_of_a_process_has_no_other_members(self) -> None:
        server = storage.LocalServer(60)
        server.renew('a', other())
        server.end('a', naming.incarnation())
        self.assertEqual(1, len(server.read(['a']).values))


class Reader(roster_reader.RosterReader):
    """Reads a group that is a set, of which anything can be removed."""

    def _read(self, session: sessions.Session) -> evidence.Reading:
        coordinator = session.coordinator
        ids = session.ask('read', coordinator.get_members, session.group)
        return self._full_reading(session, ids)

    def _end_member(
        self, session: sessions.Session, member_id: bytes, mark: bytes
    ) -> None:
        members = session.coordinator.members
        session.coordinator.members = (members - {member_id}) | {mark}


class Connection(test_zk.Connection):
    """One that may have ended without its knowledge."""

    failures = 0

    @contextlib.contextmanager
    def use(self, deadline: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise exceptions.BackendError('zk', 'the connection has ended')
        with super().use(deadline) as connected:
            yield connected


class RosterReaderTest(base.TestCase):
    """On a backend that can list all member ids."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf(
            '[zookeeper]\naddress = h1\n[servicegroup]\nread_timeout = 1\n'
        )
        self.connection = Connection()
        backend = types.SimpleNamespace(
            settings=kazoo_client.Settings(conf),
            connection=self.connection,
            patience=pace.Patience(2.0),
        )
        self.reader = Reader(backend, 'compute')  # type: ignore[arg-type]
        self.addCleanup(self.reader.observer.close)

    def of_other(self, host: str) -> bytes:
        return f'{host}@{other().hex()}'.encode()

    def test_all_ids_of_that_process_and_host_go_and_no_others(self) -> None:
        mine = [naming.member_id(host) for host in ('a', 'A', 'a')]
        staying = {
            self.of_other('a'),
            naming.member_id('b'),
            naming.marked(mine[0], MARK),
            b'a@' + mine[0][-8:],
            b'lock-1',
            b'\xff',
        }
        marks = {naming.marked(each, condition.ENDED_MARK) for each in mine}
        self.connection.members = frozenset({*mine, *staying})
        for _ in range(2):
            self.reader.end(joined('A'))
            self.assertEqual(staying | marks, self.connection.members)

    def test_an_incarnation_that_is_not_there(self) -> None:
        members = {naming.member_id('a')}
        self.connection.members = set(members)
        for incarnation in (OTHER, ''):
            self.reader.end(joined('a', incarnation))
            self.assertEqual(members, self.connection.members)

    def test_a_connection_that_has_ended_is_used_again(self) -> None:
        member = naming.member_id('a')
        self.connection.members = frozenset({member})
        self.connection.failures = 1
        self.reader.end(joined())
        self.assertNotIn(member, self.connection.members)

    def test_a_backend_that_is_away(self) -> None:
        self.connection.failures = 1000
        error = self.assertRaises(
            exceptions.BackendError, self.reader.end, joined()
        )
        self.assertIn('has ended', str(error))
