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
"""Masakari recovers the servers of a host that is dead, and no others."""

import dataclasses
import json
import pathlib
import tempfile
import time
from typing import ClassVar

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import proxy
from nova_servicegroup.tests.ministack.masakari import recovery
from nova_servicegroup.tests.ministack.masakari import services
from nova_servicegroup.tests.ministack.masakari import stack as stack_
from nova_servicegroup.tests.ministack import settings

SESSION_TIMEOUT = 4
HOLD_TIME = 40
#: Less than HOLD_TIME, and more than a session lasts.
FREEZE = 15.0
#: Seconds in which a false alarm would be raised.
PATIENCE = 25.0
RECOVERED = 300.0
SOON = 60.0

_SETTINGS = settings.Settings(
    driver='zk',
    masakari='ours',
    report_interval=2,
    service_down_time=10,
    overrides={
        'zookeeper.session_timeout': str(SESSION_TIMEOUT),
        'servicegroup.hold_time': str(HOLD_TIME),
    },
)


_DEFAULTS = settings.Settings(
    driver='db',
    masakari='stock',
    report_interval=10,
    service_down_time=60,
    stock=(
        *('api', 'conductor', 'scheduler'),
        *('compute1', 'compute2', 'compute3'),
    ),
)

_RACKS = dataclasses.replace(
    _SETTINGS, computes=6, overrides={'zookeeper.session_timeout': '5'}
)
TIMES = 20
#: Seconds in which Masakari takes the next death of a host for the same one,
#: and a little more.
AGAIN = 190.0


class Recovering(base.TestCase):
    """A Nova with Masakari, which all tests of a class share."""

    kind: type[stack_.Stack] = stack_.Stack
    settings = _SETTINGS
    #: Seconds in which a recovery ends.
    within = RECOVERED
    stack: ClassVar[stack_.Stack]
    watch: ClassVar[recovery.Watch | None]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        directory = tempfile.TemporaryDirectory(prefix='servicegroup-')
        cls.addClassCleanup(directory.cleanup)
        cls.stack = cls.kind(pathlib.Path(directory.name), cls.settings)
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        cls.watch = cls.start_watch()

    @classmethod
    def start_watch(cls) -> recovery.Watch | None:
        """Start what shows who is silent."""
        watch = recovery.Watch(cls.stack)
        cls.addClassCleanup(watch.stop)
        watch.start()
        return watch

    def run_options(self) -> dict[str, float]:
        """See base.TestCase."""
        return {
            'report_interval': self.settings.report_interval,
            'service_down_time': self.settings.service_down_time,
            'tick': self.settings.tick_ms / 1000,
            **{
                name.rpartition('.')[2]: float(value)
                for name, value in self.settings.overrides.items()
            },
        }

    def boot(self, host: str) -> str:
        """Boot a server on a host; return its id."""
        server = self.stack.boot(self.id().rpartition('.')[2], host)
        self.assertEqual(('ACTIVE', host), (server.status, server.host))
        self.addCleanup(self.stack.delete, server.id)
        return server.id

    def recover(self, host: str, by_hand: bool) -> recovery.Recovery:
        """Kill a host with two servers; return what was seen of them."""
        servers = [self.boot(host) for _ in range(2)]
        seen = recovery.Recovery(self.stack, self.watch, host, servers)
        self.addCleanup(self.stack.revive, host)
        for mark, seconds in seen.run(self.within, by_hand).items():
            self.measured(f'kill to {mark}', seconds)
        return seen


@base.only_long
class DefaultsTest(Recovering):
    """How long it takes from the death of a host to servers that run.

    With this package, and the waits of Masakari that it permits.
    """

    settings = dataclasses.replace(
        _DEFAULTS,
        driver='zk',
        masakari='ours',
        stock=(),
        overrides={'zookeeper.session_timeout': '10'},
    )
    by_hand = False

    def test_its_servers_are_active_elsewhere(self) -> None:
        seen = self.recover('compute1', self.by_hand)
        self.assertEqual('finished', seen.notification()['status'])


@base.only_long
class FastTest(DefaultsTest):
    """The same, with sessions that are half as long."""

    settings = dataclasses.replace(
        DefaultsTest.settings, overrides={'zookeeper.session_timeout': '5'}
    )


@base.only_long
class StockTest(DefaultsTest):
    """Stock Nova and Masakari, which is told of it when Nova knows.

    The host monitors of Masakari need Pacemaker or Consul for that.
    """

    settings = _DEFAULTS
    within = 900.0
    by_hand = True

    @classmethod
    def start_watch(cls) -> recovery.Watch | None:
        return None


class ByHandTest(Recovering):
    """Without a monitor: Masakari is told of a dead host by hand."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stack.process(services.MONITOR).stop()

    def test_all_servers_of_a_dead_host_are_active_elsewhere(self) -> None:
        seen = self.recover('compute1', by_hand=True)
        self.assertEqual('finished', seen.notification()['status'])
        self.assertEqual(set(recovery.MARKS), set(seen.seen))
        self.assertEqual(2, len(recovery.moved(self.stack)))
        self.assertTrue(self.stack.masakari.host('compute1')['on_maintenance'])

    def test_a_host_that_lives_is_not_evacuated(self) -> None:
        server = self.boot('compute2')
        self.addCleanup(self.stack.revive, 'compute2')
        uuid = self.stack.masakari.notify('compute2')
        process.wait_until(
            lambda: self.status(uuid) in ('finished', 'failed'),
            RECOVERED,
            0.5,
            'Masakari gives up',
        )
        # Nova refuses, since the host is up.
        self.assertEqual('failed', self.status(uuid))
        self.assertEqual('compute2', self.stack.server(server).host)

    def status(self, notification: str) -> str:
        """Return the status of a notification."""
        return str(
            next(
                each['status']
                for each in self.stack.masakari.notifications()
                if each['notification_uuid'] == notification
            )
        )

    def test_the_client_of_openstack_lists_the_hosts(self) -> None:
        listed = self.stack.openstack('segment', 'list', '-f', 'json')
        self.assertEqual(0, listed.returncode, listed.stderr)
        (segment,) = json.loads(listed.stdout)
        hosts = self.stack.openstack(
            *('segment', 'host', 'list', segment['uuid'], '-f', 'json')
        )
        self.assertEqual(0, hosts.returncode, hosts.stderr)
        self.assertEqual(
            set(self.stack.hosts),
            {each['name'] for each in json.loads(hosts.stdout)},
        )

    def test_nova_refuses_who_has_no_token(self) -> None:
        self.addCleanup(setattr, self.stack, 'credentials', self.administrator)
        self.stack.credentials = lambda: {'X-Roles': 'admin'}
        status, _, _ = self.stack.request('GET', '/os-services')
        self.assertEqual(401, status)

    @property
    def administrator(self) -> object:
        return self.stack.others.tokens.headers


class HostMonitorTest(Recovering):
    """masakari-hostmonitor with the driver ``servicegroup``."""

    def setUp(self) -> None:
        super().setUp()
        self.assertTrue(self.stack.process(services.MONITOR).running)

    def test_all_servers_of_a_dead_host_are_active_elsewhere(self) -> None:
        seen = self.recover('compute1', by_hand=False)
        self.assertEqual('finished', seen.notification()['status'])
        self.assertEqual(2, len(recovery.moved(self.stack)))

    def test_a_killed_nova_compute_moves_nothing(self) -> None:
        before = self.done()
        self.addCleanup(self.stack.revive, 'compute2')
        self.boot('compute2')
        self.stack.kill('compute2')
        self.stack.wait_state('compute2', 'down', SOON)
        time.sleep(PATIENCE)
        self.assertEqual(before, self.done())

    def test_a_frozen_backend_moves_nothing(self) -> None:
        before = self.done()
        self.boot('compute3')
        self.addCleanup(self.stack.zookeeper.thaw)
        self.stack.zookeeper.freeze()
        time.sleep(FREEZE)
        self.stack.zookeeper.thaw()
        time.sleep(PATIENCE)
        self.assertEqual(before, self.done())

    def test_a_restart_of_everything_moves_nothing(self) -> None:
        before = self.done()
        self.boot('compute3')
        self.stack.restart_nova()
        time.sleep(PATIENCE)
        self.assertEqual(before, self.done())

    def done(self) -> set[str]:
        """Return the evacuations and notifications of dead hosts so far."""
        return recovery.moved(self.stack) | recovery.told(self.stack)


class Relayed(stack_.Stack):
    """A stack whose first host reaches ZooKeeper by a relay, as others may.

    :ivar relay: what passes the connections on
    """

    relay: process.Program

    def _start(self) -> None:
        address = self.settings.own[self.hosts[0]]['zookeeper.address']
        self.relay = process.Program(
            self.directory / 'relay',
            proxy.__name__,
            self.zookeeper.address,
            address.rpartition(':')[2],
        )
        self.relay.start()
        super()._start()

    def down(self) -> None:
        """See stack.Stack."""
        super().down()
        process.Process([], self.directory / 'relay').kill()


@base.only_long
class RacksTest(Recovering):
    """Hosts in two racks: the network of one is cut, or hosts die."""

    kind = Relayed
    stack: ClassVar[Relayed]

    @classmethod
    def setUpClass(cls) -> None:
        port = ports.free_port()
        racks = (_RACKS.hosts[:3], _RACKS.hosts[3:])
        domains = {
            host: {'servicegroup.domain': f'rack{number}'}
            for number, hosts in enumerate(racks, 1)
            for host in hosts
        }
        for host in racks[0]:
            domains[host]['zookeeper.address'] = f'127.0.0.1:{port}'
        cls.settings = dataclasses.replace(_RACKS, own=domains)
        super().setUpClass()

    def test_a_rack_that_is_cut_off_moves_nothing(self) -> None:
        """From the backend, for twice the time for which it is held."""
        before = recovery.moved(self.stack) | recovery.told(self.stack)
        rack = self.stack.hosts[:3]
        self.boot(rack[0])
        self.addCleanup(self.stack.relay.thaw)
        self.stack.relay.freeze()
        self.stack.wait_state(rack[0], 'down', SOON)
        time.sleep(self.settings.service_down_time + PATIENCE)
        self.stack.relay.thaw()
        for host in rack:
            self.stack.wait_state(host, 'up', SOON)
        time.sleep(PATIENCE)
        after = recovery.moved(self.stack) | recovery.told(self.stack)
        self.assertEqual(before, after)

    def test_many_recoveries(self) -> None:
        taken: dict[str, list[float]] = {each: [] for each in recovery.MARKS}
        free = dict.fromkeys(self.stack.hosts, 0.0)
        for _ in range(TIMES):
            host = min(free, key=free.__getitem__)
            time.sleep(max(0.0, free[host] - time.monotonic()))
            server = self.stack.boot(f'server-{host}', host).id
            seen = recovery.Recovery(self.stack, self.watch, host, [server])
            for mark, seconds in seen.run(RECOVERED).items():
                taken[mark].append(seconds)
            self.assertEqual('finished', seen.notification()['status'])
            free[host] = time.monotonic() + AGAIN
            self.stack.revive(host)
            self.stack.wait_state(host, 'up', SOON)
            self.stack.delete(server)
        for mark, seconds in taken.items():
            self.measured(f'kill to {mark}', *sorted(seconds))
