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


from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import itertools
import json
import pathlib
import random
from typing import Any
from unittest import mock
import uuid

import fixtures
from tooz import coordination

import nova_servicegroup
from nova_servicegroup import api
from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.common import starting
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import daemon
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import entries
from nova_servicegroup.monitor import outbox
from nova_servicegroup.monitor import publication
from nova_servicegroup.monitor import role
from nova_servicegroup.monitor import sender
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_tooz
from nova_servicegroup.tests.unit import test_watcher
from nova_servicegroup.tests.unit import test_web
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher
from nova_servicegroup.web import server

SLACK = 5.0

ROOT = pathlib.Path(nova_servicegroup.__file__).parents[1]


def entry(state: str = views.DOWN, **how: Any) -> entries.Entry:
    change = watcher.Transition(
        1_800_000_000.5, 'compute', 'a', views.UP, state, 'because', **how
    )
    verdict = views.DOWN if state == inventory.FORCED_DOWN else state
    return entries.Entry(change, verdict, 0.0, 'id')


class PayloadTest(base.TestCase):
    def test_down(self) -> None:
        said = sender.payload(entry(proof_age=1.23456), 'zk')
        self.assertEqual(
            {
                'nova_servicegroup_object.name': 'MemberPayload',
                'nova_servicegroup_object.version': sender.VERSION,
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
                    'condition': None,
                    'condition_since': None,
                    'evidence': 'unknown',
                    'domain': None,
                },
            },
            json.loads(json.dumps(said)),
        )

    def test_a_domain(self) -> None:
        change = watcher.Transition(
            1_800_000_000.5,
            'compute domains',
            'rack1',
            views.UP,
            views.DOWN,
            'because',
            hosts=('a', 'b'),
        )
        lost = entries.Entry(change, views.DOWN, 0.0, 'id')
        self.assertEqual(
            ('servicegroup.domain.lost', 'WARN'), sender.event(lost)
        )
        said = json.loads(json.dumps(sender.payload(lost, 'zk')))
        name = said['nova_servicegroup_object.name']
        self.assertEqual('DomainPayload', name)
        self.assertEqual(
            {
                'domain': 'rack1',
                'group': 'compute',
                'driver': 'zk',
                'state': 'lost',
                'since': '2027-01-15T08:00:00.500000+00:00',
                'reason': 'because',
                'hosts': ['a', 'b'],
            },
            said['nova_servicegroup_object.data'],
        )
        back = dataclasses.replace(lost, state=views.UP)
        self.assertEqual(
            ('servicegroup.domain.recovered', 'INFO'), sender.event(back)
        )

    def test_the_example_of_the_documentation_is_of_this_version(self) -> None:
        path = ROOT / 'doc/source/admin/notification.json'
        shown = json.loads(path.read_text())
        said = sender.payload(entry(), 'zk')
        data = 'nova_servicegroup_object.data'
        self.assertEqual(said[data].keys(), shown['payload'].pop(data).keys())
        del said[data]
        self.assertEqual(said, shown['payload'])
        self.assertEqual(
            sender.EVENT_TYPES['down'],
            (shown['event_type'], shown['priority']),
        )

    def test_of_no_use(self) -> None:
        for state, event_type, priority in (
            ('degraded', 'servicegroup.member.degraded', 'WARN'),
            ('draining', 'servicegroup.member.draining', 'INFO'),
        ):
            found = test_watcher.unfit(state)
            shown = sender.payload(entry(state, condition=found), 'zk')
            data = shown['nova_servicegroup_object.data']
            self.assertEqual(
                (state, 'rpc', '2027-01-15T07:58:30+00:00'),
                (data['state'], data['condition'], data['condition_since']),
            )
            self.assertEqual((event_type, priority), sender.EVENT_TYPES[state])

    def test_evidence(self) -> None:
        for state, evidence, shown in (
            ('down', 'silent', 'silent'),
            ('down', None, 'unknown'),
            ('forced down', 'forced', 'forced'),
            ('up', None, None),
            ('degraded', None, None),
        ):
            said = sender.payload(entry(state, evidence=evidence), 'zk')
            data = said['nova_servicegroup_object.data']
            self.assertEqual(shown, data['evidence'])

    def test_the_types_of_notifications(self) -> None:
        found = entry(evidence='silent')
        self.assertEqual(
            ('servicegroup.member.down', 'WARN'), sender.event(found)
        )
        found.only_evidence = True
        self.assertEqual(
            ('servicegroup.member.evidence', 'WARN'), sender.event(found)
        )

    def test_forced_down(self) -> None:
        said = sender.payload(entry(inventory.FORCED_DOWN), 'zk')
        data = said['nova_servicegroup_object.data']
        self.assertEqual(
            ('down', True, None),
            (data['state'], data['forced_down'], data['proof_age']),
        )


class Lead:
    """An election whose result a test sets, and a sender that records."""

    def __init__(self) -> None:
        self.lease = itertools.repeat(True)
        self.error: Exception | None = None
        self.sent: list[str] = []

    def leads(self) -> bool:
        return next(self.lease)

    def send(self, entry: entries.Entry) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(entry.transition.host)


class AnnouncerTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.useFixture(
            fixtures.MockPatchObject(
                backoff.CircuitBreaker.__init__,
                '__kwdefaults__',
                {'clock': self.clock},
            )
        )
        self.outbox = outbox.Outbox()
        self.outbox.begin('compute', {'a': 'up', 'b': 'up'})
        self.lead = Lead()
        self.announcer = sender.Announcer(self.outbox, self.lead, self.lead)
        for host in 'ab':
            self.outbox.add(
                [watcher.Transition(0.0, 'compute', host, 'up', 'down', '')]
            )
        self.outbox.published(self.outbox.to_publish())

    def test_in_order_while_it_leads(self) -> None:
        self.lead.lease = itertools.repeat(False)
        self.announcer.work()
        self.assertEqual([], self.lead.sent)
        self.lead.lease = itertools.repeat(True)
        self.announcer.work()
        self.announcer.work()
        self.assertEqual(['a', 'b'], self.lead.sent)

    def test_an_end_of_the_lease_ends_it_between_two(self) -> None:
        self.lead.lease = iter([True, False])
        self.announcer.work()
        self.assertEqual(['a'], self.lead.sent)

    def test_again_until_it_is_delivered(self) -> None:
        self.lead.error = exceptions.BackendError('topic t', 'away')
        for _ in range(100):
            self.announcer.work()
            self.clock.advance(10)
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.assertIn('away', self.log_lines('WARNING')[0])
        self.lead.error = None
        self.announcer.work()
        self.assertEqual(['a', 'b'], self.lead.sent)
        (line,) = self.log_lines('INFO')
        self.assertIn('after 1000.0 s', line)

    def test_with_a_pause(self) -> None:
        self.lead.error = exceptions.BackendError('topic t', 'away')
        self.announcer.work()
        self.lead.error = None
        self.announcer.work()
        self.assertEqual([], self.lead.sent)
        self.clock.advance(5)
        self.announcer.work()
        self.assertEqual(['a', 'b'], self.lead.sent)


class SenderTest(base.TestCase):
    def test_a_url_that_cannot_be_used_is_named_without_its_password(
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
    """The backend of the monitors, with the members that a test sets."""

    def __init__(self, clock: base.Clock) -> None:
        self.clock = clock
        self.members: dict[bytes, Any] = {}
        # When members expire that are not renewed.
        self.gone: dict[bytes, float] = {}
        self.away = False
        # Whether the backend does not answer what a member published.
        self.is_unread: Callable[[], bool] = lambda: False

    def expire(self) -> None:
        for each, due in list(self.gone.items()):
            if self.clock() >= due:
                del self.gone[each]
                self.members.pop(each, None)

    def monitor(self, seconds: int) -> 'FakePeerGroup':
        """Return the peer group of a monitor that started at a time."""
        return FakePeerGroup(self, f'm@{seconds:08x}0000000000000000'.encode())


class FakePeerGroup:
    """One monitor's peers.PeerGroup."""

    expiry = 10

    def __init__(self, backend: Backend, me: bytes) -> None:
        self.backend = backend
        self.me = me
        self.since: float | None = None

    def read(self) -> peers.Peers:
        self._check(self.backend.away)
        self.backend.expire()
        if self.since is not None and self.me not in self.backend.members:
            self.since = None
            now = self.backend.clock()
            self.me = (
                f'm@{int(now):08x}{int(now % 1 * 1e9):08x}00000000'.encode()
            )
            self._check(True)
        if self.since is None:
            self.since = self.backend.clock()
            self.backend.members[self.me] = None
        self._check(self.me not in self.backend.members)
        others = {
            each: None if self.backend.is_unread() else said
            for each, said in self.backend.members.items()
            if each != self.me
        }
        return peers.Peers(self.me, self.since, others, self.backend.clock())

    def publish(self, value: bytes) -> float:
        self._check(self.backend.away)
        self._check(self.me not in self.backend.members)
        self.backend.members[self.me] = value
        return self.backend.clock()

    def close(self, wait: float) -> None:
        del self.backend.members[self.me]

    def expire(self) -> None:
        """Lose the membership, and rejoin as the youngest."""
        del self.backend.members[self.me]
        self.since = None
        self.me = f'm@{int(self.backend.clock()):08x}0000000000000000'.encode()

    @staticmethod
    def _check(failed: bool) -> None:
        if failed:
            raise exceptions.BackendError('backend', 'away')


class ElectionTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self) -> None:
        self.set_time()
        self.backend = Backend(self.clock)
        self.groups = [self.backend.monitor(each) for each in (1, 2, 3)]
        self.outboxes = [self._new_outbox() for _ in self.groups]
        self.monitors = [
            election.Election(box, group, SLACK)
            for box, group in zip(self.outboxes, self.groups, strict=True)
        ]

    def _new_outbox(self) -> outbox.Outbox:
        box = outbox.Outbox()
        box.begin('compute', {'a': 'up'})
        return box

    def due(self, number: int = 0) -> list[str]:
        """Return the hosts whose entries an outbox would send."""
        return [each.transition.host for each in self.outboxes[number].due()]

    def send(self, number: int = 0) -> None:
        """Send the first entry that is due."""
        self.outboxes[number].sent(self.outboxes[number].due()[0])

    def attend(self, *monitors: election.Election, times: int = 4) -> None:
        for _ in range(times):
            for each in monitors or self.monitors:
                each.work()
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

    def test_who_has_just_joined_takes_nothing_from_a_leader(self) -> None:
        self.attend(*self.monitors[1:], times=8)
        self.assertEqual([False, True, False], self.leaders())
        # Its clock is behind, so it counts as the oldest.
        self.attend(times=40)
        self.assertEqual([False, True, False], self.leaders())
        self.monitors[1].leave(1.0)
        self.attend(self.monitors[0], self.monitors[2], times=1)
        self.assertEqual([True, False, False], self.leaders())

    def unready(self) -> list[str | None]:
        return [role.Role(each).unready() for each in self.monitors]

    def test_ready_is_who_leads_or_follows(self) -> None:
        self.assertEqual(['the monitors cannot meet'] * 3, self.unready())
        self.monitors[0].work()
        self.assertEqual('not decided yet', self.unready()[0])
        self.attend(times=8)
        self.assertEqual([None] * 3, self.unready())
        # One that hangs, or is cut off, cannot say that it follows.
        self.attend(self.monitors[0], times=20)
        self.assertEqual(
            [None, *['the monitors cannot meet'] * 2], self.unready()
        )
        self.backend.away = True
        self.attend(times=20)
        self.assertEqual(['the monitors cannot meet'] * 3, self.unready())
        self.backend.away = False
        self.attend(times=8)
        self.assertEqual([None] * 3, self.unready())

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
        for box in self.outboxes:
            box.add([self._down('a'), self._new('b')])
        self.attend(times=1)
        self.send()
        self.attend(times=1)
        self.monitors[0].leave(1.0)
        self.attend(*self.monitors[1:], times=1)
        self.assertEqual([False, True, False], self.leaders())
        self.assertEqual(['b'], self.due(1))

    def test_and_what_was_not_published_with_the_same_id(self) -> None:
        self.attend(times=8)
        for box in self.outboxes:
            box.add([self._down('a')])
        first = self.outboxes[0].due()
        self.send()
        self.monitors[0].leave(1.0)
        self.attend(*self.monitors[1:], times=1)
        again = self.outboxes[1].due()
        self.assertEqual(first[0].message_id, again[0].message_id)

    def test_what_one_sees_alone_is_dropped_when_it_is_over(self) -> None:
        self.attend()
        self.outboxes[1].add([self._down('a'), self._up('a')])
        self.attend(times=int(SLACK / 0.5))
        self.assertFalse(self.outboxes[1].is_empty())
        self.attend()
        self.assertTrue(self.outboxes[1].is_empty())

    def test_but_not_while_the_leader_lags(self) -> None:
        self.attend()
        for box in self.outboxes:
            box.add([self._down('a'), self._up('a')])
        self.attend(times=60)
        self.assertFalse(self.outboxes[1].is_empty())

    def test_nor_while_the_leader_publishes_nothing_new(self) -> None:
        self.attend()
        self.outboxes[1].add([self._down('a'), self._up('a')])
        self.attend(self.monitors[1], times=20)
        self.assertEqual([False] * 3, self.leaders())
        self.assertFalse(self.outboxes[1].is_empty())

    def test_who_was_frozen_stands_by_and_says_so(self) -> None:
        self.attend()
        self.groups[0].expire()
        self.clock.advance(2.0)
        self.attend(*self.monitors[1:])
        self.assertEqual([False, True, False], self.leaders())
        self.clock.advance(1000.0)
        self.groups[0].me = self.backend.monitor(1000).me
        self.attend(times=10)
        self.assertEqual([False, True, False], self.leaders())
        self.assertEqual(
            ['This monitor announces no more: another one does.'],
            self.log_lines('WARNING'),
        )

    def test_a_foreign_member_that_says_nothing_is_not_waited_for(
        self,
    ) -> None:
        foreign = dict.fromkeys(
            [b'x@000000000000000000000000', b'y@000000000000000000000000']
        )
        self.backend.members.update(foreign)
        self.attend(times=60)
        self.assertEqual([True, False, False], self.leaders())
        (line,) = self.log_lines('WARNING')
        self.assertIn('2 members', line)
        self.assertIn('x@000000000000000000000000', line)
        self.monitors[0].leave(1.0)
        self.attend(*self.monitors[1:], times=60)
        self.assertEqual([False, True, False], self.leaders())

    def test_nor_does_one_that_comes_later_take_anything(self) -> None:
        self.attend()
        for said in (None, b'garbage', self._published()):
            self.backend.members[b'x@000000000000000000000000'] = said
            self.attend(times=60)
            self.assertEqual([True, False, False], self.leaders())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_what_a_foreign_member_says_once_is_not_heard(self) -> None:
        foreign = self._published(self.A)
        for member_id in (
            b'x@000000000000000000000000',
            b'x@700000000000000000000000',
        ):
            self.backend.members[member_id] = foreign
        self.attend(times=60)
        for box in self.outboxes:
            box.add([self._down('a')])
        self.attend(times=1)
        self.assertEqual(['a'], self.due())
        self.send()
        self.attend(times=2)
        self.assertEqual([True] * 3, [it.is_empty() for it in self.outboxes])

    def test_a_leader_that_hangs_for_a_moment_is_waited_for(self) -> None:
        self.attend(*self.monitors[1:], times=8)
        self.attend(self.monitors[0], times=20)
        self.assertEqual([False] * 3, self.leaders())
        self.attend(self.monitors[0], times=20)
        self.assertEqual([True, False, False], self.leaders())
        self.attend(times=20)
        self.assertEqual([True, False, False], self.leaders())

    def test_a_leader_gives_way_to_an_older_one_that_leads_too(self) -> None:
        self.attend(*self.monitors[1:])
        for _ in range(3):
            said = self._published()
            self.backend.members[self.groups[0].me] = said
            self.attend(*self.monitors[1:], times=1)
        self.assertEqual([False] * 3, self.leaders())
        self.assertEqual(
            ['This monitor announces no more: another one does.'],
            self.log_lines('WARNING'),
        )

    def test_one_that_stands_by_shows_that_it_is_alive(self) -> None:
        self.attend()
        for group in self.groups[1:]:
            self.assertIsNotNone(self.backend.members[group.me])

    def test_two_never_lead_whatever_hangs(self) -> None:
        for seed in range(15):
            self.begin()
            chance = random.Random(seed)
            due = [chance.uniform(0, 3) for _ in self.monitors]
            begun = self.clock()
            self.backend.is_unread = lambda c=chance: c.random() < 0.03
            while self.clock.advance(0.1) < begun + 400:
                calm = self.clock() > begun + 340
                self._foul(chance)
                for number, group in enumerate(self.groups):
                    if self.clock() - begun < due[number]:
                        continue
                    due[number] = self.clock() - begun + 0.5
                    if not calm and chance.random() < 0.01:
                        due[number] += chance.choice((1, 5, 9, 11, 20, 60))
                        # A process that stands still loses its membership.
                        if due[number] + begun > self.clock() + 10 and (
                            chance.random() < 0.5
                        ):
                            self.backend.gone[group.me] = self.clock() + 10
                    self.monitors[number].work()
                    leaders = self.leaders().count(True)
                    self.assertLessEqual(leaders, 1, seed)
            self.assertEqual(1, self.leaders().count(True), seed)

    def _foul(self, chance: random.Random) -> None:
        """Let an unknown client add a member now and then."""
        if chance.random() < 0.001:
            joined = chance.choice((0, 2, 2**31))
            member_id = f'x@{joined:08x}{chance.randrange(2**32):08x}00000000'
            said = chance.choice((None, b'garbage', self._published()))
            self.backend.members[member_id.encode()] = said

    A = ('compute', 'a')

    def _published(self, *down: publication.Key) -> bytes:
        return publication.encode(
            publication.Publication(
                str(uuid.UUID(int=1)), 0.0, dict.fromkeys(down, 1)
            )
        )

    def test_foreign_words_are_ignored(self) -> None:
        self.attend()
        self.backend.members[self.groups[2].me] = b'what?'
        self.attend()
        self.assertEqual([True, False, False], self.leaders())

    def _down(self, host: str) -> watcher.Transition:
        return watcher.Transition(0.0, 'compute', host, 'up', 'down', '')

    def _up(self, host: str) -> watcher.Transition:
        return watcher.Transition(0.0, 'compute', host, 'down', 'up', '')

    def _new(self, host: str) -> watcher.Transition:
        return watcher.Transition(0.0, 'compute', host, None, 'up', 'joined')


class Coordinator:
    """tooz's, with the members of a group. It is its own connection."""

    backend = 'zk'
    CHARACTERISTICS = (coordination.Characteristics.NON_TIMEOUT_BASED,)

    def __init__(self) -> None:
        self.members: set[bytes] = set()
        self.asked = 0

    @contextlib.contextmanager
    def use(self, deadline: Any) -> Iterator[Any]:
        yield starting.Connected(self, b'me@000000050000000000000000')

    def create_group(self, group: bytes) -> test_tooz.Result:
        return test_tooz.Result()

    def join_group(self, group: bytes, capabilities: Any) -> test_tooz.Result:
        self.members.add(b'me@000000050000000000000000')
        return test_tooz.Result()

    def get_members(self, group: bytes) -> test_tooz.Result:
        return test_tooz.Result(set(self.members))

    def get_member_capabilities(
        self, group: bytes, member: bytes
    ) -> test_tooz.Result:
        self.asked += 1
        return test_tooz.Result({'published': member})


class PeerGroupMembersTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.coordinator = Coordinator()
        self.peers = peers.PeerGroup(self.coordinator, 'g', 10, 2.0)

    def test_the_others_by_age(self) -> None:
        ids = [
            f'm@{second:08x}0000000000000000'.encode() for second in (9, 1, 3)
        ]
        foreign = {
            b'no-token',
            b'x@5',
            b'\xff@000000010000000000000000',
            10**6 * b'x',
        }
        self.coordinator.members = {*ids, *foreign}
        meeting = self.peers.read()
        self.assertEqual({each: each for each in ids}, meeting.others)
        self.assertEqual([ids[1], ids[2], ids[0]], meeting.by_age())
        self.assertEqual([ids[1], ids[2]], meeting.older())

    def test_more_than_there_can_be_are_not_asked(self) -> None:
        self.coordinator.members = {
            f'm@{second:024x}'.encode() for second in range(3000)
        }
        error = self.assertRaises(exceptions.BackendError, self.peers.read)
        self.assertIn('3000 others', str(error))
        self.assertEqual(0, self.coordinator.asked)


class DaemonTest(test_watcher.WatchedTest):
    """Which changes a monitor announces."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf('[DEFAULT]\ntransport_url = fake:/\n')
        self.monitor = daemon.Monitor(conf, self.api)
        self.register('a', 'b', 'dead')

    def watch(self) -> list[tuple[str, str]]:
        """Read the group once; return what the monitor announces."""
        (watched,) = self.monitor._watches
        watched.work()
        box, sent = self.monitor._outbox, []
        self.monitor._election.work()
        for entry in box.due():
            sent.append((entry.transition.host, entry.state))
            box.sent(entry)
        self.assertTrue(box.is_empty())
        return sent

    def served(self, text: str) -> tuple[Any, ...]:
        """Return how a monitor with these options serves, or nothing."""
        options = f'[servicegroup_monitor]\n{text}\n'
        conf = self.make_conf('[DEFAULT]\ntransport_url = fake:/\n' + options)
        self.monitor = daemon.Monitor(conf, self.api)
        with mock.patch.object(server, 'start', return_value=7) as start:
            self.monitor.serve()
        return start.call_args.args if start.called else ()

    def test_it_listens_on_no_port_by_default(self) -> None:
        self.assertEqual((), self.served(''))

    def test_it_serves_whether_it_is_alive_and_ready(self) -> None:
        host, port, served = self.served('health_port = 7')
        self.assertEqual(('127.0.0.1', 7), (host, port))
        self.assertIn('http://127.0.0.1:7/readyz', self.log.output)
        self.assertEqual({'/healthz', '/readyz'}, set(served))
        ask = test_web.request('/')
        self.assertEqual(200, served['/healthz'].answer(ask).status)
        self.assertEqual(
            b'compute: blind for 0 s: it has not been read yet\n'
            b'election: ready\n',
            served['/readyz'].answer(ask).body,
        )
        self.watch()
        self.assertEqual(200, served['/readyz'].answer(ask).status)
        self.driver.lose(60.0)
        self.watch()
        self.assertIn(b'ZooKeeper: mute', served['/readyz'].answer(ask).body)
        self.assertEqual(200, served['/healthz'].answer(ask).status)

    def test_where_it_listens_is_chosen(self) -> None:
        text = 'health_port = 7\nhealth_listen = ::1'
        self.assertEqual(('::1', 7), self.served(text)[:2])

    def test_who_was_dead_before_it_began_is_no_news(self) -> None:
        self.assertEqual([], self.watch())
        self.driver.tell(b='down')
        self.assertEqual([('b', 'down')], self.watch())

    def test_nor_if_it_was_blind_when_it_began(self) -> None:
        self.driver.lose(None)
        self.driver.members, self.driver.presumes = {}, True
        for _ in range(3):
            self.assertEqual([], self.watch())
        self.assertNotIn('Watching group', self.log.output)
        # The hold time is over, and all of them are down.
        self.driver.presumes = False
        self.assertEqual([], self.watch())
        self.driver.find()
        self.driver.tell(a='up', b='up')
        self.assertEqual([], self.watch())
        self.driver.tell(b='down')
        self.assertEqual([('b', 'down')], self.watch())

    def test_nor_if_it_is_held_for_a_while(self) -> None:
        self.driver.presumes = True
        self.assertEqual([], self.watch())
        self.driver.presumes = False
        self.assertEqual([], self.watch())
        self.driver.tell(dead='up')
        self.assertEqual([('dead', 'up')], self.watch())

    def test_an_outage_after_it_has_begun_is_news_when_it_is_over(
        self,
    ) -> None:
        self.watch()
        self.driver.lose(60.0)
        self.driver.tell(a='held')
        self.assertEqual([], self.watch())
        self.driver.find()
        self.driver.tell(a='down')
        self.assertEqual([('a', 'down')], self.watch())


class PeerGroupTest(base.TestCase):
    def peer_group(self, text: str, url: str = '') -> Any:
        more = f'[servicegroup_monitor]\nbackend_url = {url}\n' if url else ''
        conf = self.make_conf(text + more)
        driver = api.load_driver(conf, conf.servicegroup_driver)
        chosen = daemon._election(conf, driver, mock.Mock(), 'a')
        return getattr(chosen, '_peer_group', None)

    def test_the_backend_of_the_driver(self) -> None:
        zk = self.peer_group(
            '[DEFAULT]\nservicegroup_driver = zk\n[zookeeper]\n'
            'address = zk1:1\nsession_timeout = 7\n'
        )
        self.assertEqual(('ZooKeeper zk1:1', 7), (zk.backend, zk.expiry))
        mc = self.peer_group(
            '[DEFAULT]\nservicegroup_driver = mc\n'
            'memcached_servers = mc1:1,mc2:1\n'
        )
        self.assertEqual('memcached mc1:1', mc.backend)

    def test_without_a_backend(self) -> None:
        self.assertIsNone(self.peer_group(''))
        self.assertIsNone(
            self.peer_group('[DEFAULT]\nservicegroup_driver = mc\n')
        )

    def test_a_url_wins_and_keeps_its_secret(self) -> None:
        made = self.peer_group('', 'redis://user:hush@r1:1')
        self.assertEqual('redis://r1', made.backend)
        error = self.assertRaises(
            exceptions.ConfigurationError, self.peer_group, '', 'what://hush@a'
        )
        self.assertIn('[servicegroup_monitor] backend_url', str(error))
        self.assertIn('zookeeper', str(error))
        self.assertNotIn('hush', str(error))
