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


from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.watch import deaths

#: The most seconds by which an agent may be lost before its service.
MARGIN = 20.0


def agent(
    host: str, state: str | None = None, *, held: bool = False
) -> views.Member:
    """Return an agent that was proved alive a second ago.

    :param state: what it reports
    """
    reason = 'stopping' if state == condition.DRAINING else 'compute'
    reported = state and condition.Condition(state, reason, 0.0)
    return views.Member(host, 'host', True, held, 1.0, condition=reported)


class AgentsTest(base.TestCase):
    """The agents of the hosts a and b; the service of a is down."""

    def setUp(self) -> None:
        super().setUp()
        self.agents = deaths.Agents(MARGIN)

    def read(
        self,
        *agents: views.Member,
        age: float | None = 0.0,
        error: exceptions.BackendError | None = None,
    ) -> None:
        """Read the group of hosts, a second after the last time."""
        self.clock.advance(1)
        self.agents.update(views.View(agents, age, error), self.clock())

    def evidence(
        self,
        proof_age: float | None = 1.0,
        *,
        host: str = 'a',
        group: str = 'compute',
        agent_is_up: bool = False,
    ) -> str:
        """Return the evidence of a service that is down.

        :param proof_age: seconds since it was proved alive
        """
        proof = None if proof_age is None else self.clock() - proof_age
        return self.agents.evidence(host, group, proof, agent_is_up)

    def test_what_an_agent_reports(self) -> None:
        for reported, found in (
            (None, 'not-reporting'),
            (condition.DIED, 'process-died'),
            (condition.STOPPED, 'process-stopped'),
            (condition.DEGRADED, 'not-reporting'),
            (condition.DRAINING, 'unknown'),
        ):
            self.read(agent('a', reported), agent('b'))
            self.assertEqual(found, self.evidence(agent_is_up=True))
            self.assertIn(found, deaths.EVIDENCE)

    def test_what_it_reports_is_no_evidence_for_another_group(self) -> None:
        for reported in (None, condition.DIED, condition.STOPPED):
            self.read(agent('a', reported))
            found = self.evidence(group='conductor', agent_is_up=True)
            self.assertEqual('unknown', found)

    def test_an_agent_that_is_up_wins_over_a_verdict_of_that_moment(
        self,
    ) -> None:
        self.read(agent('a'))
        self.assertEqual('not-reporting', self.evidence())

    def test_lost_together(self) -> None:
        self.read(agent('a'), agent('b'))
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence())

    def test_a_host_that_dies_after_its_service(self) -> None:
        self.read(agent('a', condition.DIED), agent('b'))
        self.assertEqual('process-died', self.evidence(100, agent_is_up=True))
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence(100))
        # It was down when this process began.
        self.assertEqual('silent', self.evidence(None))

    def test_names_in_any_case(self) -> None:
        self.read(agent('A'), agent('b'))
        self.assertEqual('not-reporting', self.evidence(host='a'))
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence(host='a'))
        self.read(agent('a'))
        self.assertEqual('not-reporting', self.evidence(host='A'))

    def test_an_agent_that_stops_is_not_silent(self) -> None:
        self.read(agent('a'), agent('b'))
        self.read(agent('a', condition.DRAINING), agent('b'))
        self.read(agent('b'))
        for proof_age in (None, 0.0, 5.0):
            self.assertEqual('unknown', self.evidence(proof_age))
        # Not for ever.
        self.read(agent('a'), agent('b'))
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence())

    def test_an_agent_that_was_lost_long_before(self) -> None:
        self.read(agent('a'), agent('b'))
        self.clock.advance(MARGIN)
        self.read(agent('b'))
        # It was proved alive a second before the first reading.
        self.assertEqual('silent', self.evidence(2.0))
        self.assertEqual('unknown', self.evidence(1.0))

    def test_a_process_that_never_saw_the_agent(self) -> None:
        self.read(agent('b'))
        for proof_age in (None, 1.0, 100.0):
            self.assertEqual('silent', self.evidence(proof_age))
            found = self.evidence(proof_age, agent_is_up=True)
            self.assertEqual('unknown', found)

    def test_a_host_without_an_agent(self) -> None:
        self.read(agent('b'))
        self.clock.advance(MARGIN)
        self.read(agent('b'))
        # The service has lived on after the first reading.
        self.assertEqual('unknown', self.evidence(0.5))

    def test_other_services_have_no_agent_unless_one_was_seen(self) -> None:
        self.read(agent('b'))
        self.assertEqual('unknown', self.evidence(group='conductor'))
        self.read(agent('a'), agent('b'))
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence(group='conductor'))

    def test_no_agent_at_all_is_no_evidence(self) -> None:
        self.assertEqual('unknown', self.evidence())
        self.read()
        self.assertEqual('unknown', self.evidence())
        self.assertEqual('unknown', self.evidence(None))
        # The only host of a cloud.
        self.read(agent('a'))
        self.read()
        self.assertEqual('silent', self.evidence())

    def test_blind(self) -> None:
        failed = exceptions.BackendError('ZooKeeper', 'mute')
        for error, age in ((failed, 1.0), (failed, None), (None, None)):
            self.read(agent('a', condition.DIED), agent('b'))
            self.read(agent('b'), age=age, error=error)
            self.assertEqual('unknown', self.evidence())
            self.read(agent('b'))
            self.assertEqual('silent', self.evidence())

    def test_a_blind_process_does_not_begin_yet(self) -> None:
        self.read(age=None)
        self.clock.advance(100)
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence(1.0))

    def test_a_held_agent(self) -> None:
        self.read(agent('a', condition.DIED), agent('b'))
        self.read(agent('a', condition.DIED, held=True), agent('b'))
        self.assertEqual('unknown', self.evidence(agent_is_up=True))
        self.read(agent('b'))
        self.assertEqual('silent', self.evidence())

    def test_a_held_agent_is_not_proved_alive(self) -> None:
        self.read(agent('a'), agent('b'))
        self.clock.advance(MARGIN)
        self.read(agent('a', held=True), agent('b'))
        self.read(agent('b'))
        self.assertEqual('unknown', self.evidence(1.0))

    def test_an_agent_that_is_down_is_not_there(self) -> None:
        self.read(agent('a'), agent('b'))
        down = views.Member('a', 'host', False, False, 30.0)
        self.read(down, agent('b'))
        self.assertEqual('silent', self.evidence())
