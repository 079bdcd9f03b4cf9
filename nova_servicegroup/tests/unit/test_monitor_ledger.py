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


from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import publication
from nova_servicegroup import roll
from nova_servicegroup.tests import base
from nova_servicegroup import watcher

SLACK = 5.0
UP, DOWN, HELD = drivers.UP, drivers.DOWN, drivers.HELD


class Book(ledger.Ledger):
    """A ledger in which a test writes in few words."""

    def __init__(self, clock: base.Clock, **states: str) -> None:
        super().__init__(SLACK, clock=clock, wall=clock)
        self.clock = clock
        self.begin('compute', states)

    def see(self, host: str, *states: str) -> None:
        """See a host go through states."""
        self.note(
            watcher.Transition(
                self.clock(), 'compute', host, None, state, 'because'
            )
            for state in states
        )

    def tell(self, count: int = 1000) -> list[tuple[str, str]]:
        """Announce so many."""
        told = []
        while len(told) < count and (entry := self.due()) is not None:
            told.append((entry.transition.host, entry.state))
            self.told(entry)
        return told

    def listen(self, leader: 'Book') -> None:
        """Hear what a leader publishes, as it arrives."""
        said = publication.decode(publication.encode(leader.to_publish()))
        self.hear(said, self.clock())


class BookTest(base.TestCase):
    """A monitor that leads, or is the only one."""

    def setUp(self) -> None:
        super().setUp()
        self.book = self.make()

    def make(self, **states: str) -> Book:
        return Book(self.clock, **(states or {'a': UP, 'b': UP, 'c': UP}))


class LedgerTest(BookTest):
    def test_down_and_up_are_told_in_order(self) -> None:
        self.book.see('a', DOWN)
        self.book.see('b', DOWN)
        self.book.see('a', UP)
        self.assertEqual(
            [('a', DOWN), ('b', DOWN), ('a', UP)], self.book.tell()
        )
        self.assertEqual([], self.book.tell())

    def test_held_is_not_down(self) -> None:
        self.book.see('a', HELD, UP)
        self.assertEqual([], self.book.tell())
        self.book.see('a', HELD, DOWN)
        self.book.see('a', HELD, UP)
        self.assertEqual([('a', DOWN), ('a', UP)], self.book.tell())

    def test_forced_down_is_down(self) -> None:
        self.book.see('a', roll.FORCED_DOWN)
        self.assertEqual([('a', DOWN)], self.book.tell())
        self.book.see('a', DOWN)
        self.book.see('a', roll.FORCED_DOWN)
        self.assertEqual([], self.book.tell())
        self.book.see('a', UP)
        self.assertEqual([('a', UP)], self.book.tell())

    def test_who_is_new_has_come_up_but_not_gone_down(self) -> None:
        self.book.see('d', UP)
        self.book.see('e', DOWN)
        self.book.see('f', HELD, UP)
        self.assertEqual([('d', UP)], self.book.tell())
        self.book.see('e', UP)
        self.assertEqual([('e', UP)], self.book.tell())

    def test_who_was_down_at_first_is_no_news(self) -> None:
        book = self.make(a=DOWN, b=HELD, c=roll.FORCED_DOWN)
        book.lead()
        self.assertEqual([], book.tell())
        book.see('a', UP)
        book.see('b', DOWN)
        self.assertEqual([('a', UP), ('b', DOWN)], book.tell())

    def test_a_member_that_goes_up_and_down_for_hours_is_bounded(self) -> None:
        for _ in range(100):
            self.book.see('a', DOWN, UP)
        self.book.see('a', DOWN)
        told = self.book.tell()
        self.assertLessEqual(len(told), ledger.PENDING)
        states = [state for _, state in told]
        self.assertEqual([DOWN, UP] * (len(told) // 2) + [DOWN], states)

    def test_lag_is_the_age_of_the_oldest(self) -> None:
        self.assertEqual(0.0, self.book.to_publish().lag)
        self.book.see('a', DOWN)
        self.clock.advance(3)
        self.book.see('b', DOWN)
        self.assertEqual(3.0, self.book.to_publish().lag)


class StandbyTest(BookTest):
    """A leader and one that stands by."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.make()
        self.book.lead()
        self.other.listen(self.book)

    def both_see(self, host: str, *states: str) -> None:
        self.book.see(host, *states)
        self.other.see(host, *states)

    def take_over(self) -> list[tuple[str, str]]:
        self.other.lead()
        return self.other.tell()

    def test_what_the_leader_announced_is_struck_out(self) -> None:
        for host in 'abc':
            self.both_see(host, DOWN)
        self.book.tell(2)
        self.other.listen(self.book)
        self.assertEqual([('c', DOWN)], self.take_over())

    def test_also_what_is_seen_after_it_was_heard(self) -> None:
        self.book.see('a', DOWN)
        self.book.tell()
        self.other.listen(self.book)
        self.other.see('a', DOWN)
        self.assertEqual([], self.take_over())

    def test_what_was_not_published_is_repeated(self) -> None:
        self.both_see('a', DOWN)
        self.book.tell()
        self.assertEqual([('a', DOWN)], self.take_over())

    def test_down_and_up_again_while_nobody_leads(self) -> None:
        self.other.see('a', DOWN, UP)
        self.clock.advance(60)
        self.assertEqual([('a', DOWN), ('a', UP)], self.take_over())

    def test_down_and_up_again_both_announced(self) -> None:
        self.both_see('a', DOWN, UP)
        self.book.tell()
        self.other.listen(self.book)
        self.assertEqual([], self.take_over())

    def test_the_same_words_are_heard_once(self) -> None:
        self.both_see('a', DOWN)
        self.book.tell()
        self.other.listen(self.book)
        self.both_see('a', UP, DOWN)
        self.other.listen(self.book)
        self.assertEqual([('a', UP), ('a', DOWN)], self.take_over())

    def test_what_only_the_leader_saw_is_put_right(self) -> None:
        self.book.see('a', DOWN)
        self.book.tell()
        self.other.listen(self.book)
        self.assertEqual([('a', UP)], self.take_over())
        self.assertEqual([], self.take_over())

    def test_what_only_the_other_saw_and_is_over_is_dropped(self) -> None:
        self.other.see('a', DOWN, UP)
        self.clock.advance(SLACK)
        self.other.listen(self.book)
        self.clock.advance(0.1)
        self.other.listen(self.book)
        self.assertEqual([('a', DOWN), ('a', UP)], self.other_pending())
        self.other.listen(self.book)
        self.assertEqual([], self.take_over())

    def other_pending(self) -> list[tuple[str, str]]:
        return [
            (each.transition.host, each.state)
            for each in self.other._pending._all.values()
        ]

    def test_what_only_the_other_saw_and_lasts_is_kept(self) -> None:
        self.other.see('a', DOWN)
        for _ in range(10):
            self.clock.advance(SLACK)
            self.other.listen(self.book)
        self.assertEqual([('a', DOWN)], self.take_over())

    def test_nothing_is_dropped_while_the_leader_lags(self) -> None:
        self.both_see('a', DOWN, UP)
        for _ in range(100):
            self.clock.advance(SLACK)
            self.other.listen(self.book)
        self.assertEqual([('a', DOWN), ('a', UP)], self.take_over())

    def test_nor_while_the_leader_says_nothing_new(self) -> None:
        said = self.book.to_publish()
        self.other.hear(said, self.clock())
        self.other.see('a', DOWN, UP)
        for _ in range(10):
            self.clock.advance(SLACK)
            self.other.hear(said, self.clock())
        self.assertEqual([('a', DOWN), ('a', UP)], self.take_over())

    def test_who_comes_late_knows_who_is_down(self) -> None:
        self.both_see('a', DOWN)
        self.book.tell()
        self.clock.advance(3600)
        late = self.make(a=DOWN, b=DOWN, c=UP)
        late.listen(self.book)
        late.lead()
        self.assertEqual([('b', DOWN)], late.tell())

    def test_who_was_frozen_takes_over_nothing_old(self) -> None:
        self.book.see('a', DOWN)
        self.book.tell()
        self.clock.advance(3600)
        self.other.listen(self.book)
        self.other.see('a', DOWN)
        self.other.listen(self.book)
        self.assertEqual([], self.take_over())

    def test_a_new_member_is_announced_once(self) -> None:
        self.both_see('d', UP)
        self.other.listen(self.book)
        self.assertEqual([('d', UP)], self.other_pending())
        self.book.tell()
        self.other.listen(self.book)
        self.assertEqual([], self.take_over())

    def test_a_third_leader_goes_on_from_the_second(self) -> None:
        third = self.make()
        for each in (self.book, self.other, third):
            each.see('a', DOWN)
            each.see('b', DOWN)
        self.book.tell(1)
        self.other.listen(self.book)
        third.listen(self.book)
        self.assertEqual([('b', DOWN)], self.take_over())
        third.listen(self.other)
        third.see('a', UP)
        third.lead()
        self.assertEqual([('a', UP)], third.tell())
        self.assertGreater(
            third.to_publish().term, self.other.to_publish().term
        )

    def test_who_nova_has_forgotten_is_no_news(self) -> None:
        self.both_see('a', DOWN)
        self.book.tell()
        self.other.listen(self.book)
        for each in (self.book, self.other):
            each.keep('compute', ['b', 'c'])
        self.assertEqual([], self.take_over())
        self.assertEqual(frozenset(), self.other.to_publish().down)

    def test_ten_thousand_at_once_are_struck_out(self) -> None:
        hosts = [f'compute{number:05}' for number in range(10000)]
        states = dict.fromkeys(hosts, UP)
        book, other = self.make(**states), self.make(**states)
        book.lead()
        other.listen(book)
        for each in (book, other):
            for host in hosts:
                each.see(host, DOWN)
        for _ in range(20):
            book.tell(500)
            self.clock.advance(0.5)
            other.listen(book)
        data = publication.encode(book.to_publish())
        self.assertLess(len(data), 100_000)
        other.lead()
        self.assertEqual([], other.tell())


class PublicationTest(base.TestCase):
    def test_what_others_wrote_is_nothing(self) -> None:
        for data in (
            None,
            b'',
            b'x',
            {'a': 1},
            publication.zlib.compress(b'[2]'),
        ):
            self.assertIsNone(publication.decode(data))

    def test_there_and_back(self) -> None:
        said = publication.Publication(
            3,
            4,
            5,
            0.5,
            ((('compute', 'hö/st'), DOWN),),
            frozenset({('compute', 'hö/st'), ('conductor', 'b')}),
        )
        self.assertEqual(said, publication.decode(publication.encode(said)))
