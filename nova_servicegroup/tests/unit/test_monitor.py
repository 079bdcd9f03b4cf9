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


import json
import pathlib
from typing import Any

import nova_servicegroup
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import gathering
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import announcer
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import payload
from nova_servicegroup.monitor import sender
from nova_servicegroup import roll
from nova_servicegroup.tests import base
from nova_servicegroup import watcher

ROOT = pathlib.Path(nova_servicegroup.__file__).parents[1]


def entry(state: str = drivers.DOWN, **how: Any) -> ledger.Entry:
    change = watcher.Transition(
        1_800_000_000.5, 'compute', 'a', drivers.UP, state, 'because', **how
    )
    verdict = drivers.DOWN if state == roll.FORCED_DOWN else state
    return ledger.Entry(change, verdict, 0.0)


class PayloadTest(base.TestCase):
    def test_down(self) -> None:
        said = payload.payload(entry(proof_age=1.23456), 'zk')
        self.assertEqual(
            {
                'nova_servicegroup_object.name': 'MemberPayload',
                'nova_servicegroup_object.version': payload.VERSION,
                'nova_servicegroup_object.namespace': 'nova_servicegroup',
                'nova_servicegroup_object.data': {
                    'host': 'a',
                    'group': 'compute',
                    'driver': 'zk',
                    'state': 'down',
                    'since': '2027-01-15T08:00:00.500000+00:00',
                    'reason': 'because',
                    'proof_age': 1.235,
                    'forced_down': False,
                },
            },
            json.loads(json.dumps(said)),
        )

    def test_the_example_of_the_documentation_is_of_this_version(self) -> None:
        path = ROOT / 'doc/source/admin/notification.json'
        shown = json.loads(path.read_text())
        said = payload.payload(entry(), 'zk')
        data = 'nova_servicegroup_object.data'
        self.assertEqual(said[data].keys(), shown['payload'].pop(data).keys())
        del said[data]
        self.assertEqual(said, shown['payload'])
        self.assertEqual(
            payload.event_type('down'),
            (shown['event_type'], shown['priority']),
        )

    def test_forced_down(self) -> None:
        said = payload.payload(entry(roll.FORCED_DOWN), 'zk')
        data = said['nova_servicegroup_object.data']
        self.assertEqual(
            ('down', True, None),
            (data['state'], data['forced_down'], data['proof_age']),
        )


class AnnouncerTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.book = ledger.Ledger(5.0, clock=self.clock)
        self.book.begin('compute', {'a': 'up', 'b': 'up'})
        self.leads = True
        self.sent: list[str] = []
        self.error: Exception | None = None
        self.announcer = announcer.Announcer(
            self.book, lambda: self.leads, self._send, clock=self.clock
        )
        for host in 'ab':
            self.book.note(
                [watcher.Transition(0.0, 'compute', host, 'up', 'down', '')]
            )

    def _send(self, sent: ledger.Entry) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(sent.transition.host)

    def test_in_order_while_it_leads(self) -> None:
        self.leads = False
        self.announcer.announce()
        self.assertEqual([], self.sent)
        self.leads = True
        self.announcer.announce()
        self.announcer.announce()
        self.assertEqual(['a', 'b'], self.sent)

    def test_an_end_of_the_lease_ends_it_between_two(self) -> None:
        lease = iter([True, False])
        self.announcer = announcer.Announcer(
            self.book, lambda: next(lease), self._send, clock=self.clock
        )
        self.announcer.announce()
        self.assertEqual(['a'], self.sent)

    def test_again_until_it_is_delivered(self) -> None:
        self.error = exceptions.BackendError('topic t', 'away')
        for _ in range(100):
            self.announcer.announce()
            self.clock.advance(10)
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.assertIn('away', self.log_lines('WARNING')[0])
        self.error = None
        self.announcer.announce()
        self.assertEqual(['a', 'b'], self.sent)
        self.assertEqual(1, len(self.log_lines('INFO')))

    def test_with_a_pause(self) -> None:
        self.error = exceptions.BackendError('topic t', 'away')
        self.announcer.announce()
        self.error = None
        self.announcer.announce()
        self.assertEqual([], self.sent)
        self.clock.advance(5)
        self.announcer.announce()
        self.assertEqual(['a', 'b'], self.sent)


class SenderTest(base.TestCase):
    def test_a_url_that_cannot_be_used_is_told_without_its_password(
        self,
    ) -> None:
        for url in ('what://user:hush@host/', 'user:hush'):
            conf = self.make_conf(f'[DEFAULT]\ntransport_url = {url}\n')
            error = self.assertRaises(
                exceptions.ConfigurationError, sender.Sender, conf, 'me'
            )
            self.assertIn('[DEFAULT] transport_url', str(error))
            self.assertNotIn('hush', str(error))


class Backend:
    """Where monitors meet; which of them are there is told."""

    def __init__(self, clock: base.Clock) -> None:
        self.clock = clock
        self.members: dict[bytes, Any] = {}
        self.away = False

    def monitor(self, seconds: int) -> 'Place':
        """Return the place of a monitor that was started at a time."""
        return Place(self, f'm@{seconds:08x}00000000'.encode())


class Place:
    """One monitor's gathering.Gathering."""

    expiry = 10

    def __init__(self, backend: Backend, me: bytes) -> None:
        self.backend = backend
        self.me = me
        self.since: float | None = None

    def meet(self) -> gathering.Meeting:
        self._check(self.backend.away)
        if self.since is None:
            self.since = self.backend.clock()
            self.backend.members[self.me] = None
        self._check(self.me not in self.backend.members)
        others = dict(self.backend.members)
        del others[self.me]
        return gathering.Meeting(
            self.me, self.since, others, self.backend.clock()
        )

    def publish(self, value: bytes) -> float:
        self._check(self.backend.away)
        self._check(self.me not in self.backend.members)
        self.backend.members[self.me] = value
        return self.backend.clock()

    def close(self, wait: float) -> None:
        del self.backend.members[self.me]

    def expire(self) -> None:
        """Lose the membership, and come back as the youngest."""
        del self.backend.members[self.me]
        self.since = None
        self.me = f'm@{int(self.backend.clock()):08x}00000000'.encode()

    @staticmethod
    def _check(failed: bool) -> None:
        if failed:
            raise exceptions.BackendError('backend', 'away')


class ElectionTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.backend = Backend(self.clock)
        self.places = [self.backend.monitor(each) for each in (1, 2, 3)]
        self.books = [self._book() for _ in self.places]
        self.monitors = [
            election.Election(book, place, clock=self.clock)
            for book, place in zip(self.books, self.places, strict=True)
        ]

    def _book(self) -> ledger.Ledger:
        book = ledger.Ledger(5.0, clock=self.clock)
        book.begin('compute', {'a': 'up'})
        return book

    def attend(self, *monitors: election.Election, times: int = 4) -> None:
        for _ in range(times):
            for each in monitors or self.monitors:
                each.attend()
                self.assertLessEqual(self.leaders().count(True), 1)
            self.clock.advance(0.5)

    def leaders(self) -> list[bool]:
        return [each.leads() for each in self.monitors]

    def test_the_one_that_joined_first_leads(self) -> None:
        self.attend(times=8)
        self.assertEqual([True, False, False], self.leaders())
        self.assertEqual(
            1,
            len([x for x in self.log_lines('INFO') if 'announces now' in x]),
        )

    def test_who_has_just_joined_waits_for_the_lease_of_others(self) -> None:
        self.attend(*self.monitors[1:], times=8)
        self.assertEqual([False, True, False], self.leaders())
        # Its clock is behind, so it counts as the oldest.
        self.monitors[0].attend()
        self.assertEqual([False, True, False], self.leaders())
        self.attend(times=8)
        self.assertEqual([True, False, False], self.leaders())

    def test_a_lease_ends_by_itself(self) -> None:
        self.attend()
        self.clock.advance(0.9)
        self.assertTrue(self.monitors[0].leads())
        self.clock.advance(0.1)
        self.assertFalse(self.monitors[0].leads())

    def test_while_the_backend_is_away_nobody_leads(self) -> None:
        self.attend()
        self.backend.away = True
        self.attend(times=20)
        self.assertEqual([False] * 3, self.leaders())
        warnings = self.log_lines('WARNING')
        self.assertEqual(3, len(warnings))
        self.backend.away = False
        self.attend()
        self.assertEqual([True, False, False], self.leaders())
        self.assertEqual(
            3, len([x for x in self.log_lines('INFO') if 'meet again' in x])
        )

    def test_the_next_one_takes_over_what_was_not_announced(self) -> None:
        self.attend()
        for book in self.books:
            book.note([self._down('a'), self._new('b')])
        self.books[0].told(self.books[0].due())
        self.attend(times=1)
        self.monitors[0].leave(1.0)
        self.attend(*self.monitors[1:], times=1)
        self.assertEqual([False, True, False], self.leaders())
        self.assertEqual('b', self.books[1].due().transition.host)

    def test_who_was_frozen_stands_by_and_says_so(self) -> None:
        self.attend()
        self.places[0].expire()
        self.clock.advance(2.0)
        self.attend(*self.monitors[1:])
        self.assertEqual([False, True, False], self.leaders())
        self.clock.advance(1000.0)
        self.places[0].me = self.backend.monitor(1000).me
        self.attend(times=10)
        self.assertEqual([False, True, False], self.leaders())
        self.assertEqual(
            ['This monitor announces no more: another one does.'],
            self.log_lines('WARNING'),
        )

    def test_foreign_words_are_ignored(self) -> None:
        self.attend()
        self.backend.members[self.places[2].me] = b'what?'
        self.attend()
        self.assertEqual([True, False, False], self.leaders())

    def _down(self, host: str) -> watcher.Transition:
        return watcher.Transition(0.0, 'compute', host, 'up', 'down', '')

    def _new(self, host: str) -> watcher.Transition:
        return watcher.Transition(0.0, 'compute', host, None, 'up', 'joined')


class GatherTest(base.TestCase):
    def gather(self, text: str, url: str | None = None) -> Any:
        conf = self.make_conf(text)
        return gathering.gather(conf, election.GROUP, 'a', url)

    def test_the_backend_of_the_driver(self) -> None:
        zk = self.gather(
            '[DEFAULT]\nservicegroup_driver = zk\n[zookeeper]\n'
            'address = zk1:1\nsession_timeout = 7\n'
        )
        self.assertEqual(('ZooKeeper zk1:1', 7), (zk.backend, zk.expiry))
        mc = self.gather(
            '[DEFAULT]\nservicegroup_driver = mc\n'
            'memcached_servers = mc1:1,mc2:1\n'
        )
        self.assertEqual('memcached mc1:1', mc.backend)

    def test_without_a_backend(self) -> None:
        self.assertIsNone(self.gather(''))
        self.assertIsNone(self.gather('[DEFAULT]\nservicegroup_driver = mc\n'))

    def test_a_url_wins_and_keeps_its_secret(self) -> None:
        made = self.gather('', 'redis://user:hush@r1:1')
        self.assertEqual('redis://r1', made.backend)
        error = self.assertRaises(
            exceptions.ConfigurationError, self.gather, '', 'what://hush@a'
        )
        self.assertIn('[servicegroup_monitor] backend_url', str(error))
        self.assertIn('zookeeper', str(error))
        self.assertNotIn('hush', str(error))
