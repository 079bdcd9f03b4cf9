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

"""Of which hosts masakari is notified."""

import dataclasses

from nova_servicegroup.drivers import views
from nova_servicegroup.masakari import decisions
from nova_servicegroup.opts import masakari as options
from nova_servicegroup.tests import base
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory

SETTLE = 10.0
SPREAD = 2.0
POLICY = decisions.Policy(decisions.accepted(options.SILENT), True, SETTLE)
RACK = {'a1': 'a', 'a2': 'a', 'a3': 'a', 'a4': 'a', 'b1': 'b', 'b2': 'b'}


class DecisionsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.states = dict.fromkeys(RACK, (views.UP, None))
        self.lived: dict[str, float] = dict.fromkeys(RACK, 5.0)
        self.cases = self.make()
        self.domains: dict[str, str] = {}

    def make(self, **policy: object) -> decisions.Cases:
        chosen = dataclasses.replace(POLICY, **policy)
        return decisions.Cases(chosen, lambda: SPREAD, {'own'})

    def see(self, **states: str) -> list[str]:
        """Read the group, with hosts that are down by their evidence.

        :returns: the hosts to act on
        """
        for host, evidence in states.items():
            is_state = evidence in inventory.STATES
            self.states[host] = (
                (evidence, None) if is_state else (views.DOWN, evidence)
            )
        entries = {
            host: inventory.Entry(
                host,
                'compute',
                state,
                evidence=evidence,
                domain=self.domains.get(host),
            )
            for host, (state, evidence) in self.states.items()
        }
        self.cases.update(entries, self.lived.get, self.clock.now)
        return [each.host for each in self.due()]

    def due(self) -> list[decisions.Case]:
        return self.cases.due(RACK.get, self.clock.now)

    def later(self, seconds: float = SETTLE + SPREAD) -> list[str]:
        self.clock.advance(seconds)
        return self.see()

    def settle(self) -> None:
        """Have masakari notified of all that is due."""
        for case in self.due():
            self.assertTrue(
                self.cases.may_send(case, RACK.get, self.clock.now)
            )
            self.cases.settle(case, self.clock.now)

    def test_a_silent_host_after_a_wait(self) -> None:
        self.assertEqual([], self.see(a1=deaths.SILENT))
        self.assertEqual([], self.later(SETTLE + SPREAD - 0.1))
        self.assertEqual(['a1'], self.later(0.1))
        (case,) = self.due()
        self.assertEqual((True, 5.0), (case.is_death, case.lived_at))

    def test_no_other_evidence(self) -> None:
        for evidence in set(deaths.EVIDENCE) - {deaths.SILENT, deaths.FENCED}:
            self.see(a1=evidence)
            self.assertEqual([], self.later(100), evidence)

    def test_no_other_state(self) -> None:
        for state in set(inventory.STATES) - {views.DOWN}:
            self.states['a1'] = state, deaths.SILENT
            self.assertEqual([], self.later(100), state)

    def test_fenced_implies_silent(self) -> None:
        self.see(a1=options.FENCED)
        self.assertEqual(['a1'], self.later())

    def test_only_fenced(self) -> None:
        wanted = decisions.accepted(options.FENCED)
        self.cases = self.make(accepted=wanted)
        self.see(a1=deaths.SILENT, b1=options.FENCED)
        self.assertEqual(['b1'], self.later())

    def test_this_machine_lives(self) -> None:
        self.see(OWN=deaths.SILENT)
        self.assertEqual([], self.later())

    def test_once_until_it_is_up(self) -> None:
        self.see(a1=deaths.SILENT)
        self.later()
        self.settle()
        for evidence in (deaths.UNKNOWN, deaths.SILENT, views.HELD):
            self.see(a1=evidence)
            self.assertEqual([], self.later(1000), evidence)
        self.see(a1=deaths.SILENT)
        self.assertEqual([], self.later())
        self.see(a1=views.UP)
        self.later()
        self.settle()
        self.see(a1=deaths.SILENT)
        self.assertEqual(['a1'], self.later())

    def test_a_return_is_told_once(self) -> None:
        self.see(a1=deaths.SILENT)
        self.later()
        self.settle()
        self.see(a1=views.UP)
        self.assertEqual(['a1'], self.later(SPREAD))
        (case,) = self.due()
        self.assertFalse(case.is_death)
        self.settle()
        self.assertEqual([], self.later(1000))

    def test_a_return_that_is_over_is_not_told(self) -> None:
        self.see(a1=deaths.SILENT)
        self.later()
        self.settle()
        self.see(a1=views.DEGRADED)
        self.see(a1=deaths.SILENT)
        self.later()
        self.assertEqual([True], [each.is_death for each in self.due()])

    def test_a_return_without_a_notification_is_not_told(self) -> None:
        self.see(a1=deaths.SILENT)
        self.later()
        self.see(a1=views.UP)
        self.assertEqual([], self.later(1000))

    def test_doubt_starts_the_wait_anew(self) -> None:
        for doubt in (views.HELD, deaths.NOT_REPORTING, deaths.UNKNOWN):
            self.see(a1=deaths.SILENT)
            self.assertEqual(['a1'], self.later())
            self.assertEqual([], self.see(a1=doubt))
            self.assertEqual([], self.see(a1=deaths.SILENT))
            self.see(a1=views.UP)

    def test_a_failure_is_tried_again(self) -> None:
        self.see(a1=deaths.SILENT)
        self.later()
        (case,) = self.due()
        case.fail('away', self.clock.now + 30)
        self.assertEqual([], self.later(29))
        self.assertEqual(['a1'], self.later(1))
        self.assertEqual(1, case.failures)

    def test_a_host_that_masakari_has_forgotten(self) -> None:
        self.see(a1=deaths.SILENT)
        self.later()
        del self.states['a1']
        self.assertEqual([], self.see())

    def test_a_lost_domain_is_waited_for(self) -> None:
        self.see(a1=deaths.SILENT, a2=deaths.SILENT, a3=deaths.SILENT)
        # masakari is asked, but not notified.
        self.assertEqual(['a1', 'a2', 'a3'], self.later())
        for case in self.due():
            self.assertFalse(
                self.cases.may_send(case, RACK.get, self.clock.now)
            )
        self.assertEqual([], self.later(10_000))
        self.assertEqual(
            {'a': ['a1', 'a2', 'a3']},
            self.cases.lost(RACK.get, self.clock.now),
        )
        # Another host's loss is its own.
        self.see(b1=deaths.SILENT)
        self.assertEqual(['b1'], self.later())

    def test_those_that_are_held_or_died_otherwise_count_as_well(self) -> None:
        self.see(a1=deaths.SILENT, a2=views.HELD, a3=deaths.UNKNOWN)
        self.later()
        self.assertEqual(
            {'a': ['a1']}, self.cases.lost(RACK.get, self.clock.now)
        )
        self.see(a2=views.UP)
        self.assertEqual({}, self.cases.lost(RACK.get, self.clock.now))

    def test_many_that_were_never_seen_alive_may_be_of_one_domain(
        self,
    ) -> None:
        self.lived = {}
        hosts = {f'x{number}': deaths.SILENT for number in range(3)}
        self.see(**hosts)
        self.later()
        self.assertEqual(
            {None: sorted(hosts)}, self.cases.lost(RACK.get, self.clock.now)
        )
        self.see(x0=views.UP)
        self.assertEqual({}, self.cases.lost(RACK.get, self.clock.now))

    def test_a_host_of_a_domain_was_waited_for_by_the_driver(self) -> None:
        self.domains = {'a1': 'a'}
        self.see(a1=deaths.SILENT, b1=deaths.SILENT)
        self.assertEqual(['a1'], self.later(SPREAD))
        self.assertEqual(['a1', 'b1'], self.later(SETTLE))

    def test_the_rest_of_a_domain_that_is_back(self) -> None:
        self.see(a1=deaths.SILENT, a2=deaths.SILENT, a3=deaths.SILENT)
        self.later()
        for case in self.due():
            self.cases.may_send(case, RACK.get, self.clock.now)
        # They may be back soon, too.
        self.assertEqual([], self.see(a1=views.UP))
        self.assertEqual([], self.later(2 * SETTLE - 0.1))
        self.assertEqual(['a2', 'a3'], self.later(0.1))
        self.assertEqual({}, self.cases.lost(RACK.get, self.clock.now))

    def test_a_lost_domain_by_the_operators_policy(self) -> None:
        self.cases = self.make(waits=False)
        self.see(a1=deaths.SILENT, a2=deaths.SILENT, a3=deaths.SILENT)
        self.later()
        self.settle()
        self.assertEqual([], self.later(1000))

    def test_those_that_died_long_ago_do_not_count(self) -> None:
        for host in ('a1', 'a2'):
            self.see(**{host: deaths.SILENT})
            self.later()
            self.settle()
            self.later(decisions.TOGETHER + 1)
        self.see(a3=deaths.SILENT)
        self.later()
        self.settle()
        self.assertEqual([], self.later(1))

    def test_those_that_died_just_before_count(self) -> None:
        for host in ('a1', 'a2'):
            self.see(**{host: deaths.SILENT})
            self.later()
            self.settle()
        self.see(a3=deaths.SILENT)
        self.later()
        self.assertEqual(
            {'a': ['a3']}, self.cases.lost(RACK.get, self.clock.now)
        )

    def test_what_masakari_knew_at_the_start_does_not_count(self) -> None:
        self.lived = {}
        self.see(a1=deaths.SILENT, a2=deaths.SILENT, a3=deaths.SILENT)
        self.later()
        for case in self.due()[:2]:
            self.cases.settle(case, self.clock.now)
        self.assertEqual({}, self.cases.lost(RACK.get, self.clock.now))
        self.settle()
        self.assertEqual([], self.later(1000))


class LostDomainsTest(base.TestCase):
    def lost(self, *silent: str, domain: object = RACK.get) -> set[object]:
        return set(decisions.lost_domains(silent, RACK.keys(), domain))

    def test_more_than_half_and_at_least_three(self) -> None:
        self.assertEqual(set(), self.lost('a1', 'a2'))
        self.assertEqual(set(), self.lost('b1', 'b2'))
        self.assertEqual({'a'}, self.lost('a1', 'a2', 'a3'))

    def test_hosts_without_a_domain_are_one(self) -> None:
        def none(host: str) -> None:
            return None

        self.assertEqual(set(), self.lost('a1', 'a2', 'b1', domain=none))
        self.assertEqual(
            {None}, self.lost('a1', 'a2', 'b1', 'b2', domain=none)
        )
