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

"""Hosts whose watchdogs are fed by their agents, with real servers."""

from collections.abc import Callable
import operator
import random
import time

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_etcd
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import watchdog
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import proofs

#: Of the session or the key, and of the watchdog, in seconds.
EXPIRY, TIMEOUT = 3, 2
#: From the last confirmation to the reset, at most.
RESET = EXPIRY + 3 * TIMEOUT
#: From the death of a host to the verdict: the last confirmation expires, the
#: reset is due, servers may lag, and readings and this machine take some time.
FENCED = 1.5 * EXPIRY + RESET + EXPIRY + 3.0
#: How many hosts have a fault at a time; and how often, in a long run.
HOSTS = 6
ROUNDS = 9


class WatchdogContract(contract.Contract):
    """The evidence of hosts with a watchdog, of which no process is left."""

    hold = 3

    def _config(self) -> str:
        """See Contract."""
        more = '[servicegroup]\nagents = true\n'
        text = super()._config().replace('[servicegroup]\n', more)
        return text + (
            '[servicegroup_agent]\nwatchdog = /dev/null\n'
            f'watchdog_timeout = {TIMEOUT}\n'
        )

    def setUp(self) -> None:
        super().setUp()
        self.proofs = proofs.Proofs(self.api, contract.GROUP)
        self.hosts: list[watchdog.Host] = []
        self.verdicts: dict[str, float] = {}

    def start_hosts(self, count: int) -> None:
        """Have so many hosts with watchdogs that are armed and claimed."""
        for number in range(len(self.hosts), len(self.hosts) + count):
            self._start_host(number)
        armed = self.hosts[-count:]
        process.wait_until(
            lambda: self.poll() and all(each.is_armed for each in armed),
            contract.START,
        )
        for each in armed:
            self.wait_up(each.name, f'watchdog-{EXPIRY}-{TIMEOUT}')

    def _start_host(self, number: int) -> None:
        directory = self.directory / f'host{number}'
        text = self.config.read_text()
        text = text.replace('/dev/null', 'DEVICE')
        text = text.replace('[DEFAULT]\n', '[DEFAULT]\nhost = HOST\n')
        processes = f'[servicegroup]\nprocess_directory = {directory}\n'
        made = watchdog.Host(
            directory,
            f'{self.unique}-{number}',
            text.replace('[servicegroup]\n', processes),
        )
        self.addCleanup(made.kill)
        self.hosts.append(made)
        made.start()

    def poll(self) -> bool:
        """Read once, as a program that shows services does."""
        self.proofs.update({})
        for each in self.hosts:
            found = self.proofs.evidence(each.name, each.name)
            if found == deaths.FENCED:
                self.verdicts.setdefault(each.name, watchdog.now())
        return True

    def watch_hosts(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.poll()
            time.sleep(0.2)

    def wait_fenced(self, *hosts: watchdog.Host, within: float) -> None:
        names = {each.name for each in hosts}
        process.wait_until(
            lambda: self.poll() and names <= self.verdicts.keys(),
            within,
            0.2,
            'all are fenced',
        )

    def assert_true(self) -> None:
        """Check that no host has done anything after its verdict."""
        for each in self.hosts:
            if each.name in self.verdicts:
                early = each.last_stamp() - self.verdicts[each.name]
                self.measured('last stamp before the verdict', -early)
                self.assertLess(early, 0.0, each.agent.tail(40))


class FaultsContract(WatchdogContract):
    """One fault for each of several hosts, at the same time."""

    def test_who_is_fenced(self) -> None:
        self.start_hosts(HOSTS)
        well, dead, frozen, alone, killed, stopped = self.hosts
        begun = time.monotonic()
        dead.kill()
        frozen.freeze()
        alone.agent.freeze()
        killed.agent.kill()
        stopped.agent.signal(15)
        self.watch_hosts(2 * EXPIRY)
        # What has not been reset by now would go on.
        frozen.thaw()
        alone.agent.thaw()
        # Most of them die at once, so the last ones may be held.
        left = FENCED + 2 * self.hold - (time.monotonic() - begun)
        self.wait_fenced(dead, frozen, alone, killed, within=left)
        self.measured('death to fenced', time.monotonic() - begun)
        self.watch_hosts(1.0)
        self.assert_true()
        for each in (frozen, alone, killed):
            self.assertIsNotNone(each.fired)
        # They live, and are not said to be dead.
        for each in (well, stopped):
            self.assertIsNone(each.fired, each.agent.tail(40))
            self.assertNotIn(each.name, self.verdicts)
        self.assertTrue(well.is_armed)
        self.assertFalse(stopped.is_armed)
        self.assertEqual(0, well.agent.count('ERROR'), well.agent.tail(40))


class BackendContract(WatchdogContract):
    """The backend is away for all."""

    @base.only_long
    def test_the_backend_is_away(self) -> None:
        self.start_hosts(2)
        self.server.freeze()
        self.addCleanup(self.server.thaw)
        self.watch_hosts(RESET + 1.0)
        for each in self.hosts:
            self.assertIsNotNone(each.fired, each.agent.tail(40))
        self.assertEqual({}, self.verdicts)
        self.server.thaw()
        self.watch_hosts(RESET + 3 * EXPIRY)
        self.assert_true()

    @base.only_long
    def test_it_stops_while_the_backend_is_away(self) -> None:
        self.start_hosts(1)
        [host] = self.hosts
        self.server.freeze()
        self.addCleanup(self.server.thaw)
        host.agent.signal(15)
        process.wait_until(lambda: host.fired, RESET + 1.0)
        self.assertIn('IT WILL RESET', host.agent.log.read_text())


class RandomContract(WatchdogContract):
    """Random faults, many times."""

    @base.only_long
    def test_no_verdict_is_wrong(self) -> None:
        seed = random.SystemRandom().randrange(10**9)
        chance = random.Random(seed)
        self.measured('seed', seed)
        for _ in range(ROUNDS):
            self.start_hosts(HOSTS)
            due = sorted(
                (
                    each
                    for host in self.hosts[-HOSTS:]
                    for each in self._faults(chance, host)
                ),
                key=operator.itemgetter(0),
            )
            begun = time.monotonic()
            for moment, what in due:
                self.watch_hosts(begun + moment - time.monotonic())
                what()
            self.watch_hosts(FENCED)
            self.assert_true()
            for each in self.hosts[-HOSTS:]:
                each.kill()
        self.measured('verdicts', len(self.verdicts))
        self.assertTrue(self.verdicts)

    def _faults(
        self, chance: random.Random, host: watchdog.Host
    ) -> list[tuple[float, Callable[[], None]]]:
        """Return what happens to one host, and when."""
        pairs: list[list[Callable[[], None]]] = [
            [host.freeze, host.thaw],
            [host.agent.freeze, host.agent.thaw],
            [host.agent.kill, lambda: self._start(host)],
            [lambda: host.agent.signal(15)],
            [host.kill],
            [self.server.freeze, self.server.thaw],
        ]
        chosen = chance.sample(pairs, chance.choice((1, 1, 2)))
        return [
            each
            for pair in chosen
            for each in zip(
                sorted(chance.uniform(0, 7) for _ in pair), pair, strict=True
            )
        ]

    def _start(self, host: watchdog.Host) -> None:
        if host.fired is None and not host.agent.running:
            host.agent.start()


class ZooKeeperTest(
    test_zk.ZooKeeperBackend,
    FaultsContract,
    BackendContract,
    RandomContract,
    contract.FunctionalTestCase,
):
    session_timeout = EXPIRY


@base.only_long
class EtcdTest(
    test_etcd.EtcdBackend,
    FaultsContract,
    BackendContract,
    RandomContract,
    contract.FunctionalTestCase,
):
    ttl = EXPIRY
