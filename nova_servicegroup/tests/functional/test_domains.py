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

"""A failure domain that is lost is held as a whole, on real servers."""

from collections.abc import Iterator
import contextlib
import threading
import time

from nova_servicegroup import domains
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import views
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_etcd
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_redis
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import member
from nova_servicegroup.tests.harness import process
from nova_servicegroup.watch import watcher

RACK = 'host1', 'Host2', 'host3'
OTHERS = tuple(f'other{number}' for number in range(5))
#: Seconds from the end of a membership to the verdict, at most.
ENDED = 1.5
#: The others, and one more that dies alone.
ALONE = 'alone'


class DomainContract(contract.Contract):
    """A rack of three hosts beside six others."""

    hold = 8

    def setUp(self) -> None:
        super().setUp()
        self.rack = self.start_rack()
        self.alone = self.running(ALONE)
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)  # type: ignore[attr-defined]
        stack.enter_context(self.beating())
        self.watcher = watcher.Watcher(self.api, contract.GROUP)
        hosts = {*RACK, *OTHERS, ALONE}
        process.wait_until(
            lambda: hosts <= set(self.proven()), contract.START, 0.05, 'all up'
        )
        time.sleep(self.knows_within)
        self.watcher.poll()

    def start_rack(self) -> list[member.Member]:
        """Return the members of a domain, which run."""
        text = self.config.read_text()
        self.config.write_text(
            text.replace('[servicegroup]', '[servicegroup]\ndomain = rack1')
        )
        rack = [self.make_member(host) for host in RACK]
        for each in rack:
            each.start()
        for each in rack:
            self.wait_up(each.host)
        self.config.write_text(text)
        return rack

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Have the others report from this process."""
        driver, over = self.make_api().driver, threading.Event()
        for host in OTHERS:
            service = base.FakeService(self.report_interval)
            driver.join(host, contract.GROUP, service)
        thread = threading.Thread(target=_beat, args=(driver, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def held(self) -> list[str]:
        """Return the hosts of the rack that are held for its loss."""
        reason = domains.reason('rack1')
        return [
            each.host
            for each in self.api.view(contract.GROUP).members
            if each.held and each.reason == reason
        ]

    def changes(self) -> list[tuple[str, str]]:
        """Return the domains that have changed, with their new states."""
        return [
            (each.host, each.state)
            for each in self.watcher.poll()
            if each.is_of_domain
        ]

    def test_it_is_held_and_the_others_are_judged_as_ever(self) -> None:
        for each in self.rack:
            each.freeze()
        self.alone.kill()
        self.wait_down(ALONE, self.down_within + 1)
        process.wait_until(
            lambda: len(self.held()) > 1,
            self.down_within,
            0.05,
            'the rack is held',
        )
        lost = time.monotonic()
        # One was perhaps missed before the rest.
        held = self.held()
        self.assertEqual(  # type: ignore[attr-defined]
            [('rack1', views.DOWN)], self.changes()
        )
        self.watch(self.hold / 2, *held, *OTHERS)
        process.wait_until(
            lambda: not any(map(self.is_up, RACK)),
            lost + self.hold + 2 - time.monotonic(),
            0.05,
            'the rack is down',
        )
        self.watch(1, *OTHERS)
        self.assertEqual([], self.changes())  # type: ignore[attr-defined]

    def test_one_that_its_agent_has_ended_is_not_awaited(self) -> None:
        killed = self.rack[0]
        (incarnation,) = killed.incarnations()
        killed.kill()
        self.api.driver.end(
            services.Joined(killed.host, contract.GROUP, incarnation, 0)
        )
        self.wait_down(killed.host, ENDED)
        self.watch(2 * self.refresh, *RACK[1:], *OTHERS)
        self.assertEqual([], self.held())  # type: ignore[attr-defined]

    def test_it_comes_back(self) -> None:
        for each in self.rack:
            each.freeze()
        process.wait_until(
            lambda: len(self.held()) > 1,
            self.down_within + 1,
            0.05,
            'the rack is held',
        )
        self.changes()
        for each in self.rack:
            each.thaw()
        for each in self.rack:
            self.wait_up(each.host)
        self.assertEqual(  # type: ignore[attr-defined]
            [('rack1', views.UP)], self.changes()
        )


def _beat(driver: drivers.Driver, over: threading.Event) -> None:
    while not over.wait(0.5):
        for each in driver.reporters().values():
            each.run()


class ZooKeeperTest(
    test_zk.ZooKeeperBackend, DomainContract, contract.FunctionalTestCase
):
    pass


class MemcachedTest(
    test_mc.MemcachedBackend, DomainContract, contract.FunctionalTestCase
):
    test_it_comes_back = base.only_long(DomainContract.test_it_comes_back)


class CommonContract(DomainContract):
    """Without a long run, only what is not common with zk."""

    test_it_comes_back = base.only_long(DomainContract.test_it_comes_back)
    test_it_is_held_and_the_others_are_judged_as_ever = base.only_long(
        DomainContract.test_it_is_held_and_the_others_are_judged_as_ever
    )


class EtcdTest(
    test_etcd.EtcdBackend, CommonContract, contract.FunctionalTestCase
):
    pass


class RedisTest(
    test_redis.RedisBackend, CommonContract, contract.FunctionalTestCase
):
    pass
