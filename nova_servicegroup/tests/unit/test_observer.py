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


from collections.abc import Callable
import threading
from unittest import mock

from nova_servicegroup import dates
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import pace
from nova_servicegroup.tests import base

LOST = exceptions.BackendError('the backend', 'is away')


class Backend(observer.Source):
    """Answers reads as a test sets it, and records how long each may wait."""

    def __init__(self, clock: base.Clock) -> None:
        self.clock, self.mute = clock, False
        self.answer: evidence.Reading | Exception = evidence.Reading(
            frozenset({'a', 'b'})
        )
        self.waits: list[float] = []
        self.during: Callable[[], None] = lambda: None
        self.wanted: set[str] = set()

    def request(self, host: str) -> bool:
        return host in self.wanted

    def read(self, wait: float) -> evidence.Reading:
        self.waits.append(wait)
        self.wanted = set()
        if self.mute:
            self.clock.advance(wait)
            raise LOST
        self.during()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def has(self, *hosts: str) -> None:
        self.answer = evidence.Reading(frozenset(hosts))


class Busy:
    """A lock that is held for some seconds."""

    def __init__(
        self, clock: base.Clock, held: float, gets: bool = True
    ) -> None:
        self.clock, self.held, self.gets = clock, held, gets

    def acquire(self, timeout: float) -> bool:
        self.clock.advance(min(self.held, timeout))
        return self.gets

    def release(self) -> None:
        pass


def in_threads(ask: Callable[[str], None], hosts: list[str]) -> None:
    """Ask about each host in a thread of its own."""
    threads = [threading.Thread(target=ask, args=(host,)) for host in hosts]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)


class ObserverTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.backend = Backend(self.clock)
        self.patience = pace.Patience(2.0)
        self.observer = self.make()

    def make(self) -> observer.Observer:
        return observer.Observer(
            'Group compute',
            self.backend,
            membership.Membership(self.clock(), 60.0, settle_time=20.0),
            refresh_interval=1.0,
            patience=self.patience,
            background=False,
            clock=self.clock,
        )

    def up(self, *hosts: str) -> list[str]:
        return [host for host in hosts if self.observer.is_up(host)]

    def test_a_pass_reads_once(self) -> None:
        for _ in range(100):
            self.assertTrue(self.observer.is_up('a'))
        self.assertFalse(self.observer.is_up('c'))
        self.assertEqual([2.0], self.backend.waits)

    def test_all_questions_at_the_end_of_hold_time_agree(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        ended = False
        for _ in range(700):
            self.clock.advance(0.1)
            verdicts = set()
            for host in ('a', 'b'):
                known = self.observer.recall(host)
                verdicts.add(
                    self.up(host) == [host] if known is None else known
                )
            self.assertEqual(1, len(verdicts))
            self.assertFalse(ended and verdicts == {True})
            ended = verdicts == {False}
        self.assertTrue(ended)

    def test_a_young_membership_is_recalled_without_reading(self) -> None:
        self.assertIsNone(self.observer.recall('a'))
        self.observer.is_up('a')
        self.assertIs(True, self.observer.recall('a'))
        # That it was found absent is to be remembered.
        self.assertIsNone(self.observer.recall('c'))
        self.observer.is_up('c')
        self.assertIs(False, self.observer.recall('c'))
        self.clock.advance(1.0)
        self.assertIsNone(self.observer.recall('a'))
        self.assertEqual([2.0], self.backend.waits)

    def test_recalling_counts_as_a_question(self) -> None:
        self.observer.is_up('a')
        self.clock.advance(0.5)
        self.observer.recall('a')
        self.assertEqual(self.clock(), self.observer._pace.asked)

    def test_a_host_down_in_an_outage_stays_down_after_a_rest(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        while self.observer.is_up('a'):
            self.clock.advance(2)
        # Nobody has asked for long.
        self.clock.advance(600)
        self.observer.refresh()
        self.assertIs(False, self.observer.recall('a'))

    def test_it_reads_again_when_due(self) -> None:
        self.observer.is_up('a')
        self.clock.advance(0.9)
        self.observer.is_up('a')
        self.backend.has('b')
        self.clock.advance(0.2)
        self.assertFalse(self.observer.is_up('a'))
        self.assertEqual(2, len(self.backend.waits))

    def test_only_the_first_question_of_an_outage_waits(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(5):
            self.clock.advance(1)
            self.assertTrue(self.observer.is_up('a'))
        self.assertEqual([2.0, 2.0, 0.0, 0.0, 0.0, 0.0], self.backend.waits)
        self.backend.has('a')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.assertEqual([0.0, 2.0], self.backend.waits[-2:])

    def test_with_green_threads_later_questions_wait_a_moment(self) -> None:
        self.patience.blind_wait = 0.125
        self.backend.answer = LOST
        for _ in range(3):
            self.observer.is_up('a')
            self.clock.advance(1)
        self.assertEqual([2.0, 0.125, 0.125], self.backend.waits)

    def test_it_is_read_in_the_background(self) -> None:
        done: list[str] = []
        self.observer._watch = mock.Mock(
            keep=lambda: done.append('keep'),
            wake=lambda: done.append('wake'),
            stop=lambda: done.append('stop'),
        )
        self.observer.is_up('a')
        self.assertEqual(['keep'], done)
        self.backend.answer = LOST
        for _ in range(4):
            # Only when it is due; after a read in vain it is.
            self.clock.advance(0.5)
            self.observer.read_if_due()
        self.assertEqual([2.0] * 4, self.backend.waits)
        self.observer.close()
        self.assertEqual(['keep', 'wake', 'stop'], done)

    def test_what_the_background_has_read_is_recalled(self) -> None:
        self.observer.is_up('a')
        self.backend.has('a', 'c')
        self.clock.advance(1)
        self.observer.read_if_due()
        self.assertTrue(self.observer.recall('c'))
        self.assertTrue(self.observer.is_up('c'))
        self.assertEqual(2, len(self.backend.waits))

    def test_rare_questions_wait_each_time(self) -> None:
        """An answer that was not fetched in time is not used."""
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(3):
            self.clock.advance(6)
            self.assertTrue(self.observer.is_up('a'))
        self.assertEqual([2.0] * 4, self.backend.waits)

    def test_blind_and_idle_it_reads_before_it_judges(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        self.clock.advance(1)
        self.observer.is_up('a')
        self.backend.has('a', 'b')
        self.clock.advance(100)
        del self.backend.waits[:]
        self.assertTrue(self.observer.is_up('a'))
        self.assertEqual([2.0], self.backend.waits)
        self.assertNotIn('down', self.log.output)

    def test_a_group_that_cannot_be_read_disturbs_no_other(self) -> None:
        other = self.make()
        self.backend.answer = LOST
        self.observer.is_up('a')
        lines = self.log.output
        self.backend.has('a', 'b')
        self.assertTrue(other.is_up('a'))
        self.assertEqual([2.0, 2.0], self.backend.waits)
        self.assertEqual(
            ['INFO Group compute: 2 members.'],
            self.log.output.removeprefix(lines).splitlines(),
        )

    def test_after_a_timeout_other_groups_wait_briefly(self) -> None:
        """One request to Nova asks about several groups."""
        others = [self.make(), self.make()]
        self.backend.mute = True
        for _ in range(2):
            for each in (self.observer, *others):
                each.is_up('a')
            self.assertEqual([2.0, 0.25, 0.25], self.backend.waits)
            del self.backend.waits[:]
            # Nobody asks for so long that the first one waits again.
            self.clock.advance(6)

    def test_a_mute_group_leaves_the_others_their_time(self) -> None:
        other = self.make()
        for _ in range(5):
            self.backend.mute = True
            self.observer.is_up('a')
            self.backend.mute = False
            other.is_up('a')
            self.clock.advance(2)
        self.assertEqual([2.0, 0.25] + 4 * [0.0, 2.0], self.backend.waits)

    def test_after_a_failed_background_read_a_question_reads(self) -> None:
        """A process may stand still between questions."""
        self.observer.is_up('a')
        self.clock.advance(1)
        self.backend.mute = True
        self.observer.read_if_due()
        self.backend.mute = False
        self.backend.has('b')
        self.assertFalse(self.observer.is_up('a'))
        self.assertEqual([2.0, 2.0, 0.0], self.backend.waits)

    def test_after_waiting_for_another_read_less_time_is_left(self) -> None:
        self.observer._pace.reading = Busy(self.clock, 0.5)
        self.assertTrue(self.observer.is_up('a'))
        self.assertEqual([1.5], self.backend.waits)

    def test_after_a_long_wait_for_another_read_there_is_none(self) -> None:
        """A read of a healthy server must not fail for lack of time."""
        self.observer.is_up('a')
        self.clock.advance(1)
        self.observer._pace.reading = Busy(self.clock, 1.5)
        self.assertTrue(self.observer.is_up('a'))
        self.assertEqual(1, len(self.backend.waits))

    def test_after_a_wait_in_vain_the_known_membership_counts(self) -> None:
        self.backend.has('a')
        self.assertEqual(['a'], self.up('a', 'b'))
        self.clock.advance(600)
        self.observer._pace.reading = Busy(self.clock, 2.0, gets=False)
        # Nobody has looked for long, so a stranger may be there by now.
        self.assertEqual(['a', 'c'], self.up('a', 'b', 'c'))
        # A program that evacuates what seems old must not see the last proof.
        self.assertEqual(self.clock(), self.observer.last_up('a'))
        self.assertIsNone(self.observer.last_up('b'))
        self.assertEqual(1, len(self.backend.waits))

    def test_a_wait_in_vain_keeps_no_host_up_after_hold_time(self) -> None:
        """The background asks a mute backend most of the time."""
        self.backend.answer = LOST
        for _ in range(70):
            self.observer.is_up('a')
            self.clock.advance(1)
        self.observer._pace.reading = Busy(self.clock, 2.0, gets=False)
        self.assertEqual([], self.up('a', 'x'))

    def test_twelve_threads_that_ask_about_twelve_hosts_read_once(
        self,
    ) -> None:
        hosts = [f'host{number}' for number in range(12)]
        self.backend.has(*hosts)
        begin = threading.Barrier(12)
        verdicts: dict[str, bool] = {}

        def ask(host: str) -> None:
            begin.wait(10)
            verdicts[host] = self.observer.is_up(host)

        in_threads(ask, hosts)
        self.assertEqual(dict.fromkeys(hosts, True), verdicts)
        self.assertEqual(1, len(self.backend.waits))

    def test_a_host_that_the_source_wants_is_read_at_once(self) -> None:
        self.observer.is_up('a')
        self.backend.wanted = {'c'}
        self.backend.has('a', 'c')
        self.assertEqual(
            [False, True], [self.observer.is_up(host) for host in 'dc']
        )

    def test_an_unread_host_is_up_until_the_next_reading(self) -> None:
        self.observer.is_up('a')
        for host in 'cde':
            self.backend.wanted.add(host)
            self.observer.is_up(host)
        self.assertEqual(2, len(self.backend.waits))
        self.assertEqual(['d', 'e'], self.up('d', 'e'))
        self.clock.advance(1.0)
        self.assertEqual([], self.up('c', 'd', 'e'))
        self.assertEqual(3, len(self.backend.waits))

    def test_for_an_unknown_host_the_group_is_read_again(self) -> None:
        self.observer.is_up('a')
        self.clock.advance(0.4)
        self.backend.has('a', 'b', 'c')
        self.assertTrue(self.observer.is_up('c'))
        self.assertEqual(2, len(self.backend.waits))
        # That is done once in a refresh_interval; the next is believed.
        self.clock.advance(0.4)
        self.assertEqual(['d', 'e'], self.up('d', 'e'))
        self.assertEqual(2, len(self.backend.waits))
        self.assertTrue(self.observer.members.is_held('d'))
        self.backend.has('a', 'b', 'c', 'd')
        self.clock.advance(0.6)
        self.assertEqual(['d'], self.up('d', 'e'))
        self.assertEqual(3, len(self.backend.waits))
        self.assertEqual(evidence.ABSENT, self.observer.members.reason('e'))

    def test_a_read_begun_before_a_question_is_no_evidence(self) -> None:
        def ask() -> None:
            self.clock.advance(0.1)
            self.observer.members.judge('c', self.clock(), unread=True)

        self.backend.during = ask
        self.observer.is_up('a')
        self.assertTrue(self.observer.is_up('c'))
        self.clock.advance(1.0)
        self.backend.during = lambda: None
        self.assertFalse(self.observer.is_up('c'))

    def test_unknown_hosts_asked_about_at_once_are_read_once(self) -> None:
        self.assertEqual([], self.up(*'cdefgh'))
        self.assertEqual(1, len(self.backend.waits))

    def test_an_unread_host_is_not_up_for_ever(self) -> None:
        self.observer.is_up('a')
        self.backend.mute = True
        self.clock.advance(1.0)
        self.backend.wanted = {'c'}
        for _ in range(40):
            self.up('c')
            self.clock.advance(2.0)
        self.assertEqual([], self.up('c'))

    def test_hosts_are_compared_without_case(self) -> None:
        self.assertTrue(self.observer.is_up('A'))
        self.assertEqual(0.0, self.observer.proof_age('A'))

    def test_an_outage_is_logged_once_and_so_is_its_end(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(8):
            self.clock.advance(1)
            self.observer.is_up('a')
        warning = self.log_lines('WARNING')
        self.assertEqual(1, len(warning))
        self.assertIn('the backend: is away', warning[0])
        self.backend.has('a', 'b')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.assertIn('contact is back after 8.0 s', self.log.output)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_a_single_late_answer_is_no_outage(self) -> None:
        self.observer.is_up('a')
        lines = self.log.output
        for _ in range(10):
            for answer in (LOST, evidence.Reading(frozenset('ab'))):
                self.backend.answer = answer
                self.clock.advance(1)
                self.observer.is_up('a')
        self.assertEqual(lines, self.log.output)

    def test_starting_blind_is_logged(self) -> None:
        self.backend.answer = LOST
        self.assertTrue(self.observer.is_up('a'))
        self.assertIn('The state of its members is unknown', self.log.output)

    def test_an_unexpected_error_is_an_outage_too(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = UnicodeError('a bug')
        self.clock.advance(1)
        self.assertTrue(self.observer.is_up('a'))
        self.assertIn('Unexpected error', self.log.output)

    def test_transitions_are_logged_once_with_host_and_reason(self) -> None:
        self.observer.is_up('a')
        self.assertEqual(['Group compute: 2 members.'], self.log_lines('INFO'))
        self.backend.has('a')
        for _ in range(3):
            self.clock.advance(1)
            self.observer.is_up('a')
        self.assertEqual(
            ['Group compute: b: down: not in the group'],
            self.log_lines('WARNING'),
        )
        self.backend.has('a', 'b')
        self.clock.advance(1)
        self.observer.is_up('a')
        self.assertEqual('Group compute: b: up', self.log_lines('INFO')[-1])

    def test_a_mass_of_hosts_takes_one_line(self) -> None:
        self.backend.has(*(f'host{n:03}' for n in range(200)))
        self.observer.is_up('a')
        self.backend.has(*(f'host{n:03}' for n in range(100, 200)))
        self.clock.advance(1)
        self.observer.is_up('a')
        lines = self.log_lines('WARNING')
        self.assertEqual(1, len(lines))
        self.assertIn('host000, host001, ', lines[0])
        self.assertIn(' and 50 more: down', lines[0])

    def test_nothing_is_logged_while_all_is_well(self) -> None:
        self.observer.is_up('a')
        before = self.log.output
        for _ in range(10):
            self.clock.advance(1)
            self.observer.is_up('a')
        self.assertEqual(before, self.log.output)

    def test_a_second_thread_does_not_read_too(self) -> None:
        verdicts: list[bool] = []
        other = threading.Thread(
            target=lambda: verdicts.append(self.observer.is_up('a'))
        )

        def during() -> None:
            self.backend.during = lambda: None
            other.start()

        self.backend.during = during
        self.assertTrue(self.observer.is_up('a'))
        other.join(10)
        self.assertEqual([True], verdicts)
        self.assertEqual(1, len(self.backend.waits))

    def test_proof_age(self) -> None:
        self.observer.is_up('a')
        self.assertEqual(0.0, self.observer.proof_age('a'))
        self.assertIsNone(self.observer.proof_age('c'))
        self.backend.answer = LOST
        self.clock.advance(3)
        self.observer.is_up('a')
        self.assertEqual(3.0, self.observer.proof_age('a'))

    def test_a_member_back_after_an_outage_is_not_logged_down(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        self.clock.advance(1)
        self.observer.is_up('a')
        self.backend.has('a', 'b')
        before = self.log.output
        self.clock.advance(70)
        self.assertTrue(self.observer.is_up('a'))
        self.assertEqual(before, self.log.output)

    def test_two_failures_with_a_long_rest_between(self) -> None:
        """There are no questions and no reads between them."""
        self.observer.is_up('a')
        self.backend.answer = LOST
        for seconds in (30, 180):
            self.clock.advance(seconds)
            self.assertTrue(self.observer.is_up('a'))

    def test_flapping_revives_no_dead_host(self) -> None:
        self.backend.has('a')
        self.assertEqual(['a'], self.up('a', 'dead'))
        for second in range(600):
            self.backend.has('a')
            if second % 20 < 6:
                self.backend.answer = LOST
            self.clock.advance(1)
            self.assertEqual(['a'], self.up('a', 'dead'), second)

    def test_a_wiped_group_that_is_read_seldom_keeps_no_host_up(self) -> None:
        wiped = evidence.Reading(frozenset(), 'wiped', complete=False)
        for pause in (7, 30, 90):
            self.backend.has('a')
            self.observer = self.make()
            self.assertEqual(['a'], self.up('a', 'dead'))
            self.backend.answer = wiped
            for _ in range(60 // pause + 1):
                self.clock.advance(pause)
                self.assertEqual(['a'], self.up('a', 'dead'), pause)
            self.clock.advance(61)
            self.assertEqual([], self.up('a', 'dead'), pause)

    def test_a_dead_host_is_logged_once(self) -> None:
        self.observer.is_up('a')
        self.backend.answer = LOST
        for _ in range(80):
            self.clock.advance(1)
            self.observer.is_up('a')
        downs = [
            each for each in self.log_lines('WARNING') if 'a, b: down' in each
        ]
        self.assertEqual(1, len(downs))

    def test_dates(self) -> None:
        made = dates.Dates(self.clock)
        self.assertIsNone(made.date(None))
        moment = self.clock()
        self.clock.advance(100)
        date = made.date(moment)
        age = dates.time_ago(0.0) - date
        self.assertLess(abs(age.total_seconds() - 100), 10)
        # Of one moment there is one date.
        self.clock.advance(1)
        self.assertIs(date, made.date(moment))
        self.assertGreater(made.date(self.clock()), date)


class PaceTest(base.TestCase):
    """When a group is read in the background."""

    def setUp(self) -> None:
        super().setUp()
        self.pace = pace.Pace(1.0, pace.Patience(2.0))

    def pauses(self, blind: bool) -> list[float | None]:
        return [self.pace.pause(self.clock(), blind) for _ in range(100)]

    def assert_between(
        self, least: float, most: float, pauses: list[float | None]
    ) -> None:
        self.assertTrue(all(least <= each <= most for each in pauses), pauses)
        self.assertGreater(len(set(pauses)), 50)

    def test_now_and_then_for_minutes_after_a_question(self) -> None:
        self.pace.asked = self.clock()
        self.clock.advance(300)
        self.assert_between(7.5, 15.0, self.pauses(False))

    def test_not_without_questions(self) -> None:
        self.pace.asked = self.clock()
        self.clock.advance(301)
        self.assertEqual({None}, set(self.pauses(False)))

    def test_often_while_contact_is_lost(self) -> None:
        self.pace.asked = self.clock()
        self.assert_between(1.0, 2.0, self.pauses(True))

    def test_as_long_as_contact_is_lost(self) -> None:
        self.clock.advance(9999)
        self.assert_between(2.0, 4.0, self.pauses(True))


class Watched(pace.Watched):
    """Reads and pauses as a test says."""

    def __init__(
        self, read: Callable[[], None], pause: Callable[[], float | None]
    ) -> None:
        self._read, self._pause = read, pause

    def read_if_due(self) -> None:
        self._read()

    def pause(self) -> float | None:
        return self._pause()


class WatchTest(base.TestCase):
    """The thread in the background."""

    def test_it_reads_until_there_is_no_reason_to(self) -> None:
        ended, reads = threading.Event(), []
        pauses: list[float | None] = [0.0, 0.0, None]

        def pause() -> float | None:
            found = pauses.pop(0)
            if found is None:
                ended.set()
            return found

        watch = pace.Watch(Watched(lambda: reads.append(1), pause))
        watch.keep()
        self.assertTrue(ended.wait(10))
        self.assertEqual([1, 1], reads)

    def test_when_woken_it_computes_its_pause_again(self) -> None:
        paused, done = threading.Event(), threading.Event()
        pauses: list[float | None] = [3600.0, 0.0, None]

        def pause() -> float | None:
            paused.set()
            return pauses.pop(0)

        watch = pace.Watch(Watched(done.set, pause))
        watch.keep()
        self.assertTrue(paused.wait(10))
        watch.wake()
        self.assertTrue(done.wait(10))

    def test_it_ends_at_once_when_it_is_stopped(self) -> None:
        paused, done = threading.Event(), threading.Event()

        def pause() -> float | None:
            paused.set()
            return 3600.0

        watch = pace.Watch(Watched(lambda: None, pause))
        run = watch._run
        watch._run = lambda: (run(), done.set())  # type: ignore
        watch.keep()
        self.assertTrue(paused.wait(10))
        watch.stop()
        self.assertTrue(done.wait(10))

    def test_without_a_thread_the_next_question_tries_again(self) -> None:
        reads: list[int] = []
        watch = pace.Watch(Watched(lambda: reads.append(1), lambda: None))
        error = RuntimeError("can't start new thread")
        with mock.patch.object(threading.Thread, 'start', side_effect=error):
            watch.keep()
        self.assertFalse(watch._running)
        with mock.patch.object(threading.Thread, 'start') as start:
            watch.keep()
        start.assert_called_once_with()
