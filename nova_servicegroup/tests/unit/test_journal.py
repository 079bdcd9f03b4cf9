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

from nova_servicegroup import condition
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import fitness
from nova_servicegroup import journal
from nova_servicegroup.tests import base

LOST = exceptions.BackendError('zk', 'is away')
GROUP = 'Group compute (zk)'


class JournalTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.journal = journal.Journal(GROUP)

    def confirmed(
        self,
        *present: str,
        blind: float | None = None,
        doubt: str | None = None,
        **changes: Any,
    ) -> list[str]:
        """Take a reading; return the lines that it makes."""
        return self.lines(
            lambda: self.journal.confirmed(
                evidence.Reading(set(present), doubt),
                evidence.Changes(**changes),
                blind,
                self.clock(),
            )
        )

    def lines(self, call: Any) -> list[str]:
        """Return what call logs, without the name of the group."""
        before = self.log.output
        call()
        found = self.log.output.removeprefix(before).splitlines()
        self.assertTrue(all(GROUP in each for each in found), found)
        return [each.replace(f' {GROUP}:', '') for each in found]

    def test_the_first_reading_is_counted(self) -> None:
        changes = {'up': {'a', 'b'}}
        self.assertEqual(
            ['INFO 2 members.'], self.confirmed('a', 'b', **changes)
        )
        self.assertEqual([], self.confirmed('a', 'b'))
        self.assertEqual(['INFO c: up'], self.confirmed('a', up={'c'}))

    def test_each_change_has_its_reason(self) -> None:
        self.confirmed('a')
        self.assertEqual(
            [
                'WARNING b: down: not in the group',
                'WARNING c, d: missing, but held up: mute',
                'WARNING e: missing, but held up: wiped',
                'WARNING f: down: not seen for the hold time',
            ],
            self.confirmed(
                'a',
                down={'b'},
                held={'e': 'wiped', 'd': 'mute', 'c': 'mute'},
                expired={'f'},
            ),
        )

    def test_unfit_members_and_why(self) -> None:
        unfit = {
            host: condition.Condition(state, reason, 5.0)
            for host, state, reason in (
                ('a', condition.DEGRADED, 'rpc'),
                ('b', condition.DRAINING, condition.STOPPING),
                ('c', condition.DEGRADED, 'rpc'),
            )
        }
        changes = fitness.Changes(unfit, {'d'}, {'virt'})
        lines = self.lines(lambda: self.journal.unfit(changes))
        self.assertIn('WARNING the check virt fails on many', lines.pop(0))
        self.assertEqual(
            [
                'WARNING a, c: degraded: rpc',
                'INFO b: draining: stopping',
                'INFO d: fit again',
            ],
            lines,
        )

    def test_made_up_reasons_fill_no_log(self) -> None:
        unfit = {
            f'host{number}': condition.Condition('degraded', f'x{number}', 1.0)
            for number in range(3000)
        }
        changes = fitness.Changes(unfit)
        lines = self.lines(lambda: self.journal.unfit(changes))
        self.assertEqual(journal._MAX_REASONS + 1, len(lines))
        self.assertIn('2980 more reasons', lines[-1])

    def test_the_end_of_an_outage(self) -> None:
        self.confirmed('a')
        self.journal.lost(LOST, 1, evidence.Changes(), 7.1)
        self.assertEqual(
            [
                'INFO contact is back after 7.2 s.',
                'WARNING b: down: blind, and not seen for the hold time',
            ],
            self.confirmed('a', blind=7.2, expired={'b'}),
        )

    def test_the_beginning_of_an_outage(self) -> None:
        changes = evidence.Changes()
        (line,) = self.lines(lambda: self.journal.lost(LOST, 2, changes, 5.0))
        self.assertIn('cannot be read any more (zk: is away)', line)
        self.assertIn('Its 2 members are held up', line)
        self.assertEqual(
            [],
            self.lines(lambda: self.journal.lost(LOST, 2, changes, 6.0)),
        )

    def test_an_outage_from_the_start(self) -> None:
        changes = evidence.Changes()
        (line,) = self.lines(
            lambda: self.journal.lost(LOST, None, changes, 0.0)
        )
        self.assertIn('The state of its members is unknown', line)

    def test_members_down_in_an_outage(self) -> None:
        changes = evidence.Changes(expired={'a'})
        self.assertEqual(
            ['WARNING a: down: blind, and not seen for the hold time'],
            self.lines(lambda: self.journal.lost(LOST, 1, changes, 0.0)),
        )

    def test_a_doubt_is_logged_again_after_an_hour_without_it(self) -> None:
        self.confirmed()
        told = []
        for seconds in (1, 1, 3600, 1, 3601, 1):
            self.clock.advance(seconds)
            told.append(len(self.confirmed(doubt='mute')))
        self.assertEqual([1, 0, 0, 0, 1, 0], told)

    def test_each_doubt_for_itself(self) -> None:
        self.confirmed()
        (line,) = self.confirmed(doubt='mute')
        self.assertIn('WARNING mute. Members that are missing now', line)
        self.assertEqual(1, len(self.confirmed(doubt='wiped')))
        self.assertEqual(0, len(self.confirmed(doubt='mute')))

    def test_a_mass_of_hosts_is_counted(self) -> None:
        self.confirmed('a')
        down = {f'host{number:03}' for number in range(60)}
        (line,) = self.confirmed('a', down=down)
        self.assertIn('host049 and 10 more: down', line)
        self.assertNotIn('host050', line)

    def test_names_and_reasons_stay_in_their_line(self) -> None:
        self.confirmed('a')
        (line,) = self.confirmed('a', up={'\x1b[2J\n', 'b\u202e'})
        self.assertTrue(line.isprintable())
        self.assertIn(r'\x1b[2J\n, b\u202e: up', line)
