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

"""Nova's own tests: as they end without the package, they end with it.

Those of one release at a time, which NOVA_SERVICEGROUP_NOVA says.
"""

from collections.abc import Callable, Collection, Mapping
import functools
import pathlib

import fixtures
import testscenarios
from testtools import content

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import etcd
from nova_servicegroup.tests.harness import redis
from nova_servicegroup.tests.harness import server
from nova_servicegroup.tests.harness import zookeeper
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.nova_own import comparison
from nova_servicegroup.tests.nova_own import environment
from nova_servicegroup.tests.nova_own import insides
from nova_servicegroup.tests.nova_own import running
from nova_servicegroup.tests.nova_own import selection

load_tests = testscenarios.load_tests_apply_scenarios

RELEASE = releases.chosen()
_DRIVER = 'default.servicegroup_driver'
#: The drivers with a server of their own: the group of their options, the one
#: after which the server drops a member (in seconds, the shortest), and it.
_SERVERS: dict[str, tuple[str, str, Callable[..., server.Server]]] = {
    'zk': (
        'zookeeper',
        'session_timeout',
        functools.partial(zookeeper.ZooKeeper, tick_ms=500),
    ),
    'etcd': ('etcd', 'ttl', etcd.Etcd),
    'redis': ('redis', 'ttl', redis.Redis),
}
_EXPIRY = '4'
_SUITES = {
    suite: selection.of(names, RELEASE.series)
    for suite, names in selection.SUITES.items()
}
_CHOICES = {
    'functional': ('db', 'mc', *_SERVERS) if base.LONG else ('mc',),
    'long': ('db', 'mc') if base.LONG else (),
}
_WORKERS = 2
#: One that has failed beside others is run alone, so often: Nova's tests wait
#: for seconds only, which a busy machine may not have.
_AGAIN = 2

_Outcomes = dict[str, comparison.Outcome]

#: What has been run without the package.
_STOCK: dict[tuple[str, ...], _Outcomes] = {}


class NovaOwnTestCase(base.TestCase):
    """One suite of Nova's, with one driver or with those that it chooses.

    :ivar options: of Nova; see running.environment
    """

    # Unit tests choose a driver, or have only records to judge by, as db does.
    scenarios = [
        ('unit', {'suite': 'unit', 'options': {}}),
        *(
            (
                f'{suite},{driver}',
                {'suite': suite, 'options': {_DRIVER: driver}},
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
        self._environment = environment.Environment(RELEASE)
        self._environment.ensure()
        driver = self.options.get(_DRIVER)
        if driver in _SERVERS:
            self.options.update(self._start(*_SERVERS[driver]))

    def _start(
        self, group: str, expiry: str, make: Callable[..., server.Server]
    ) -> dict[str, str]:
        """Start a server; return the options that name it."""
        made = make(pathlib.Path(self.useFixture(fixtures.TempDir()).path))
        self.addCleanup(made.stop)
        made.start()
        return {
            f'{group}.address': made.address,
            f'{group}.{expiry}': _EXPIRY,
        }

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
        return _run(made, names, self._settings(), inside)

    def _without(self, names: Collection[str]) -> _Outcomes:
        """Run tests as Nova's developers do, with the driver that is set."""
        key = tuple(names)
        if key not in _STOCK:
            stock = running.environment({}, RELEASE)
            _STOCK[key] = _run(self._environment.without, names, stock)
        return _STOCK[key]

    def _settings(self) -> dict[str, str]:
        return running.environment(self.options, RELEASE)

    def _show(self, name: str, outcome: comparison.Outcome) -> None:
        """Have what a test has printed shown, and how to run it alone."""
        made = self._environment.package
        alone = running.command(made, name, self._settings())
        text = f'{alone}\n{outcome.told}'
        self.addDetail(name, content.text_content(text))


class SelectionTest(base.TestCase):
    """What is run is what the release has, and what it lacks is named."""

    def test_only_what_it_lacks_is_left_out(self) -> None:
        made = environment.Environment(RELEASE)
        made.ensure()
        for suite, names in selection.SUITES.items():
            has = [each for each in names if made.has(each)]
            self.assertEqual(has, _SUITES[suite])


def _run(
    python: str,
    names: Collection[str],
    settings: Mapping[str, str],
    inside: Collection[str] = (),
) -> _Outcomes:
    """Run tests; those that fail, but are not to, again and alone."""
    outcomes: _Outcomes = {}
    for workers in (_WORKERS, *(1,) * _AGAIN):
        if names:
            outcomes |= running.run(python, names, settings, workers)
        failed = comparison.ended(outcomes, comparison.FAILED)
        names = set(failed) - set(inside)
    return outcomes


def _is_of(name: str, chosen: Collection[str]) -> bool:
    return any(name.startswith(f'{each}.') for each in chosen)
