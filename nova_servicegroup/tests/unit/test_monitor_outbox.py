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


import math
import random
import time
import uuid

from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup.monitor import entries
from nova_servicegroup.monitor import outbox
from nova_servicegroup.monitor import publication
from nova_servicegroup.tests import base
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

UP, DOWN, HELD = views.UP, views.DOWN, views.HELD
DEGRADED, DRAINING = views.DEGRADED, views.DRAINING


class ScriptedOutbox(outbox.Outbox):
    """An outbox that a test fills by short calls."""

    def __init__(self, clock: base.Clock, **states: str) -> None:
        super().__init__()
        self.clock = clock
        self.ids: list[str] = []
        self.begin('compute', states)

    def see(self, host: str, *states: str) -> None:
        """Add the transitions of a host through these states."""
        for state in states:
            self.add(
                [
                    watcher.Transition(
                        self.clock(), 'compute', host, None, state, 'because'
                    )
                ]
            )
            self.clock.advance(0.001)

    def tell(self, host: str, *evidence: str | None) -> None:
        """Add that a host is down, and what more is known of it later."""
        for each in evidence:
            before = publication.parts(
                self._states.get(('compute', host), UP)
            )[0]
            self.add(
                [
                    watcher.Transition(
                        self.clock(),
                        'compute',
                        host,
                        before,
                        DOWN,
                        'because',
                        evidence=each,
                    )
                ]
            )
            self.clock.advance(0.001)

    def send_told(self) -> list[tuple[str, str, bool]]:
        """Send all; return hosts, what was told, whether only evidence."""
        sent: list[tuple[str, str, bool]] = []
        while not self.is_empty():
            self.publish()
            for entry in self.due():
                host = entry.transition.host
                sent.append((host, entry.news, entry.only_evidence))
                self.ids.append(entry.message_id)
                self.sent(entry)
        return sent

    def publish(self) -> publication.Publication:
        """Publish; return what others read."""
        published = self.to_publish()
        self.published(published)
        return publication.decode(publication.encode(published))

    def send(self, count: int = 1000) -> list[tuple[str, str]]:
        """Send so many at most, and publish before each, but not after."""
        sent: list[tuple[str, str]] = []
        while not self.is_empty() and len(sent) < count:
            self.publish()
            for entry in self.due()[: count - len(sent)]:
                sent.append((entry.transition.host, entry.state))
                self.ids.append(entry.message_id)
                self.sent(entry)
        return sent

    def follow(
        self, leader: 'ScriptedOutbox', before: float = -math.inf
    ) -> None:
        """Receive what a leader publishes."""
        self.receive(leader.publish(), before)


class LeaderTest(base.TestCase):
    """A monitor that leads, or is the only one."""

    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.outbox = self.make()

    def make(self, **states: str) -> ScriptedOutbox:
        return ScriptedOutbox(
            self.clock, **(states or {'a': UP, 'b': UP, 'c': UP})
        )


class OutboxTest(LeaderTest):
    def test_down_and_up_are_told_in_order(self) -> None:
        self.outbox.see('a', DOWN)
        self.outbox.see('b', DOWN)
        self.outbox.see('a', UP)
        self.assertEqual(
            [('a', DOWN), ('b', DOWN), ('a', UP)], self.outbox.send()
        )
        self.assertEqual([], self.outbox.send())

    def test_held_is_not_down(self) -> None:
        self.outbox.see('a', HELD, UP)
        self.assertEqual([], self.outbox.send())
        self.outbox.see('a', HELD, DOWN)
        self.outbox.see('a', HELD, UP)
        self.assertEqual([('a', DOWN), ('a', UP)], self.outbox.send())

    def test_who_is_of_no_use_and_is_again(self) -> None:
        self.outbox.see('a', DEGRADED, UP)
        self.outbox.see('b', DRAINING, DOWN)
        self.outbox.see('c', DEGRADED, HELD, DEGRADED, DRAINING, DEGRADED)
        sent = self.outbox.send()
        for host, states in (
            ('a', [DEGRADED, UP]),
            ('b', [DRAINING, DOWN]),
            ('c', [DEGRADED, DRAINING, DEGRADED]),
        ):
            self.assertEqual(
                states, [state for name, state in sent if name == host]
            )
        self.assertEqual(len(sent), len(set(self.outbox.ids)))

    def test_who_was_of_no_use_at_first_is_no_news(self) -> None:
        box = self.make(a=DEGRADED, b=DRAINING)
        box.lead()
        self.assertEqual([], box.send())
        box.see('a', DEGRADED, UP)
        box.see('b', DOWN)
        self.assertEqual([('a', UP), ('b', DOWN)], box.send())

    def test_who_is_new_and_of_no_use_is_told_as_that(self) -> None:
        self.outbox.see('d', DEGRADED)
        self.assertEqual([('d', DEGRADED)], self.outbox.send())

    def test_a_member_that_changes_for_hours_is_bounded(self) -> None:
        states = UP, DOWN, DEGRADED, DRAINING
        for number in range(300):
            self.outbox.see('a', states[number * number % 7 % 4])
        self.outbox.see('a', DOWN, DEGRADED)
        sent = [state for _, state in self.outbox.send()]
        self.assertLessEqual(len(sent), outbox.WAITING)
        self.assertEqual([DOWN, DEGRADED], sent[-2:])
        for before, after in zip([UP, *sent], sent, strict=False):
            self.assertNotEqual(before, after)

    def test_forced_down_is_down(self) -> None:
        self.outbox.see('a', inventory.FORCED_DOWN)
        self.assertEqual([('a', DOWN)], self.outbox.send())
        self.outbox.see('a', DOWN)
        self.outbox.see('a', inventory.FORCED_DOWN)
        self.assertEqual([], self.outbox.send())
        self.outbox.see('a', UP)
        self.assertEqual([('a', UP)], self.outbox.send())

    def test_who_is_new_has_come_up_but_not_gone_down(self) -> None:
        self.outbox.see('d', UP)
        self.outbox.see('e', DOWN)
        self.outbox.see('f', HELD, UP)
        self.assertEqual([('d', UP)], self.outbox.send())
        self.outbox.see('e', UP)
        self.assertEqual([('e', UP)], self.outbox.send())

    def test_who_was_down_at_first_is_no_news(self) -> None:
        box = self.make(a=DOWN, b=HELD, c=inventory.FORCED_DOWN)
        box.lead()
        self.assertEqual([], box.send())
        box.see('a', UP)
        box.see('b', DOWN)
        self.assertEqual([('a', UP)], box.send())
        box.see('b', UP)
        box.see('b', DOWN)
        self.assertEqual([('b', UP), ('b', DOWN)], box.send())

    def test_who_was_held_at_first_and_is_up_is_no_news_either(self) -> None:
        box = self.make(a=HELD, b=HELD)
        box.see('a', UP)
        self.assertEqual([], box.send())
        box.see('a', DOWN)
        box.see('b', inventory.FORCED_DOWN)
        self.assertEqual([('a', DOWN), ('b', DOWN)], box.send())

    def test_a_member_that_goes_up_and_down_for_hours_is_bounded(self) -> None:
        for _ in range(100):
            self.outbox.see('a', DOWN, UP)
        self.outbox.see('a', DOWN)
        sent = self.outbox.send()
        self.assertLessEqual(len(sent), outbox.WAITING)
        states = [state for _, state in sent]
        self.assertEqual([DOWN, UP] * (len(sent) // 2) + [DOWN], states)

    def test_lag_is_the_age_of_the_oldest(self) -> None:
        self.assertEqual(0.0, self.outbox.to_publish().lag)
        self.outbox.see('a', DOWN)
        self.clock.advance(3)
        self.outbox.see('b', DOWN)
        self.assertAlmostEqual(3.0, self.outbox.to_publish().lag, 1)

    def test_of_one_member_nothing_before_the_last_is_published(self) -> None:
        self.outbox.see('a', DOWN, UP)
        self.assertEqual([], self.due(self.make(a=DOWN)))
        self.outbox.publish()
        (entry,) = self.outbox.due()
        self.assertEqual(DOWN, entry.state)
        published = self.outbox.to_publish()
        self.outbox.sent(entry)
        self.assertEqual([], self.outbox.due())
        self.outbox.published(published)
        self.assertEqual([], self.outbox.due())
        self.outbox.publish()
        self.assertEqual([UP], [each.state for each in self.outbox.due()])

    def due(self, box: ScriptedOutbox) -> list[entries.Entry]:
        box.see('a', UP)
        return box.due()

    def test_an_id_stays_until_it_is_sent_and_never_comes_again(self) -> None:
        self.outbox.see('a', DOWN, UP, DOWN)
        self.outbox.publish()
        self.assertEqual(
            self.outbox.due()[0].message_id, self.outbox.due()[0].message_id
        )
        self.outbox.send()
        for _ in range(3):
            self.outbox.forget('compute', ['b'])
            self.outbox.see('a', UP, DOWN)
            self.outbox.send()
        self.assertEqual(9, len(set(self.outbox.ids)))
        self.assertEqual(9, len(self.outbox.ids))


class StandbyCase(LeaderTest):
    """A leader and one that stands by."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.make()
        self.outbox.lead()
        self.other.follow(self.outbox)

    def both_see(self, host: str, *states: str) -> None:
        self.outbox.see(host, *states)
        self.other.see(host, *states)

    def take_over(self) -> list[tuple[str, str]]:
        self.other.lead()
        return self.other.send()


class StandbyTest(StandbyCase):
    def test_what_the_leader_announced_is_struck_out(self) -> None:
        for host in 'abc':
            self.both_see(host, DOWN)
        self.outbox.send(2)
        self.other.follow(self.outbox)
        self.assertEqual([('c', DOWN)], self.take_over())

    def test_also_what_is_seen_after_it_was_heard(self) -> None:
        self.outbox.see('a', DOWN)
        self.outbox.send()
        self.other.follow(self.outbox)
        self.other.see('a', DOWN)
        self.assertEqual([], self.take_over())

    def test_what_was_not_published_is_repeated_with_its_id(self) -> None:
        self.both_see('a', DOWN, UP)
        self.both_see('b', DOWN)
        self.outbox.send(1)
        self.other.follow(self.outbox)
        self.outbox.send(2)
        self.assertEqual([('a', UP), ('b', DOWN)], self.take_over())
        self.assertEqual(set(self.outbox.ids[1:]), set(self.other.ids))

    def test_nothing_else_has_the_id_of_what_was_sent_before(self) -> None:
        self.both_see('a', DOWN, UP, DOWN)
        self.outbox.send()
        self.other.follow(self.outbox)
        self.take_over()
        self.both_see('a', UP, DOWN)
        self.other.send()
        self.assertEqual(set(), set(self.outbox.ids) & set(self.other.ids))

    def test_down_and_up_again_while_nobody_leads(self) -> None:
        self.other.see('a', DOWN, UP)
        self.clock.advance(60)
        self.assertEqual([('a', DOWN), ('a', UP)], self.take_over())

    def test_down_and_up_again_both_announced(self) -> None:
        self.both_see('a', DOWN, UP)
        self.outbox.send()
        self.other.follow(self.outbox)
        self.assertEqual([], self.take_over())

    def test_also_of_who_is_of_no_use(self) -> None:
        self.both_see('a', DEGRADED, DOWN)
        self.both_see('b', DRAINING)
        self.outbox.send(2)
        self.other.follow(self.outbox)
        self.assertEqual([('a', DOWN)], self.take_over())

    def test_who_takes_over_says_why_one_is_of_no_use(self) -> None:
        published = condition.Condition(DEGRADED, 'rpc', 7.0)
        late = ScriptedOutbox(self.clock)
        late.follow(self.outbox)
        late.begin('compute', {'a': DEGRADED, 'b': UP}, {'a': published})
        late.add(
            [
                watcher.Transition(
                    0.0, 'compute', 'b', UP, DRAINING, '', None, published
                )
            ]
        )
        late.see('b', UP)
        late.lead()
        late.publish()
        added = {it.transition.host: it.transition for it in late.due()}
        self.assertEqual(published, added['a'].condition)
        self.assertEqual(outbox.TAKEN_OVER, added['a'].reason)
        late.forget('compute', ['b'])
        self.assertEqual({}, late._conditions)

    def test_the_same_is_struck_out_once(self) -> None:
        self.both_see('a', DOWN)
        self.outbox.send()
        self.other.follow(self.outbox)
        self.both_see('a', UP, DOWN)
        self.other.follow(self.outbox)
        self.assertEqual([('a', UP), ('a', DOWN)], self.take_over())

    def test_what_only_the_leader_saw_is_put_right(self) -> None:
        self.outbox.see('a', DOWN)
        self.outbox.send()
        self.other.follow(self.outbox)
        self.assertEqual([('a', UP)], self.take_over())
        self.assertEqual([], self.take_over())

    def test_what_only_the_other_saw_and_is_over_is_dropped(self) -> None:
        self.other.see('a', DOWN, UP)
        self.other.follow(self.outbox, self.clock() - 1)
        self.assertFalse(self.other.is_empty())
        self.other.follow(self.outbox, self.clock() + 1)
        self.assertTrue(self.other.is_empty())
        self.assertEqual([], self.take_over())

    def test_what_only_the_other_saw_and_lasts_is_sent(self) -> None:
        self.other.see('a', DOWN)
        for _ in range(10):
            self.other.follow(self.outbox, self.clock() + 1)
        self.assertEqual([('a', DOWN)], self.take_over())

    def test_who_comes_late_knows_who_is_down(self) -> None:
        self.both_see('a', DOWN)
        self.outbox.send()
        self.clock.advance(3600)
        late = self.make(a=DOWN, b=DOWN, c=UP)
        late.follow(self.outbox)
        late.lead()
        self.assertEqual([('b', DOWN)], late.send())

    def test_who_begins_after_it_has_heard_announces_what_is_new(self) -> None:
        self.both_see('a', DOWN)
        self.outbox.send()
        late = ScriptedOutbox(self.clock)
        late.follow(self.outbox)
        late.begin('compute', {'a': DOWN, 'b': DOWN, 'c': HELD, 'd': UP})
        late.lead()
        self.assertEqual([('b', DOWN)], late.send())

    def test_who_was_frozen_takes_over_nothing_old(self) -> None:
        self.outbox.see('a', DOWN)
        self.outbox.send()
        self.clock.advance(3600)
        self.other.follow(self.outbox)
        self.other.see('a', DOWN)
        self.other.follow(self.outbox)
        self.assertEqual([], self.take_over())

    def test_a_new_member_is_announced_once(self) -> None:
        self.both_see('d', UP)
        self.other.follow(self.outbox)
        self.assertFalse(self.other.is_empty())
        self.outbox.send()
        self.other.follow(self.outbox)
        self.assertEqual([], self.take_over())

    def test_one_that_is_new_waits_until_the_leader_has_sent_it(self) -> None:
        self.other.see('d', UP)
        self.other.follow(self.outbox)
        self.outbox.see('d', UP)
        self.other.follow(self.outbox)
        self.assertFalse(self.other.is_empty())
        self.outbox.send()
        self.assertEqual([('d', UP)], self.take_over())
        self.assertEqual(self.outbox.ids, self.other.ids)

    def test_a_third_leader_goes_on_from_the_second(self) -> None:
        third = self.make()
        for each in (self.outbox, self.other, third):
            each.see('a', DOWN)
            each.see('b', DOWN)
        self.outbox.send(1)
        self.other.follow(self.outbox)
        third.follow(self.outbox)
        self.assertEqual([('b', DOWN)], self.take_over())
        third.follow(self.other)
        third.see('a', UP)
        third.lead()
        self.assertEqual([('a', UP)], third.send())
        self.assertNotEqual(
            third.to_publish().term, self.other.to_publish().term
        )

    def test_who_nova_has_forgotten_is_no_news(self) -> None:
        self.both_see('a', DOWN)
        self.outbox.send()
        self.other.follow(self.outbox)
        for each in (self.outbox, self.other):
            each.forget('compute', ['b', 'c'])
        self.assertEqual([], self.take_over())
        counts = self.other.to_publish().counts.values()
        self.assertEqual(
            [], [it for it in counts if publication.news_of(it) != UP]
        )

    def test_ten_thousand_at_once_are_struck_out(self) -> None:
        hosts = [f'compute{number:05}' for number in range(10000)]
        states = dict.fromkeys(hosts, UP)
        box, other = self.make(**states), self.make(**states)
        box.lead()
        other.follow(box)
        for each in (box, other):
            for host in hosts:
                each.see(host, DOWN)
        for _ in range(20):
            box.send(500)
            self.clock.advance(0.5)
            other.follow(box)
        data = publication.encode(box.to_publish())
        self.assertLess(len(data), 100_000)
        other.lead()
        self.assertEqual([], other.send())


class EvidenceTest(StandbyCase):
    """What becomes known of members that are down."""

    def test_it_is_told_with_down_and_when_it_changes(self) -> None:
        self.outbox.tell('a', 'not-reporting', 'silent')
        self.outbox.tell('b', 'unknown', 'process-died')
        self.assertEqual(
            [
                ('a', 'down: not-reporting', False),
                ('b', 'down', False),
                ('a', 'down: silent', True),
                ('b', 'down: process-died', True),
            ],
            self.outbox.send_told(),
        )
        self.assertEqual(4, len(set(self.outbox.ids)))
        self.outbox.see('a', UP)
        self.outbox.tell('a', 'silent')
        self.assertEqual(
            [('a', UP, False), ('a', 'down: silent', False)],
            self.outbox.send_told(),
        )
        self.assertEqual(6, len(set(self.outbox.ids)))

    def test_the_same_again_has_another_id(self) -> None:
        self.outbox.tell('a', *(3 * ['silent', 'not-reporting']))
        self.assertEqual(6, len(self.outbox.send_told()))
        self.assertEqual(6, len(set(self.outbox.ids)))

    def test_down_without_more_evidence_is_no_news(self) -> None:
        self.outbox.tell('a', 'silent', 'unknown')
        self.outbox.see('a', inventory.FORCED_DOWN, HELD, DOWN)
        self.outbox.tell('a', 'silent')
        self.assertEqual(
            [('a', 'down: silent', False)], self.outbox.send_told()
        )

    def test_of_one_that_was_never_seen_up(self) -> None:
        box = ScriptedOutbox(self.clock, d=HELD, e=UP)
        box.tell('c', 'silent')
        box.tell('d', 'silent')
        self.assertEqual([], box.send_told())
        box.tell('c', 'silent', 'not-reporting')
        self.assertEqual([('c', 'down: not-reporting', True)], box.send_told())

    def test_what_was_found_at_the_beginning_is_no_news(self) -> None:
        box = ScriptedOutbox(self.clock)
        box.begin('compute', {'a': DOWN}, evidence={'a': 'silent'})
        box.tell('a', 'silent')
        box.lead()
        self.assertEqual([], box.send_told())

    def test_what_the_leader_told_is_struck_out(self) -> None:
        for each in (self.outbox, self.other):
            each.tell('a', 'not-reporting', 'silent')
        self.outbox.send_told()
        self.other.follow(self.outbox)
        self.assertEqual([], self.take_over())

    def test_what_was_not_published_is_repeated_with_its_own_id(self) -> None:
        for each in (self.outbox, self.other):
            each.tell('a', 'not-reporting', 'silent')
        self.outbox.send(1)
        self.other.follow(self.outbox)
        self.outbox.send_told()
        self.other.lead()
        self.assertEqual([('a', 'down: silent', True)], self.other.send_told())
        self.assertEqual(self.outbox.ids[1:], self.other.ids)

    def test_who_saw_less_than_the_leader_lacks_nothing(self) -> None:
        self.outbox.tell('a', 'not-reporting')
        self.outbox.send_told()
        self.other.tell('a', 'silent')
        self.other.follow(self.outbox)
        self.other.lead()
        self.assertEqual([('a', 'down: silent', True)], self.other.send_told())
        difference = self.other.ids
        self.assertEqual(set(), set(self.outbox.ids) & set(difference))

    def test_old_news_of_the_dead_is_not_that_they_are_down(self) -> None:
        for each in (self.outbox, self.other):
            each.tell('a', 'not-reporting')
        self.outbox.see('a', UP)
        self.outbox.send_told()
        self.other.follow(self.outbox)
        self.other.tell('a', 'silent')
        self.other.see('a', UP)
        self.assertEqual([], self.take_over())

    def test_another_evidence_has_another_id(self) -> None:
        self.outbox.tell('a', 'not-reporting')
        self.outbox.send_told()
        self.other.tell('a', 'silent')
        self.other.lead()
        self.assertEqual(
            [('a', 'down: silent', False)], self.other.send_told()
        )
        self.assertNotEqual(self.outbox.ids, self.other.ids)

    def test_who_takes_over_tells_what_it_has_seen(self) -> None:
        late = ScriptedOutbox(self.clock)
        late.follow(self.outbox)
        late.begin('compute', {'a': DOWN}, evidence={'a': 'silent'})
        late.publish()
        (entry,) = late.due()
        self.assertEqual('silent', entry.transition.evidence)
        self.assertEqual(outbox.TAKEN_OVER, entry.transition.reason)

    def test_more_than_wait_lead_to_the_last(self) -> None:
        self.outbox.tell('a', *(outbox.WAITING * ['silent', 'not-reporting']))
        sent = self.outbox.send_told()
        self.assertLessEqual(len(sent), outbox.WAITING)
        self.assertEqual(('a', 'down: not-reporting', True), sent[-1])


#: What may be known of a host that is down.
KINDS = 'not-reporting', 'process-died', 'silent'


class World:
    """Hosts, monitors that see them with a delay, and a consumer.

    :param chance: what happens
    """

    HOSTS = 'ab'
    DELAY = 2.0
    TAKEOVER = 10.0
    MONITORS = 3

    def __init__(self, clock: base.Clock, chance: random.Random) -> None:
        self.clock = clock
        self.chance = chance
        self.states = dict.fromkeys(self.HOSTS, UP)
        self.changed = dict.fromkeys(self.HOSTS, -math.inf)
        self.happened: dict[str, list[str]] = {it: [UP] for it in self.HOSTS}
        self.received: dict[str, list[str]] = {it: [UP] for it in self.HOSTS}
        self.ids: dict[str, tuple[str, str]] = {}
        self.monitors: list[ScriptedOutbox] = []
        # Why those that are down are so, as all monitors will know.
        self.evidence: dict[str, str] = {}
        # What each monitor will see, and when.
        self.unseen: dict[ScriptedOutbox, list[tuple[float, str, str]]] = {}
        self.leader: ScriptedOutbox | None = None
        # When the next monitor takes over.
        self.next_at = 0.0
        # The last publication.
        self.published: publication.Publication | None = None

    def add(self) -> None:
        """Start a monitor."""
        box = ScriptedOutbox(self.clock)
        if self.leader is not None:
            box.follow(self.leader)
        box.begin('compute', self.states, evidence=self.evidence)
        self.monitors.append(box)
        self.unseen[box] = []

    def step(self) -> None:
        """Let a moment pass."""
        self.clock.advance(self.chance.uniform(0, 0.2))
        if self.chance.random() < 0.1:
            self._change()
        if self.chance.random() < 0.05:
            self._find_out()
        for box in self.monitors:
            self._see(box)
        if self.leader is None:
            if self.clock() >= self.next_at:
                self.leader = self.monitors[0]
                self.leader.lead()
            return
        self._send(self.leader)
        if self.chance.random() < 0.3:
            self._publish(self.leader)
        if self.chance.random() < 0.01 and len(self.monitors) > 1:
            self._kill(self.leader)

    def settle(self) -> None:
        """Let all monitors see the end, and send the rest."""
        self.clock.advance(self.DELAY)
        for box in self.monitors:
            self._see(box)
        if self.leader is None:
            self.leader = self.monitors[0]
            self.leader.lead()
        for _ in range(outbox.WAITING):
            self.leader.publish()
            self._send(self.leader, 1.0)

    def _kill(self, leader: ScriptedOutbox) -> None:
        self.monitors.remove(leader)
        self.leader, self.next_at = None, self.clock() + self.TAKEOVER
        if self.published is not None:
            # It stays until the session has expired.
            for box in self.monitors:
                box.receive(self.published, -math.inf)

    def _change(self) -> None:
        host = self.chance.choice(self.HOSTS)
        if self.clock() - self.changed[host] < self.DELAY:
            # Not all monitors have seen the last change yet.
            return
        self.changed[host] = self.clock()
        states = {UP, DOWN, DEGRADED, DRAINING} - {self.states[host]}
        state = self.chance.choice(sorted(states))
        self.states[host] = state
        self.happened[host].append(state)
        self.evidence.pop(host, None)
        if state == DOWN:
            self.evidence[host] = self.chance.choice(KINDS)
        self._show(host)

    def _find_out(self) -> None:
        """Have more be known of a host that is down."""
        if self.evidence:
            host = self.chance.choice(sorted(self.evidence))
            self.evidence[host] = self.chance.choice(KINDS)
            self._show(host)

    def told(self, host: str) -> str:
        """Return what consumers are to know of a host in the end."""
        return publication.news(self.states[host], self.evidence.get(host))

    def _show(self, host: str) -> None:
        """Have each monitor see a change, early or late."""
        for box in self.monitors:
            at = self.clock() + self.chance.uniform(0, self.DELAY)
            if self.unseen[box]:
                # In order.
                at = max(at, self.unseen[box][-1][0])
                _, last, told = self.unseen[box][-1]
                stays = told.startswith(DOWN) and self.states[host] == DOWN
                if last == host and stays and self.chance.random() < 0.5:
                    # It sees both at the same time.
                    self.unseen[box].pop()
            self.unseen[box].append((at, host, self.told(host)))

    def _see(self, box: ScriptedOutbox) -> None:
        while self.unseen[box] and self.unseen[box][0][0] <= self.clock():
            _, host, told = self.unseen[box].pop(0)
            state, evidence = publication.parts(told)
            if state == DOWN:
                box.tell(host, evidence)
            else:
                box.see(host, state)

    def _send(self, leader: ScriptedOutbox, chance: float = 0.7) -> None:
        for entry in leader.due():
            if self.chance.random() < chance:
                self._receive(entry)
                leader.sent(entry)

    def _receive(self, entry: entries.Entry) -> None:
        what = entry.transition.host, entry.news
        if entry.message_id not in self.ids:
            self.ids[entry.message_id] = what
            self.received[what[0]].append(what[1])
        elif self.ids[entry.message_id] != what:
            raise AssertionError(f'{what} has an id of something else')

    def _publish(self, leader: ScriptedOutbox) -> None:
        published, before = leader.publish(), self.clock() - 2 * self.DELAY
        self.published = published
        for box in self.monitors:
            if box is not leader and self.chance.random() < 0.8:
                box.receive(published, before - published.lag)
        calm = not any(self.unseen.values()) and leader.is_empty()
        if calm and len(self.monitors) < self.MONITORS:
            self.add()


class NothingIsLostTest(base.TestCase):
    def test_consumers_that_drop_what_has_an_id_twice(self) -> None:
        self.set_time()
        for seed in range(200):
            world = World(self.clock, random.Random(seed))
            for _ in range(world.MONITORS):
                world.add()
            for _ in range(400):
                world.step()
            world.settle()
            for host, happened in world.happened.items():
                received = world.received[host]
                self.assertEqual(world.told(host), received[-1], seed)
                states = [publication.parts(each)[0] for each in received]
                self.assertTrue(is_within(happened, states), seed)


def is_within(part: list[str], whole: list[str]) -> bool:
    """Return whether whole contains all items of part, in this order."""
    rest = iter(whole)
    return all(each in rest for each in part)


class PublicationTest(base.TestCase):
    TERM = str(uuid.UUID(int=1))

    def packed(self, **fields: str) -> bytes:
        """Return a publication of which some fields are given as JSON."""
        known = {
            'form': '5',
            'number': '1',
            'term': f'"{self.TERM}"',
            'lag': '0.5',
            'counts': '{"compute": {"a": 1}}',
        }
        text = f'[{", ".join({**known, **fields}.values())}]'
        return publication.zlib.compress(text.encode())

    def test_what_others_wrote_is_nothing(self) -> None:
        for data in (
            None,
            b'',
            b'x',
            {'a': 1},
            publication.zlib.compress(b'[5]'),
            publication.zlib.compress(b'{}'),
            publication.encode(None),
            self.packed()[:-1],
        ):
            self.assertIsNone(publication.decode(data))
        self.assertIsNotNone(publication.decode(self.packed()))

    def test_no_monitor_says_so(self) -> None:
        huge = '1' + 400 * '0'
        for name, values in (
            ('form', ('1', '3', 'null')),
            ('term', ('-1', 'true', '"1"', '""', '["1"]', 'null')),
            (
                'lag',
                (
                    '-1',
                    'Infinity',
                    '-Infinity',
                    'NaN',
                    '1e999',
                    'true',
                    huge,
                    '"1"',
                ),
            ),
            (
                'counts',
                (
                    '["compute"]',
                    '{"compute": ["a"]}',
                    '{"compute": {"a": "1"}}',
                    '{"compute": {"a": [1]}}',
                    '{"compute": {"a": 1.5}}',
                    '{"compute": {"a": -1}}',
                    '{"compute": {"a": true}}',
                    f'{{"compute": {{"a": {10**18}}}}}',
                    f'{{"compute": {{"a": {huge}}}}}',
                    '{"compute": {"a": NaN}}',
                    '{"compute": {"": 1}}',
                    '{"": {"a": 1}}',
                    f'{{"compute": {{"{1201 * "x"}": 1}}}}',
                    '{"compute": 5}',
                    'null',
                    '5',
                ),
            ),
        ):
            for value in values:
                data = self.packed(**{name: value})
                self.assertIsNone(publication.decode(data), (name, value))

    def test_bombs_go_off_nowhere(self) -> None:
        text = self.packed(counts='{"c": {"%s": 1}}')
        text = publication.zlib.decompress(text)
        for inner in (200_000_000 * b'a', 100_000 * b'['):
            data = publication.zlib.compress(text % inner)
            begun = time.process_time()
            self.assertIsNone(publication.decode(data))
            self.assertLess(time.process_time() - begun, 2.0)
        for nest in (b'[', b'{"a":'):
            data = publication.zlib.compress(100_000 * nest)
            self.assertIsNone(publication.decode(data))

    def test_a_count_never_leaves_its_bounds(self) -> None:
        # The greatest one of which it is news that the host is down.
        most = next(
            count
            for count in range(publication.MOST, 0, -1)
            if publication.news_of(count) == UP
        )
        counts = f'{{"compute": {{"a": {most}}}}}'
        box = ScriptedOutbox(self.clock, a=DOWN)
        box.receive(publication.decode(self.packed(counts=counts)), 0.0)
        box.lead()
        self.assertEqual([('a', DOWN)], box.send())
        (count,) = box.publish().counts.values()
        self.assertEqual(publication.after(0, DOWN), count)

    def test_a_hundred_thousand_that_are_down_have_room(self) -> None:
        hosts = [
            f'compute{number:06}.example.org' for number in range(100_000)
        ]
        box = ScriptedOutbox(self.clock, **dict.fromkeys(hosts, DOWN))
        self.assertEqual(100_000, len(box.publish().counts))

    def test_a_count_has_the_state(self) -> None:
        count = 0
        self.assertEqual(UP, publication.news_of(count))
        for number, state in enumerate((DOWN, DEGRADED, DRAINING, UP, DOWN)):
            count = publication.after(count, state)
            self.assertEqual(state, publication.news_of(count))
            self.assertEqual(number + 1, publication.states_of(count))

    def test_there_and_back(self) -> None:
        published = publication.Publication(
            self.TERM,
            0.5,
            {('compute', 'hö/st'): 2, ('conductor', 'b'): 1},
        )
        data = publication.encode(published)
        self.assertEqual(published, publication.decode(data))
        self.assertNotEqual(data, publication.encode(published))


class DomainTest(base.TestCase):
    """A lost domain is told as a member of its own group is."""

    def setUp(self) -> None:
        super().setUp()
        self.leader = ScriptedOutbox(self.clock, a=UP)
        self.standby = ScriptedOutbox(self.clock, a=UP)
        self.standby.follow(self.leader)

    def see(self, before: str, state: str) -> None:
        change = watcher.Transition(
            self.clock(), 'compute domains', 'rack1', before, state, 'because'
        )
        for each in (self.leader, self.standby):
            each.add([change])
        self.clock.advance(1)

    def test_its_loss_and_return_are_sent_once(self) -> None:
        self.see(UP, DOWN)
        self.assertEqual([('rack1', DOWN)], self.leader.send())
        self.see(DOWN, UP)
        self.assertEqual([('rack1', UP)], self.leader.send())
        self.standby.follow(self.leader)
        self.standby.lead()
        self.assertEqual([], self.standby.send())

    def test_another_monitor_sends_what_was_not_sent(self) -> None:
        self.see(UP, DOWN)
        self.standby.follow(self.leader)
        self.standby.lead()
        self.assertEqual([('rack1', DOWN)], self.standby.send())

    def test_a_monitor_that_has_not_seen_it_repeats_nothing(self) -> None:
        self.see(UP, DOWN)
        self.leader.send()
        another = ScriptedOutbox(self.clock, a=UP)
        another.follow(self.leader)
        another.lead()
        self.assertEqual([], another.send())
