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

"""What harms a nova-compute that lives: with this package, and stock Nova."""

from collections.abc import Iterator
import contextlib
import signal
import time
from typing import Any
import unittest

from nova_servicegroup.plugin import checks
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import fuse
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_fleet
from nova_servicegroup.tests.nova import test_stack
from nova_servicegroup.tests.nova import victim as victim_

HOST = 'compute1'
COMPUTES = 3
CHECK_INTERVAL = 10.0
#: From a fault to no new server, at the latest: two intervals and 15 s. Where
#: the interval is short, that of the default; rpc is not run as often.
WITHIN = {
    'rpc': 2 * 30.0 + 15.0,
    'storage': 2 * CHECK_INTERVAL + 15.0,
    'virt': 2 * CHECK_INTERVAL + 15.0,
}
#: From its end: one that runs ends, one is run, and a second look sees it.
BACK_WITHIN = CHECK_INTERVAL + 10.0 + 3.0
#: For so long RabbitMQ is mute.
MUTE = 60.0
#: By then, one that stock Nova builds is there.
BUILT = 20.0
_OVERRIDES = {
    **test_stack.EXPIRY,
    'servicegroup.hold_time': str(test_stack.HOLD_TIME),
    'servicegroup.check_interval': str(CHECK_INTERVAL),
    # What an operation waits for the stop of a service.
    'DEFAULT.manager_shutdown_timeout': '60',
    'DEFAULT.graceful_shutdown_timeout': '90',
    **victim_.OVERRIDES,
}


class Chooser(test_fleet.Reader):
    """A process that asks as nova-scheduler does; see nova/chooser.py.

    With stock Nova, which passes over who is down, it is the reader.
    """

    def __init__(self, stack: Any, stock: bool) -> None:
        name = 'reader' if stock else 'chooser'
        module = f'nova_servicegroup.tests.nova.{name}'
        self.process = stack.python(f'{name}-of-faults', module, stock=stock)


class Harmed(base.TestCase):
    """A Nova of which one compute is harmed."""

    mode = 'threading'
    driver = 'zk'
    stock: tuple[str, ...] = ()
    stack: Any
    victim: victim_.Victim

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stack = test_stack.running(
            cls.driver,
            cls.mode,
            cls.stock,
            overrides=_OVERRIDES,
            python_path=str(victim_.HANGING),
        )
        cls.victim = victim_.Victim(cls.stack, HOST)
        cls.victim.prepare()
        cls.addClassCleanup(cls.victim.end)

    def run_options(self) -> dict[str, float]:
        return {
            **test_stack.run_options(self),
            'check_interval': CHECK_INTERVAL,
        }

    def setUp(self) -> None:
        super().setUp()
        self.chooser = Chooser(self.stack, bool(self.stock))
        self.chooser.process.log.unlink(missing_ok=True)
        self.addCleanup(self.chooser.process.kill)
        self.chooser.process.start()
        process.wait_until(
            self.all_are_chosen, test_stack.SOON, what='all are chosen'
        )

    def all_are_chosen(self) -> bool:
        """Tell whether the last look passed over nobody."""
        looks = self.chooser.looks()
        return bool(looks) and not looks[-1][1]

    def boot(self, name: str, host: str | None = HOST) -> Any:
        """Boot a server that does not outlive the test."""
        server = self.stack.boot(name, host)
        if server.id:
            self.addCleanup(self.stack.delete, server.id)
        return server

    def boots(self, host: str = HOST) -> bool:
        """Tell whether a host gets a new server."""
        return victim_.boots(self.stack, host)

    def boots_again(self, host: str) -> bool:
        """Tell the same; what Nova has lost with a connection never ends."""
        try:
            return self.boots(host)
        except TimeoutError:
            return False

    def passed_over(self, host: str, since: float, within: float) -> float:
        """Return the seconds until a host is passed over."""
        process.wait_until(
            lambda: self.chooser.down_at(host, since),
            within,
            what=f'{host} is passed over',
        )
        return (self.chooser.down_at(host, since) or since) - since

    @contextlib.contextmanager
    def fault(self, name: str, check: str, harm: Any) -> Iterator[None]:
        raise NotImplementedError
        yield

    def harm_all(self, harm: Any) -> float:
        """Harm RabbitMQ shortly before every compute pings itself.

        :returns: when that was
        """
        every = checks.RPCCheck.least_interval
        time.sleep((every - 3.0 - time.time()) % every)
        begun = time.monotonic()
        with harm():
            pass
        return begun

    @contextlib.contextmanager
    def mute(self) -> Iterator[None]:
        """Have RabbitMQ answer nobody for a while."""
        self.addCleanup(self.stack.rabbitmq.thaw)
        self.stack.rabbitmq.freeze()
        try:
            time.sleep(MUTE)
            yield
        finally:
            self.stack.rabbitmq.thaw()

    @contextlib.contextmanager
    def restarted(self) -> Iterator[None]:
        """Have RabbitMQ stop and start again."""
        self.stack.rabbitmq.stop()
        try:
            yield
        finally:
            self.stack.rabbitmq.start()


class Single:
    """The faults of one host."""

    @base.only_long
    @unittest.skipUnless(fuse.is_there(), 'needs root and /dev/fuse')
    def test_its_storage_is_frozen(self) -> None:
        with self.victim.on_a_cluster() as mount:
            # It has been looked at.
            time.sleep(2 * CHECK_INTERVAL)
            frozen = victim_.frozen(mount)
            with self.fault('storage frozen', 'storage', frozen):
                pass


class OfQueue:
    """The one that shows whether marks travel."""

    @base.only_long
    def test_nothing_arrives_in_its_queue(self) -> None:
        with self.fault(
            'queue unbound', 'rpc', victim_.unbound(self.stack, HOST)
        ):
            pass


class MoreOfSingle(OfQueue):
    """Others, which take long, or are like those of test_conditions."""

    @base.only_long
    def test_its_disk_is_full(self) -> None:
        full = self.victim.full()
        with (
            self.victim.on_a_small_disk(),
            self.fault('disk full', 'storage', full),
        ):
            pass

    @base.only_long
    def test_its_workers_are_busy(self) -> None:
        servers = [
            self.boot(f'slow{number}').id for number in range(victim_.WORKERS)
        ]
        with self.fault('workers busy', 'rpc', self.victim.busy(servers)):
            pass
        for each in servers:
            found = self.stack.wait_server(each)
            self.assertEqual('SHUTOFF', found.status)

    @base.only_long
    def test_its_password_is_refused(self) -> None:
        with self.fault('password refused', 'rpc', self.victim.refused()):
            pass

    @base.only_long
    def test_its_network_is_cut(self) -> None:
        with self.fault('network cut', 'rpc', self.victim.cut()):
            pass

    @base.only_long
    def test_its_virt_driver_hangs(self) -> None:
        with self.fault(
            'virt driver hangs', 'virt', victim_.hanging(self.stack, HOST)
        ):
            pass


class Ours:
    """With this package."""

    @contextlib.contextmanager
    def fault(self, name: str, check: str, harm: Any) -> Iterator[None]:
        """Harm the host: it gets no server, until that is over."""
        server = self.boot('before')
        self.assertEqual(HOST, server.host, server)
        with harm:
            begun = time.monotonic()
            taken = self.passed_over(HOST, begun, WITHIN[check])
            self.measured(f'{name}: no new server', taken)
            self.stack.settle()
            self.assertFalse(self.boots())
            self.assertIn(self.boot('lands', None).host, self.others())
            self.assertEqual('up', self.stack.state(HOST))
            self.assertEqual(400, self.stack.evacuate(server.id)[0])
            yield
        taken = process.wait_until(
            self.all_are_chosen, BACK_WITHIN, what='it is fit again'
        )
        self.measured(f'{name}: back', taken)
        self.stack.settle()
        self.assertTrue(self.boots())
        self.assertEqual({HOST}, self.chooser.down(0.0))

    def others(self) -> list[str]:
        """Return the hosts that nobody harms."""
        return [each for each in self.stack.hosts if each != HOST]


class All(Ours, Single, MoreOfSingle):
    """Every fault, of one host and of all."""

    def shared(self, harm: Any) -> None:
        """Harm all: the check fails, and nobody is passed over for it."""
        logs = {
            host: len(self.stack.log(host).read_text())
            for host in self.stack.hosts
        }
        begun = self.harm_all(harm)
        self.back(begun)
        failed = [
            host
            for host, size in logs.items()
            if 'rpc has failed twice'
            in self.stack.log(host).read_text()[size:]
        ]
        self.measured('failed their check', len(failed), unit='hosts')
        self.assertEqual(set(), self.chooser.down(0.0))

    def back(self, begun: float) -> None:
        """Wait until every host gets servers, and has been checked again."""
        self.measured('lasted', time.monotonic() - begun)
        begun = time.monotonic()
        for host in self.stack.hosts:
            process.wait_until(
                lambda host=host: self.boots_again(host), 150.0, what=host
            )
        self.measured('servers on all hosts', time.monotonic() - begun)
        for host in self.stack.hosts:
            self.assertEqual('up', self.stack.state(host))
        # Whoever notices late that it is over.
        time.sleep(BACK_WITHIN)

    def test_rabbitmq_is_restarted(self) -> None:
        self.shared(self.restarted)

    @base.only_long
    def test_rabbitmq_is_mute(self) -> None:
        self.shared(self.mute)


class ThreadingTest(All, Harmed):
    pass


@base.only_long
class EventletTest(All, Harmed):
    mode = 'eventlet'


@base.only_long
class EtcdTest(Ours, OfQueue, Harmed):
    driver = 'etcd'


@base.only_long
class RedisTest(Ours, OfQueue, Harmed):
    driver = 'redis'


@base.only_long
class MemcachedTest(Ours, OfQueue, Harmed):
    driver = 'mc'


@base.only_long
class StockTest(Single, MoreOfSingle, Harmed):
    """Nova's own driver, without this package anywhere."""

    driver = 'db'
    stock = ('api', 'conductor', 'scheduler', HOST, 'compute2', 'compute3')
    #: Where the heartbeat is a message, and does not arrive.
    goes_down = ('password refused', 'network cut')
    #: Where a new server fails at once.
    fails = ('disk full',)

    @contextlib.contextmanager
    def fault(self, name: str, check: str, harm: Any) -> Iterator[None]:
        """Harm the host, and see what becomes of it and of a new server."""
        server = self.boot('before')
        self.assertEqual(HOST, server.host, server)
        with harm:
            begun = time.monotonic()
            if name in self.goes_down:
                self._down(name, begun)
            else:
                self._chosen(name, begun, WITHIN[check])
            yield
        process.wait_until(
            self.all_are_chosen, test_stack.SOON, what='it is up'
        )
        for each in self.stack.expect('GET', '/servers?name=new')['servers']:
            self.stack.delete(each['id'])

    def _down(self, name: str, begun: float) -> None:
        within = test_stack.SERVICE_DOWN_TIME + 5.0
        taken = self.passed_over(HOST, begun, within)
        self.measured(f'{name}: down', taken)

    def _chosen(self, name: str, begun: float, within: float) -> None:
        """It is up, and gets servers, when ours gets none any more."""
        time.sleep(max(0.0, begun + within - time.monotonic()))
        self.assertEqual(set(), self.chooser.down(begun))
        self.assertEqual('up', self.stack.state(HOST))
        self.assertEqual(name in self.fails, self._fails())
        self.measured(f'{name}: still chosen', time.monotonic() - begun)

    def _fails(self) -> bool:
        """Tell whether a new server fails; else, it hangs in BUILD."""
        try:
            server = self.stack.boot('new', HOST, BUILT)
        except TimeoutError:
            return False
        self.assertEqual('ERROR', server.status)
        self.assertNotIn('No valid host', server.fault)
        return True

    def all_down(self, harm: Any) -> None:
        """Harm all: all are down, though all live."""
        begun = self.harm_all(harm)
        down = self.chooser.down(begun)
        self.measured('down', len(down), unit='hosts')
        process.wait_until(
            self.all_are_chosen, 2 * test_stack.SOON, what='all are up'
        )
        self.measured('back', time.monotonic() - begun)
        self.assertEqual(set(self.stack.hosts), down)

    def test_rabbitmq_is_mute(self) -> None:
        self.all_down(self.mute)

    def test_it_works_while_it_stops(self) -> None:
        """It has closed its queue, and is chosen all the same."""
        with victim_.hanging(self.stack, HOST):
            with contextlib.suppress(TimeoutError):
                self.stack.boot('new', HOST, 3.0)
            self.addCleanup(self.stack.start, HOST)
            self.addCleanup(self.stack.stop, HOST)
            begun = time.monotonic()
            self.stack.kill(HOST, signal.SIGTERM)
            time.sleep(3.0)
            self.assertEqual('up', self.stack.state(HOST))
            self.assertFalse(self._fails())
            self.measured('SIGTERM: still chosen', time.monotonic() - begun)
