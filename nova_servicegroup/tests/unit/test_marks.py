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

"""The marks of a group, and the members that make them."""

from collections.abc import Iterator
import contextlib
import types
from typing import Any

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import registration
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import roster
from nova_servicegroup.drivers.common import starting
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

FAILS = condition.Condition(condition.DEGRADED, 'rpc', 5.0)
STOPS = condition.Condition(condition.DRAINING, condition.STOPPING, 9.0)
FOREIGN = (
    b'!',
    b'!degraded:rpc:1',
    b'a!degraded:rpc:1',
    b'a@1!',
    b'a@1!dead:rpc:1',
    b'a@1!degraded:r\x1bc:1',
    b'a@1!degraded:rpc:1\n',
    b'a@1!\xff',
    b'a@1!degraded:rpc:1!degraded:rpc:1',
    b'h%zz@1!degraded:rpc:1',
    # Not as encode writes it: one condition has only one mark.
    b'a@1!degraded:rpc:01',
    b'a@1!degraded:rpc:999999999999',
    b'a@1!degraded:rpc:' + 20_000 * b'1',
)


def mark(member_id: bytes, found: condition.Condition = FAILS) -> bytes:
    return naming.marked(member_id, condition.encode(found))


class MarksTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.roster = roster.Roster('compute')
        self.a, self.b = naming.member_id('a'), naming.member_id('b')

    def update(self, *ids: bytes) -> dict[str, condition.Condition]:
        """Replace all ids; return the unfit hosts."""
        self.roster.update(set(ids))
        return dict(self.roster.unfit())

    def test_a_mark_makes_its_host_unfit(self) -> None:
        self.assertEqual({}, self.update(self.a, self.b))
        self.assertEqual(
            {'a': FAILS}, self.update(self.a, self.b, mark(self.a))
        )
        self.assertEqual({}, self.update(self.a, self.b))

    def test_a_mark_is_no_member(self) -> None:
        self.assertEqual({'a'}, self.roster.update({self.a, mark(self.a)}))
        self.assertEqual([self.a], self.roster.ids('a'))
        self.assertEqual({self.a}, self.roster.all_ids())
        self.assertEqual(set(), self.roster.duplicates)
        self.assertEqual(set(), self.roster.update({mark(self.a)}))
        self.assertEqual({}, self.roster.unfit())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_any_order(self) -> None:
        self.assertEqual({}, self.update(mark(self.a)))
        self.assertEqual({'a': FAILS}, self.update(self.a, mark(self.a)))

    def test_any_name_of_a_host(self) -> None:
        for host in ('a!b', 'Ö/1', 'x@y!degraded:rpc:1', 1000 * '\U0001f600'):
            member_id = naming.member_id(host)
            name = host.lower()
            self.assertEqual(
                {name: FAILS}, self.update(member_id, mark(member_id)), host
            )

    def test_the_newest_mark_counts(self) -> None:
        both = {mark(self.a), mark(self.a, STOPS)}
        self.assertEqual({'a': STOPS}, self.update(self.a, *both))
        self.assertEqual({'a': FAILS}, self.update(self.a, mark(self.a)))

    def test_a_host_is_unfit_if_all_its_processes_are(self) -> None:
        other = naming.member_id('a')
        self.assertEqual({}, self.update(self.a, mark(self.a), other))
        self.assertEqual(
            {'a': STOPS},
            self.update(self.a, mark(self.a), other, mark(other, STOPS)),
        )

    def test_the_mark_of_a_member_that_is_gone_is_ignored(self) -> None:
        other = naming.member_id('a')
        self.assertEqual({}, self.update(mark(self.a), other))

    def ended(self, *ids: bytes) -> set[str]:
        """Replace all ids; return the hosts that are lost since they ended."""
        self.roster.update(set(ids))
        return set(self.roster.take_ended())

    def test_a_member_that_was_ended(self) -> None:
        ended = naming.marked(self.a, condition.ENDED_MARK)
        self.assertEqual(set(), self.ended(self.a, self.b))
        self.assertEqual({'a'}, self.ended(self.b, ended))
        self.assertEqual([ended], self.roster.ended_marks('a'))
        self.assertEqual([], self.roster.ended_marks('b'))
        # It is told once: the host may be lost in another way later.
        self.assertEqual(set(), self.ended(ended))
        self.assertEqual(set(), self.ended())
        self.assertEqual([], self.log_lines('WARNING'))

    def test_it_makes_no_host_unfit(self) -> None:
        ended = naming.marked(self.a, condition.ENDED_MARK)
        self.assertEqual({}, self.update(self.a, ended))
        self.assertEqual(
            {'a': FAILS}, self.update(self.a, ended, mark(self.a))
        )

    def test_it_is_told_by_the_next_reading_that_succeeds(self) -> None:
        ended = naming.marked(self.a, condition.ENDED_MARK)
        self.update(self.a, self.b)
        self.update(self.b, ended)
        self.assertEqual({'a'}, self.ended(self.b, ended))

    def test_but_not_if_it_has_joined_again_meanwhile(self) -> None:
        ended = naming.marked(self.a, condition.ENDED_MARK)
        self.update(self.a, self.b)
        self.update(self.b, ended)
        self.assertEqual(
            set(), self.ended(self.b, ended, naming.member_id('a'))
        )

    def test_a_host_was_ended_if_all_its_processes_were(self) -> None:
        other = naming.member_id('A')
        first, second = (
            naming.marked(each, condition.ENDED_MARK)
            for each in (self.a, other)
        )
        self.ended(self.a, other)
        self.assertEqual(set(), self.ended(first))
        self.ended(self.a, other)
        self.assertEqual(set(), self.ended(first, other))
        self.assertEqual(set(), self.ended(first))
        self.ended(self.a, other)
        self.assertEqual({'a'}, self.ended(first, second))

    def test_one_that_has_joined_again_was_not_ended(self) -> None:
        ended = naming.marked(self.a, condition.ENDED_MARK)
        other = naming.member_id('a')
        self.ended(self.a)
        self.assertEqual(set(), self.ended(other, ended))
        self.assertEqual(set(), self.ended(ended))

    def test_foreign_nodes_are_ignored(self) -> None:
        self.assertEqual(
            {'a': FAILS}, self.update(self.a, mark(self.a), self.b, *FOREIGN)
        )
        self.assertEqual({'a', 'b'}, self.roster.update({self.a, self.b}))
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_similar_marks_may_come_and_go(self) -> None:
        """They change no other mark."""
        alike = {
            self.a + b'!degraded:rpc:' + since
            for since in (
                b'5',
                b'05',
                b'005',
                b'999999999998',
                b'999999999999',
            )
        }
        self.assertEqual({'a': FAILS}, self.update(self.a, self.b, *alike))
        for each in sorted(alike):
            self.update(self.a, self.b, *(alike - {each}))
            self.assertEqual({'a': FAILS}, self.update(self.a, self.b, *alike))
        self.assertEqual({}, self.update(self.a))
        self.assertEqual({'a'}, self.roster.update({self.a}))

    def test_unchanged_ids_are_not_matched_again(self) -> None:
        self.roster.update({self.a, mark(self.a)})
        found = self.roster.unfit()
        self.roster.update({self.a, mark(self.a)})
        self.assertIs(found, self.roster.unfit())

    def test_marks_of_most_hosts_are_no_mass_rejoin(self) -> None:
        ids = {naming.member_id(host) for host in 'abcde'}
        self.roster.update(ids)
        for more in ({mark(each) for each in ids}, set()):
            self.roster.update(ids | more)
            self.assertFalse(self.roster.rejoined)


class Connection:
    """A connection without a coordinator that counts its successful uses."""

    backend = 'fake'

    def __init__(self) -> None:
        self.used = 0

    @contextlib.contextmanager
    def use(self, deadline: requests.Deadline) -> Iterator[Any]:
        with requests.translated(self.backend):
            yield starting.Connected(None, b'a@1')
        self.used += 1

    def close(self, wait: float) -> None:
        pass


class Registration(registration.Registration):
    """A member whose marks are a set.

    :ivar error: why the servers refuse a mark; None: they do not
    """

    def __init__(self, settings: Any, host: str, group: str) -> None:
        super().__init__(settings, host, group)
        self.there: set[str] = set()
        self.asked: list[str] = []
        self.error: Exception | None = None

    def _verify(self, session: Any) -> None:
        pass

    def _put_mark(self, session: Any, mark: str) -> None:
        self.asked.append(mark)
        if self.error is not None:
            raise self.error
        self.there.add(mark)

    def _drop_mark(self, session: Any, mark: str) -> None:
        self.asked.append(f'-{mark}')
        if self.error is not None:
            raise self.error
        self.there.discard(mark)


class RegistrationTest(base.TestCase):
    """A member verifies its mark as it does its membership."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = Connection()
        self.made = Registration(
            types.SimpleNamespace(
                conf=self.make_conf(),
                driver='fake',
                member_connection=lambda host: self.connection,
            ),
            'a',
            'compute',
        )

    def beats(self) -> bool:
        """Beat once; return whether that has succeeded."""
        failures = self.made.reporter.counts.failures
        self.made.reporter.run()
        return self.made.reporter.counts.failures == failures

    def test_nothing_is_asked_without_a_mark(self) -> None:
        self.assertTrue(self.beats())
        self.assertEqual([], self.made.asked)
        self.assertEqual(1, self.connection.used)

    def test_a_mark_is_written_at_once_and_with_each_beat(self) -> None:
        self.made.mark('x')
        self.assertEqual({'x'}, self.made.there)
        self.made.there.clear()
        self.assertTrue(self.beats())
        self.assertEqual({'x'}, self.made.there)

    def test_a_new_mark_is_written_before_the_old_is_removed(self) -> None:
        self.made.mark('x')
        self.made.mark('y')
        self.assertEqual(['x', 'y', '-x'], self.made.asked)
        self.made.mark(None)
        self.assertEqual(set(), self.made.there)
        self.assertTrue(self.beats())
        self.assertEqual('-y', self.made.asked[-1])

    def test_a_mark_that_is_refused_is_tried_again(self) -> None:
        self.made.error = exceptions.BackendError('fake', 'refused')
        self.made.mark('x')
        self.assertFalse(self.beats())
        # The membership was renewed.
        self.assertEqual(2, self.connection.used)
        self.made.error = None
        self.assertTrue(self.beats())
        self.assertEqual({'x'}, self.made.there)

    def test_a_mark_that_was_perhaps_written_is_removed(self) -> None:
        self.made.error = exceptions.BackendTimeout('fake', 'no answer yet')
        self.made.mark('x')
        self.made.mark('y')
        self.made.mark(None)
        self.made.there, self.made.error = {'x'}, None
        self.assertTrue(self.beats())
        self.assertEqual(set(), self.made.there)

    def test_a_mark_does_not_count_as_a_run_of_the_timer(self) -> None:
        before = self.made.reporter.last_run
        self.made.mark('x')
        self.assertEqual(before, self.made.reporter.last_run)
        self.beats()
        self.assertLess(before, self.made.reporter.last_run)

    def test_a_stopped_member_writes_no_mark(self) -> None:
        self.made.stop()
        self.made.mark('x')
        self.assertEqual([], self.made.asked)
