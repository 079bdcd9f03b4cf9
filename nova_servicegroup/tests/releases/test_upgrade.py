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

"""In the middle of an upgrade: controllers of a release, older computes."""

import time
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_migration
from nova_servicegroup.tests.nova import test_stack
from nova_servicegroup.tests.releases import scope

#: From which release one goes to it: the one before, or with a SLURP.
BEFORE = {'34': '33', '33': '31', '31': '29'}
COMPUTES = ('compute1', 'compute2', 'compute3')
CONTROLLERS = ('conductor', 'scheduler', 'api')
NOISE = test_migration.NOISE
#: Seconds after which a service that has joined is seen, whatever the driver.
LATE = 2 * test_migration.REPORT_INTERVAL + NOISE
JOINING = 'Joining the servicegroup'
_DRIVERS = ('db', 'zk')


class MixedContract:
    """A cloud whose computes are upgraded after its controllers.

    The last test, by its name, upgrades them; there is no way back.
    """

    driver = 'db'
    stock: tuple[str, ...] = ()
    overrides: dict[str, str] = {}

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        older = dict.fromkeys(COMPUTES, BEFORE[scope.RELEASE.series])
        settings = test_migration.settings()
        settings['overrides'] |= cls.overrides
        cls.stack = test_stack.running(
            cls.driver,
            scope.MODES[0],
            cls.stock,
            anew=True,
            novas=older,
            **settings,
        )

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.poller = test_migration.Poller(self.stack)
        self.restarts: list[tuple[str, float, float]] = []

    def test_deaths_are_found(self) -> None:
        bound = test_migration.DOWN_WITHIN[self.driver] + NOISE
        self.addCleanup(self.stack.start, 'compute1')
        self.stack.kill('compute1')
        taken = self.stack.wait_state('compute1', 'down', bound)
        self.measured('kill to down', taken)
        self.assertTrue(self.boot('compute1').refused)
        self.assertEqual('up', self.stack.state('compute2'))
        self.assertEqual('ACTIVE', self.boot('compute2').status)

    def test_nobody_is_down_while_all_are_restarted(self) -> None:
        self.watch(self.restart_all)

    def test_the_computes_follow_one_by_one(self) -> None:
        self.watch(self.upgrade)

    def restart_all(self) -> None:
        for name in (*CONTROLLERS, *COMPUTES):
            self.restart(name)

    def upgrade(self) -> None:
        left = dict(self.stack.settings.novas)
        for name in COMPUTES:
            del left[name]
            self.stack.change(novas=dict(left))
            self.restart(name)

    def boot(self, host: str) -> Any:
        server = self.stack.boot(f'on-{host}', host)
        if server.id:
            self.addCleanup(self.stack.delete, server.id)
        return server

    def restart(self, name: str) -> None:
        """Restart a process in good order, within its membership."""
        begun = time.monotonic()
        self.stack.stop(name)
        before = self.joined(name)
        self.stack.start(name)
        if name != 'api' and name not in self.stock:
            # Its record is saved before it joins.
            process.wait_until(
                lambda: self.joined(name) > before,
                test_stack.SOON,
                what=f'{name} joins',
            )
        self.restarts.append((name, begun, time.monotonic()))

    def joined(self, name: str) -> int:
        """Return how often a service has joined."""
        return self.stack.log(name).read_text().count(JOINING)

    def watch(self, change: Any) -> None:
        """Check that nobody is seen down meanwhile."""
        self.addCleanup(self.poller.stop)
        self.poller.start()
        change()
        time.sleep(test_migration.LASTS)
        self.poller.stop()
        for name, begun, ended in self.restarts:
            self.measured(f'restart of {name}', ended - begun)
        self.measured('looks', len(self.poller.looks), unit='')
        self.assertLess(10, len(self.poller.looks))
        self.assertEqual([], self.poller.refused)
        down = [
            f'{each.at:.1f}: {host}'
            for each in self.poller.looks
            for host in each.down
            if not self.too_slow(host, each.at)
        ]
        self.assertEqual([], down)

    def too_slow(self, host: str, at: float) -> bool:
        """Tell whether a restart had outlasted the membership just then."""
        own = CONTROLLERS if host == 'controller' else (host,)
        return any(
            name in own and begun + test_migration.LASTS <= at <= ended + LATE
            for name, begun, ended in self.restarts
        )


class StockMixedContract(MixedContract):
    """The same with computes that do not have this package."""

    stock = COMPUTES
    # A conductor that stops may have taken the heartbeat of a stock compute,
    # which then sends no other until its RPC has timed out.
    overrides = {'DEFAULT.rpc_response_timeout': '3'}

    def test_the_computes_are_stock(self) -> None:
        text = self.stack.log('compute1').read_text()
        self.assertNotIn('nova_servicegroup', text)


def _classes() -> dict[str, type]:
    """Return the classes of tests, where there is a way to upgrade."""
    if scope.RELEASE.series not in BEFORE:
        return {}
    drivers = set(_DRIVERS) & set(scope.DRIVERS)
    made = [_class(each, each, MixedContract) for each in sorted(drivers)]
    if 'db' in drivers:
        # Stock computes know this driver alone.
        made.append(_class('stock', 'db', StockMixedContract))
    return {each.__name__: each for each in made}


def _class(name: str, driver: str, contract: type) -> type:
    own = {'__module__': __name__, 'driver': driver}
    return type(f'Mixed_{name}_Test', (contract, base.TestCase), own)


globals().update(_classes())
