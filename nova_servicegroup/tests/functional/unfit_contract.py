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

"""What every driver must do with members that are alive but unfit.

Mixed with a TestCase and a driver's backend, as the contract is.
"""

import time

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import process

FAILS = condition.Condition(condition.DEGRADED, 'rpc', 1700000000.0)
STOPS = condition.Condition(condition.DRAINING, condition.STOPPING, 1e9)
#: Seconds for which one that fails is chosen all the same.
MOMENT = 5.0
FOREIGN = (b'dead:rpc:1', b'degraded:r\x1bc:1', b'\xff', b'', 900 * b'x')


class UnfitContract(contract.Contract):
    """A member reports that it is unfit, and what becomes of that.

    Set ``heard_within``: the seconds until who has read it knows.
    """

    heard_within: float = 2.0

    def setUp(self) -> None:
        super().setUp()
        self.scheduler = self.make_scheduler()

    def make_scheduler(self) -> api.API:
        made = self.make_api()
        made.driver.passes_over_unfit = True
        return made

    def is_chosen(self, host: str = 'host1') -> bool:
        return self.scheduler.service_is_up(self.record(host))

    def seen(self, host: str = 'host1') -> views.Member:
        """Return a host as who looks on sees it."""
        (found,) = [
            each
            for each in self.api.get_all(contract.GROUP)
            if each.host == host
        ]
        return found

    def wait_chosen(self, chosen: bool) -> float:
        """Return the seconds until it is so; it is up all the time."""
        begun = time.monotonic()
        process.wait_until(
            lambda: self.assert_up() and self.is_chosen() is chosen,
            contract.START,
            0.01,
            f'host1 is chosen: {chosen}',
        )
        return time.monotonic() - begun

    def assert_up(self) -> bool:
        self.assertTrue(self.is_up(), 'host1 was seen down')  # type: ignore[attr-defined]
        return True

    def say(self, wanted: condition.Condition | None) -> float:
        """Have host1 say it; return the seconds until a scheduler knows."""
        text = None if wanted is None else condition.encode(wanted)
        self.members[0].mark(text)
        return self.wait_chosen(wanted is None)

    def start(self) -> None:
        for host in ('host1', 'host2'):
            self.running(host)
        process.wait_until(
            lambda: {'host1', 'host2'} <= set(self.proven()),
            contract.START,
            0.05,
            'both are seen',
        )
        self.wait_chosen(True)

    def test_schedulers_pass_over_it_and_nobody_else_does(self) -> None:
        self.start()
        for wanted in (FAILS, STOPS, None, FAILS, None):
            seconds = self.say(wanted)
            self.measured('said to known', seconds)  # type: ignore[attr-defined]
            within = self.refresh + self.heard_within
            # It may be the first of all.
            within += MOMENT if wanted == FAILS else 0.0
            self.assert_within(seconds, within)
            process.wait_until(
                lambda wanted=wanted: self.seen().condition == wanted, 2.0
            )
            self.assertEqual(
                'up' if wanted is None else wanted.state, self.seen().state
            )
            self.assertEqual('up', self.seen('host2').state)
            self.assertTrue(self.is_chosen('host2'))

    def test_it_lasts_for_as_long_as_it_is_said(self) -> None:
        self.start()
        self.say(FAILS)
        end = time.monotonic() + 2 * self.down_within
        while time.monotonic() < end:
            self.assertFalse(self.is_chosen())
            self.assert_up()
            time.sleep(0.02)
        late = self.make_scheduler()
        process.wait_until(
            lambda: not late.service_is_up(self.record('host1')), 2.0
        )

    def test_one_that_is_killed_is_down_as_ever(self) -> None:
        self.start()
        self.say(FAILS)
        self.members[0].kill()
        seconds = self.wait_down('host1', self.down_within)
        self.measured('kill to down', seconds)  # type: ignore[attr-defined]
        self.assertGreaterEqual(seconds, self.not_before)
        self.members[0].mark(None)
        self.members[0].start()
        self.wait_up()
        self.wait_chosen(True)

    def test_one_that_stops_is_down_as_soon(self) -> None:
        self.start()
        self.say(STOPS)
        self.members[0].stop()
        self.wait_down('host1', self.leaves_within)

    def plant(self, host: str, mark: bytes) -> None:
        """Have a host that is a member have a mark that others wrote."""
        raise NotImplementedError

    def test_what_others_write_there_costs_itself(self) -> None:
        self.start()
        self.say(FAILS)
        for mark in FOREIGN:
            self.plant('host2', mark)
            time.sleep(2 * self.refresh)
            for host, chosen in (('host1', False), ('host2', True)):
                self.assertTrue(self.is_up(host), (host, mark))
                self.assertIs(chosen, self.is_chosen(host), (host, mark))
        self.assertIsNone(self.seen('host2').condition)
        self.say(None)

    def test_a_mark_that_another_has_written(self) -> None:
        """A client that can write there keeps new servers from a live host."""
        self.start()
        self.plant('host2', condition.encode(FAILS).encode())
        process.wait_until(lambda: not self.is_chosen('host2'), 8.0, 0.01)
        self.assertTrue(self.is_up('host2'))  # type: ignore[attr-defined]
        self.members[1].stop()
        self.members[1].start()
        process.wait_until(
            lambda: self.is_chosen('host2'), contract.START, 0.01
        )
