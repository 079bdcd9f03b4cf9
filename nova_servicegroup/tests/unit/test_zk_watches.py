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

"""When a member on ZooKeeper reads its node, and when it need not."""

from collections.abc import Callable, Iterator
import contextlib
import types
from typing import Any
from unittest import mock

from kazoo import exceptions as kazoo_exceptions
from kazoo.protocol import states

from nova_servicegroup.drivers.common import connections
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import starting
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import registration
from nova_servicegroup.drivers.zk import watches
from nova_servicegroup.tests import base

MARK = 'degraded:rpc:5'
SESSION = 12.0


class Result:
    """A result of kazoo's.

    :param answers: returns whether it is there
    """

    def __init__(self, answers: Callable[[], bool], value: Any) -> None:
        self._answers = answers
        self._value = value

    def ready(self) -> bool:
        return self._answers()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


class Client:
    """kazoo's client, and the one server that it has.

    :ivar owners: the sessions of the nodes that are there
    :ivar gets: of which nodes it was asked
    :ivar error: what it answers instead; None: it does not
    """

    def __init__(self) -> None:
        self.client_id: tuple[int, bytes] | None = (1, b'')
        self.handler = types.SimpleNamespace(timeout_exception=TimeoutError)
        self.owners: dict[str, int] = {}
        self.gets: list[str] = []
        self.answers = True
        self.error: Exception | None = None
        self._watchers: dict[str, set[Any]] = {}

    def get_async(self, path: str, watch: Any = None) -> Result:
        self.gets.append(path.rpartition('/')[2])
        if self.error is not None:
            return self._result(self.error)
        if path not in self.owners:
            return self._result(kazoo_exceptions.NoNodeError())
        if watch is not None:
            self._watchers.setdefault(path, set()).add(watch)
        stat = types.SimpleNamespace(ephemeralOwner=self.owners[path])
        return self._result((b'', stat))

    def create_async(self, path: str, *args: Any, **how: Any) -> Result:
        self.owners[path] = self.client_id[0] if self.client_id else 0
        return self._result(path)

    def delete_async(self, path: str) -> Result:
        self.delete(path)
        return self._result(None)

    def delete(self, path: str) -> None:
        """Delete a node, as any client may."""
        del self.owners[path]
        self.tell(path, states.EventType.DELETED)

    def tell(self, path: str, what: str) -> None:
        """Have watchers of a node called, each once."""
        event = states.WatchedEvent(what, states.KeeperState.CONNECTED, path)
        for each in self._watchers.pop(path, ()):
            each(event)

    def lose(self) -> None:
        """Lose the connection, as kazoo reports it."""
        for path in list(self._watchers):
            self.tell(path, states.EventType.NONE)

    def _result(self, value: Any) -> Result:
        return Result(lambda: self.answers, value)


class Connection:
    """Lends the coordinator of the moment, without any wait."""

    backend = 'zk'

    def __init__(self, settings: kazoo_client.Settings) -> None:
        self._settings = settings
        self.renew()

    def renew(self) -> None:
        """Replace the coordinator and its client."""
        member_id = naming.member_id('a')
        self.silence = 0.0
        self.client = Client()
        self.coordinator = self._settings.make(member_id)
        self.coordinator._coord = self.client
        self.coordinator.silence = lambda: self.silence
        self.lent = starting.Connected(self.coordinator, member_id)

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[Any]:
        with requests.translated(self.backend):
            yield self.lent

    def discard(self, wait: float = 0.0) -> None:
        pass

    def close(self, wait: float) -> None:
        pass


class WatchTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        settings = kazoo_client.Settings(
            self.make_conf(
                f'[zookeeper]\naddress = h1\nsession_timeout = {SESSION:g}\n'
            )
        )
        self.connection = Connection(settings)
        with mock.patch.object(
            connections, 'Connection', lambda *how: self.connection
        ):
            self.made = registration.Registration(settings, 'a', 'compute')
        self.made._watches = watches.Watches(SESSION / 3, clock=self.clock)
        self.service = base.FakeService()
        self.made.start(self.service)
        self.made._wait = 0.1
        self.addCleanup(self.made.stop)
        self.addCleanup(self.service.stop)
        self.client.gets.clear()

    @property
    def client(self) -> Client:
        return self.connection.client

    @property
    def node(self) -> str:
        """The name of the member's node."""
        return self.connection.lent.member_id.decode()

    @property
    def path(self) -> str:
        return f'/nova_servicegroup/compute/{self.node}'

    @property
    def mark(self) -> str:
        return f'{self.path}!{MARK}'

    def beat(self) -> list[str]:
        """Run the next heartbeat; return what is read."""
        self.client.gets.clear()
        self.made.reporter.run()
        return list(self.client.gets)

    def tick(self) -> list[str]:
        """Fire the timer before it is due; return what is read."""
        self.client.gets.clear()
        self.service.fire()
        return list(self.client.gets)

    @property
    def counts(self) -> Any:
        return self.made.reporter.counts

    def test_it_is_there_and_not_read_again(self) -> None:
        self.assertEqual([self.path], list(self.client.owners))
        for _ in range(5):
            self.assertEqual([], self.beat())
            self.assertEqual([], self.tick())
            self.clock.advance(3)
        self.assertEqual((6, 0), (self.counts.beats, self.counts.failures))

    def test_it_is_read_now_and_then_all_the_same(self) -> None:
        since = self.clock()
        for _ in range(3):
            while not self.tick():
                self.clock.advance(0.5)
            taken, since = self.clock() - since, self.clock()
            self.assertGreaterEqual(taken, watches.MAX_AGE / 2)
            self.assertLessEqual(taken, watches.MAX_AGE + 0.5)

    def test_one_that_is_deleted_is_back_before_the_next_beat(self) -> None:
        for _ in range(3):
            self.client.delete(self.path)
            self.assertEqual(2 * [self.node], self.tick())
            self.assertEqual([self.path], list(self.client.owners))
            self.assertEqual([], self.beat())

    def test_one_that_is_changed_is_read_once(self) -> None:
        self.client.tell(self.path, states.EventType.CHANGED)
        self.assertEqual([self.node], self.tick())
        self.assertEqual([], self.tick())

    def test_after_a_lost_connection_it_is_read(self) -> None:
        self.client.lose()
        self.assertEqual([self.node], self.tick())
        self.assertEqual([], self.beat())

    def test_without_a_connection_it_is_asked_for(self) -> None:
        self.client.client_id = None
        self.client.error = kazoo_exceptions.ConnectionLoss()
        self.assertEqual([self.node], self.tick())
        self.assertEqual(1, self.counts.failures)
        # Until it is read, whatever else is well.
        self.client.client_id = (1, b'')
        self.assertEqual([self.node], self.tick())
        self.assertEqual(2, self.counts.failures)
        self.client.error = None
        self.assertEqual([self.node], self.tick())
        self.assertEqual([], self.tick())
        self.assertEqual(2, self.counts.failures)

    def test_a_new_session_has_a_new_node(self) -> None:
        self.client.client_id = (2, b'')
        self.client.owners.clear()
        self.assertEqual(2 * [self.node], self.tick())
        self.assertEqual({self.path: 2}, self.client.owners)

    def test_that_of_another_session_is_none(self) -> None:
        self.client.client_id = (2, b'')
        for number in (1, 2):
            self.assertEqual([self.node], self.tick())
            self.assertEqual(number, self.counts.failures)
        self.assertIn('another session', self.log.output)

    def test_a_mute_server_is_asked(self) -> None:
        last = self.counts.last_success
        self.connection.silence = SESSION / 3 + 0.1
        self.client.answers = False
        self.assertEqual([self.node], self.tick())
        self.assertEqual(last, self.counts.last_success)
        self.assertIn('no answer yet', self.log.output)
        # It is asked once, as long as it owes an answer.
        self.assertEqual([], self.tick())
        self.assertEqual(2, self.counts.failures)
        self.client.answers, self.connection.silence = True, 0.0
        self.assertEqual([], self.tick())
        self.assertEqual(2, self.counts.failures)
        self.assertLess(last, self.counts.last_success)

    def test_an_answer_that_is_out_of_date_proves_nothing(self) -> None:
        self.connection.silence = SESSION
        self.client.answers = False
        self.tick()
        self.connection.silence = 0.0
        self.client.answers = True
        self.client.delete(self.path)
        self.assertEqual([], self.tick())
        self.assertEqual(2 * [self.node], self.tick())
        self.assertEqual([self.path], list(self.client.owners))

    def test_one_that_has_answered_in_time_is_not_asked(self) -> None:
        self.connection.silence = SESSION / 3
        self.assertEqual([], self.tick())

    def test_another_coordinator_has_a_node_of_its_own(self) -> None:
        self.connection.renew()
        self.assertEqual(2 * [self.node], self.beat())
        self.assertEqual([], self.tick())

    def test_one_that_refuses_to_be_read_is_lost(self) -> None:
        self.client.error = kazoo_exceptions.NoAuthError()
        self.clock.advance(watches.MAX_AGE)
        self.tick()
        self.assertEqual(1, self.counts.failures)
        self.assertIn('NoAuth', self.log.output)

    def test_a_kazoo_that_has_changed_is_read_with_each_beat(self) -> None:
        del self.connection.coordinator.silence
        for _ in range(3):
            self.assertEqual([self.node], self.beat())
            self.assertEqual([], self.tick())

    def test_a_mark_is_read_no_more_often(self) -> None:
        self.made.mark(MARK)
        self.assertIn(self.mark, self.client.owners)
        self.assertEqual([f'{self.node}!{MARK}'], self.beat())
        for _ in range(3):
            self.assertEqual([], self.beat())
            self.assertEqual([], self.tick())

    def test_a_mark_that_is_deleted_is_back_as_soon(self) -> None:
        self.made.mark(MARK)
        self.beat()
        self.client.delete(self.mark)
        self.assertEqual([f'{self.node}!{MARK}'], self.tick())
        self.assertIn(self.mark, self.client.owners)

    def test_a_mark_that_was_taken_back_is_not_missed(self) -> None:
        self.made.mark(MARK)
        self.beat()
        self.made.mark(None)
        self.assertNotIn(self.mark, self.client.owners)
        self.assertEqual([], self.tick())
        self.assertEqual([], self.beat())

    def test_a_mark_of_another_session_is_read_with_each_beat(self) -> None:
        self.client.owners[self.mark] = 7
        self.made.mark(MARK)
        self.assertEqual([f'{self.node}!{MARK}'], self.beat())
        self.assertEqual([], self.tick())

    def test_a_stopped_member_reads_nothing(self) -> None:
        self.made.stop()
        self.client.delete(self.path)
        self.assertEqual([], self.tick())
