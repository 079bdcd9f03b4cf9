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

"""What every driver must do that ends memberships of dead processes.

The test's own process is the one that ends them.
"""

from collections.abc import Set
from concurrent import futures
import os
import random
import signal
import time
from typing import Any
from unittest import mock

from nova_servicegroup.drivers.common import naming
from nova_servicegroup import exceptions
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.harness import member as member_harness

#: Nova's default, as in these tests.
READ_TIMEOUT = 2.0
NOBODY = '00000000'


class EndFaults(faults.Faults):
    """Memberships that are ended for who has died.

    They take much longer to expire than a test watches, or to restart.
    """

    times = 30 if base.LONG else 3
    down_time = 12
    #: Seconds until a client that tries by itself has connected again.
    reconnects_within = 0.0

    def freeze_backend(self) -> None:
        """Have every server mute."""
        raise NotImplementedError

    def abandon(self, driver: Any) -> None:
        """End the connections of a driver whose membership was ended."""
        driver.close()

    def settle(self) -> None:
        """Wait until a group that was just made is like any other."""

    def end(
        self,
        incarnation: str,
        host: str = 'host1',
        group: str = contract.GROUP,
    ) -> None:
        self.api.driver.end(services.Joined(host, group, incarnation, 0))

    def end_killed(self, killed: member_harness.Member) -> float:
        """Kill a member and end its membership; return when it was killed."""
        incarnation = killed.incarnations()[-1]
        fault = time.monotonic()
        killed.kill()
        self.end(incarnation, killed.host)
        return fault

    def test_one_that_is_ended_is_down_at_once_and_stays_down(self) -> None:
        members = self.members_of('host1', 'Host2', 'host3', 'host4')
        watcher = self.observe('host1', 'Host2', 'host3', 'host4')
        self.settle()
        taken = []
        for each in members[:2]:
            fault = self.end_killed(each)
            down = watcher.wait('down', contract.START, each.host)
            taken.append(down - fault)
        self.measured('killed and ended to down', *taken)
        self.assert_within(max(taken), self.refresh + 0.5)
        self.end(members[0].incarnations()[-1])
        time.sleep(2.0)
        for each in members[:2]:
            self.assertEqual('down', watcher.state(each.host))
            self.assertEqual(1, len(watcher.downs(0.0, each.host)))
        self.assert_never_down(0.0, 'host3', 'host4')

    def test_one_that_is_ended_joins_again(self) -> None:
        ended = self.running()
        watcher = self.observe('host1')
        self.settle()
        self.end_killed(ended)
        watcher.wait('down', contract.START)
        old = ended.incarnations()[-1]
        ended.start()
        back = watcher.wait('up', contract.START)
        self.end(old)
        time.sleep(2.0)
        self.assert_never_down(back)

    def test_nobody_else_is_touched(self) -> None:
        one, two = self.members_of('host1', 'host2')
        self.running('host1', group='conductor')
        watcher = self.observe('host1', 'host2')
        other = self.observe('host1', group='conductor')
        fault = time.monotonic()
        ((first,), (second,)) = one.incarnations(), two.incarnations()
        for each in (NOBODY, second, ''):
            self.end(each, 'host1')
        for host in ('host2', 'host3'):
            self.end(first, host)
        self.end(first, 'host1', 'conductor')
        self.end(first, 'host1', 'no-group')
        time.sleep(2.0)
        self.assert_never_down(fault)
        self.assertEqual('up', watcher.state('host1'))
        self.assertEqual('up', other.state('host1'))

    def test_the_other_worker_of_a_host_stays(self) -> None:
        both = self.running(workers=2)
        faults.wait_until(lambda: len(both.workers()) == 2, contract.START)
        self.observe('host1')
        self.settle()
        # It would start a new one in its place.
        os.kill(both.pid, signal.SIGSTOP)
        fault = time.monotonic()
        # The one that joined last.
        os.kill(both.workers()[1], signal.SIGKILL)
        self.end(both.incarnations()[1])
        time.sleep(3 * self.beat + 1.0)
        self.assert_never_down(fault)

    def test_a_mute_backend(self) -> None:
        killed, _ = self.members_of('host1', 'host2')
        watcher = self.observe('host1', 'host2')
        self.end(NOBODY)
        self.freeze_backend()
        killed.kill()
        self.assert_fails(killed)
        self.restore_backend()
        self.end_in_time(killed)
        watcher.wait('down', self.hold + contract.START, 'host1')
        self.assert_never_down(0.0, 'host2')

    def test_a_backend_that_is_away(self) -> None:
        killed, _ = self.members_of('host1', 'host2')
        self.observe('host1', 'host2')
        self.end(NOBODY)
        self.lose_backend()
        killed.kill()
        self.assert_fails(killed)
        self.restore_backend()
        self.end_in_time(killed)
        self.assert_never_down(0.0, 'host2')

    def assert_fails(self, killed: member_harness.Member) -> None:
        """Check that it says so, each time in its bound."""
        longest = 0.0
        for _ in range(3):
            begun = time.monotonic()
            self.assertRaises(
                exceptions.BackendError,
                self.end,
                killed.incarnations()[-1],
            )
            longest = max(longest, time.monotonic() - begun)
        self.measured('longest failure', longest)
        self.assert_within(longest, READ_TIMEOUT + faults.NOISE)

    def end_in_time(self, killed: member_harness.Member) -> None:
        """End a membership on a backend that has just come back."""
        old = killed.incarnations()[-1]
        taken = faults.wait_until(
            lambda: self.has_ended(old), contract.START, 0.1
        )
        self.measured('back to ended', taken)

    def has_ended(self, incarnation: str) -> bool:
        """Return whether the backend confirms that a membership is ended."""
        try:
            self.end(incarnation)
        except exceptions.BackendError:
            return False
        return True

    def test_the_first_after_a_restart_of_the_backend(self) -> None:
        self.running()
        watcher = self.observe('host1')
        self.end(NOBODY)
        self.lose_backend()
        watcher.wait('kept', contract.START)
        self.restore_backend()
        watcher.wait('up', contract.START)
        time.sleep(self.reconnects_within)
        self.end(NOBODY)


def end_later(
    seconds: float, test: EndFaults, incarnation: str
) -> futures.Future[None]:
    """Begin to end a membership of host1, in a thread.

    It goes on until that is confirmed: a busy machine may take too long.
    """

    def end() -> None:
        time.sleep(seconds)
        faults.wait_until(lambda: test.has_ended(incarnation), contract.START)

    pool = futures.ThreadPoolExecutor(1)
    ending = pool.submit(end)
    # The thread ends by itself.
    pool.shutdown(wait=False)
    return ending


class EndRaces(EndFaults):
    """A membership is ended while its host restarts."""

    def test_a_restarted_process_is_never_hurt(self) -> None:
        restarted = self.running()
        watcher = self.observe('host1')
        self.settle()
        for _ in range(self.times):
            old = restarted.incarnations()
            restarted.kill()
            restarted.start()
            ending = end_later(random.uniform(0.0, 4.0), self, old[-1])
            faults.wait_until(
                lambda: len(restarted.incarnations()) > len(old),  # noqa: B023
                contract.START,
                0.01,
            )
            watcher.wait('up', contract.START)
            joined = time.monotonic()
            ending.result()
            time.sleep(1.0)
            self.assert_never_down(joined)

    def test_lives_of_one_process(self) -> None:
        """The same, many times, with drivers that stand for processes."""
        lives = Lives(self)
        for _ in range(1000 if base.LONG else 50):
            lives.restart()
        lives.finish()


class EndRest(EndRaces):
    """The same, where zk shows the slow ones: their code is common."""

    test_a_mute_backend = base.only_long(EndRaces.test_a_mute_backend)
    test_the_other_worker_of_a_host_stays = base.only_long(
        EndRaces.test_the_other_worker_of_a_host_stays
    )


class Lives:
    """The lives of one host: each has a driver of its own, and never leaves.

    :ivar test: the test, which gives the drivers
    """

    #: So many of the last lives keep their connections.
    _KEPT = 5

    def __init__(self, test: Any) -> None:
        self.test = test
        self._made = 0
        self._drivers: list[Any] = []
        patched = mock.patch.object(naming, '_incarnation', self)
        patched.start()
        test.addCleanup(patched.stop)
        backend = test.make_api().driver._connect()
        test.addCleanup(backend.close)
        self._reader = backend.reader(contract.GROUP)
        self._reader.request('host1')
        self._join()

    def get(self) -> bytes:
        """Return the incarnation of the last life; see naming."""
        return self._made.to_bytes(4, 'big')

    def restart(self) -> None:
        """End a life and begin the next one, in any order."""
        old = self.get().hex()
        ending = end_later(_moment(), self.test, old)
        time.sleep(_moment())
        self._join()
        while not ending.done():
            self._look()
        ending.result()
        for _ in range(3):
            self._look()

    def finish(self) -> None:
        """Check that nothing is left but the last life, and then nothing."""
        (host,) = self.test.api.get_all(contract.GROUP)
        self.test.assertEqual(1, len(host.incarnations))
        # After these, it shares no key with the one before it.
        for _ in range(15):
            self._reporter.run()
        self.test.end(self.get().hex())
        self.test.assertEqual(frozenset(), self._read())
        for each in self._drivers:
            self.test.abandon(each)

    def _join(self) -> None:
        self._made += 1
        made = self.test.make_api().driver
        service = base.FakeService(self.test.report_interval)
        made.join('host1', contract.GROUP, service)
        self._reporter = reporter = made.reporters()['host1', contract.GROUP]
        faults.wait_until(
            lambda: reporter.counts.last_success or reporter.run(),
            contract.START,
        )
        self._look()
        self._drivers.append(made)
        if len(self._drivers) > self._KEPT:
            self.test.abandon(self._drivers.pop(0))

    def _look(self) -> None:
        """Check that a reading which begins now has the host."""
        self.test.assertIn('host1', self._read(), f'life {self._made}')

    def _read(self) -> Set[str]:
        return self._reader.read(READ_TIMEOUT).present


def _moment() -> float:
    """Return some seconds, often none."""
    return random.choice((0.0, random.uniform(0.0, 0.1)))
