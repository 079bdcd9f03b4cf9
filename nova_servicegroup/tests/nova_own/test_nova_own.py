# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Nova's own tests: as they end without the package, they end with it."""

from collections.abc import Collection, Mapping
import pathlib

import fixtures
import testscenarios
from testtools import content

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import etcd
from nova_servicegroup.tests.harness import redis
from nova_servicegroup.tests.harness import server as harness_server
from nova_servicegroup.tests.harness import zookeeper
from nova_servicegroup.tests.nova_own import comparison
from nova_servicegroup.tests.nova_own import environment
from nova_servicegroup.tests.nova_own import insides
from nova_servicegroup.tests.nova_own import running
from nova_servicegroup.tests.nova_own import selection

load_tests = testscenarios.load_tests_apply_scenarios

_DRIVER = 'default.servicegroup_driver'
#: The options of drivers with a server of their own, and the shortest time
#: after which it drops a member, in seconds.
_SECTIONS = {'zk': 'zookeeper', 'etcd': 'etcd', 'redis': 'redis'}
_EXPIRY = {
    'zookeeper.session_timeout': '4',
    'etcd.ttl': '4',
    'redis.ttl': '4',
}
_SUITES = {
    'unit': selection.UNIT,
    'functional': selection.FUNCTIONAL,
    'long': selection.LONG,
}
_CHOICES = {
    'functional': ('db', 'mc', *_SECTIONS) if base.LONG else ('db', 'mc'),
    'long': ('db', 'mc') if base.LONG else (),
}
_WORKERS = 2
#: One that has failed beside others is run alone, so often: Nova's tests wait
#: for seconds only, which a busy machine may not have.
_AGAIN = 2

_Outcomes = dict[str, comparison.Outcome]

#: What has been run without the package.
_STOCK: dict[tuple[str, ...], _Outcomes] = {}


def _options(driver: str) -> dict[str, str]:
    return {_DRIVER: driver, **_EXPIRY}


class NovaOwnTestCase(base.TestCase):
    """One suite of Nova's, with one driver or with those that it chooses.

    :ivar options: see running.environment
    """

    # Unit tests choose a driver, or have only records to judge by, as db does.
    scenarios = [
        ('unit', {'suite': 'unit', 'options': {}}),
        *(
            (
                f'{suite},{driver}',
                {'suite': suite, 'options': _options(driver)},
            )
            for suite, drivers in _CHOICES.items()
            for driver in drivers
        ),
    ]
    suite: str
    options: dict[str, str]

    def setUp(self) -> None:
        super().setUp()
        self.options = dict(self.options)
        self._environment = environment.Environment()
        self._environment.ensure()
        server = self._make_server()
        if server is not None:
            self.addCleanup(server.stop)
            server.start()
            section = _SECTIONS[self.options[_DRIVER]]
            self.options |= {f'{section}.address': server.address}

    def _make_server(self) -> harness_server.Server | None:
        """Return the server of a driver that needs one."""
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        match self.options.get(_DRIVER):
            case 'zk':
                return zookeeper.ZooKeeper(directory, tick_ms=500)
            case 'etcd':
                return etcd.Etcd(directory)
            case 'redis':
                return redis.Redis(directory)
        return None

    def test_ends_as_without_the_package(self) -> None:
        names = _SUITES[self.suite]
        inside = {each for each in insides.REASONS if _is_of(each, names)}
        package = self._with_package(names, inside)
        failed = comparison.ended(package, comparison.FAILED)
        for name in set(failed) - inside:
            self._show(name, package[name])
        # What passes with the package is run without it now and then only.
        skipped = comparison.ended(package, comparison.SKIPPED)
        without = self._without(names if base.LONG else failed + skipped)
        self.assertEqual([], comparison.differences(package, without, inside))

    def _with_package(
        self, names: Collection[str], inside: Collection[str]
    ) -> _Outcomes:
        made = self._environment.package
        return _run(made, names, self.options, inside)

    def _without(self, names: Collection[str]) -> _Outcomes:
        """Run tests as Nova's developers do, with the driver that is set."""
        key = tuple(names)
        if key not in _STOCK:
            _STOCK[key] = _run(self._environment.without, names, {})
        return _STOCK[key]

    def _show(self, name: str, outcome: comparison.Outcome) -> None:
        """Have what a test has printed shown, and how to run it alone."""
        alone = running.command(self._environment.package, name, self.options)
        text = f'{alone}\n{outcome.told}'
        self.addDetail(name, content.text_content(text))


def _run(
    python: str,
    names: Collection[str],
    options: Mapping[str, str],
    inside: Collection[str] = (),
) -> _Outcomes:
    """Run tests; those that fail, but are not to, again and alone."""
    outcomes: _Outcomes = {}
    for workers in (_WORKERS, *(1,) * _AGAIN):
        if names:
            outcomes |= running.run(python, names, options, workers)
        failed = comparison.ended(outcomes, comparison.FAILED)
        names = set(failed) - set(inside)
    return outcomes


def _is_of(name: str, chosen: Collection[str]) -> bool:
    return any(name.startswith(f'{each}.') for each in chosen)
