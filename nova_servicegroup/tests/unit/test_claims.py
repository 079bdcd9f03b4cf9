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

"""Who was reset by a watchdog, as an observer sees it."""

from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.watch import claims

WITHIN, MARGIN, GAP = 30.0, 10.0, 5.0

STOPS = condition.Condition(condition.DRAINING, 'stopping', 0.0)


def member(
    host: str, *, held: bool = False, stops: bool = False
) -> views.Member:
    return views.Member(
        host, 'any', True, held, 1.0, condition=STOPS if stops else None
    )


class ClaimsTest(base.TestCase):
    """The host a; b is always well."""

    def setUp(self) -> None:
        super().setUp()
        self.slept = 0.0
        self.claims = self.make()
        self.read('A', agent='a')

    def make(self) -> claims.Claims:
        clocks = (self.clock, lambda: self.clock() + self.slept)
        return claims.Claims(WITHIN, MARGIN, GAP, clocks)

    def read(
        self,
        *claimed: str,
        agent: str | None = None,
        held: bool = False,
        stops: bool = False,
        after: float = 1.0,
        asked: float | None = 0.5,
        lasts: float = 0.0,
        error: exceptions.BackendError | None = None,
    ) -> bool:
        """Read once; return whether the host is fenced.

        :param held: whether its claim is only held
        :param lasts: seconds from the first group to the second one
        """
        begun = self.clock() + after
        self.clock.advance(after + lasts)
        found = [member(each, held=held) for each in claimed]
        agents = [member('b')]
        if agent is not None:
            agents.append(member(agent, stops=stops))
        self.claims.update(
            views.View((*found, member('b')), 0.5, error, asked=asked),
            views.View(tuple(agents), 0.5, asked=0.5),
            begun,
            self.clock(),
        )
        return self.claims.is_fenced('a')

    def wait(self, seconds: float, **how: object) -> float | None:
        """Read for so long; return the seconds until it is fenced, or None."""
        begun = self.clock()
        while self.clock() - begun < seconds:
            if self.read(**how):
                return self.clock() - begun
        return None

    def test_a_host_dies(self) -> None:
        # Its agent expires a little later.
        self.assertIsNone(self.wait(3.0, agent='a'))
        self.assertAlmostEqual(
            WITHIN + MARGIN - 2.0 + 0.5, self.wait(99.0), delta=1.0
        )
        self.assertFalse(self.claims.is_fenced('b'))
        self.assertTrue(self.claims.is_fenced('A'))

    def test_a_host_that_was_never_seen(self) -> None:
        self.claims = self.make()
        self.assertIsNone(self.wait(99.0))

    def test_an_agent_that_stops(self) -> None:
        self.read('a', agent='a', stops=True)
        self.read(agent='a', stops=True)
        self.assertIsNone(self.wait(99.0))

    def test_an_agent_that_lives_on_has_another_watchdog(self) -> None:
        self.assertIsNone(self.wait(2 * MARGIN + 2.0, agent='a'))
        self.assertIsNone(self.wait(99.0))

    def test_a_claim_that_comes_back(self) -> None:
        self.assertIsNone(self.wait(WITHIN))
        self.assertFalse(self.read('a', agent='a'))
        self.assertIsNone(self.wait(WITHIN))
        self.assertIsNotNone(self.wait(MARGIN + 2.0))

    def test_a_claim_that_is_held(self) -> None:
        for _ in range(99):
            self.assertFalse(self.read('a', held=True))
        self.assertIsNone(self.wait(WITHIN + MARGIN))
        self.assertIsNotNone(self.wait(3.0))

    def test_a_short_blindness_counts(self) -> None:
        self.wait(10.0)
        error = exceptions.BackendError('ZooKeeper', 'mute')
        for _ in range(3):
            self.read(error=error)
        self.assertIsNotNone(self.wait(WITHIN))

    def test_a_long_blindness(self) -> None:
        """Meanwhile it may have been made anew, and withdrawn."""
        error = exceptions.BackendError('ZooKeeper', 'mute')
        for blind in ({'error': error}, {'asked': None}):
            self.read('a', agent='a')
            self.wait(WITHIN + MARGIN - 2.0)
            for _ in range(5):
                self.assertFalse(self.read(**blind))
            self.assertIsNone(self.wait(99.0))

    def test_one_that_reads_seldom(self) -> None:
        self.read('a', agent='a')
        self.assertFalse(self.read(after=GAP))
        self.assertIsNone(self.wait(99.0))

    def test_one_that_stands_still_while_it_reads(self) -> None:
        """The first group is as old as that then."""
        self.read('a', agent='a', lasts=GAP)
        self.assertIsNone(self.wait(99.0))

    def test_one_that_was_suspended(self) -> None:
        """Meanwhile the agent may have stopped cleanly."""
        self.read('a', agent='a')
        self.slept = 30.0
        self.assertIsNone(self.wait(99.0))

    def test_what_was_asked_for_long_ago(self) -> None:
        self.read('a', agent='a', asked=4.5)
        self.read(after=1.0)
        self.assertIsNone(self.wait(99.0))
