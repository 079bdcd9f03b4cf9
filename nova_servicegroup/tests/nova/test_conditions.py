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

"""A real nova-compute that is alive but unfit gets no new server."""

from collections.abc import Iterator
import contextlib
import pathlib
import signal
import time
from typing import Any
import unittest

from nova_servicegroup.checks import runner
from nova_servicegroup.plugin import checks
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_stack
from nova_servicegroup.tests.nova import victim

CHECK_INTERVAL = 5.0
HOST = 'compute1'
#: From a fault to its mark, at the latest, as each check is.
WITHIN = runner.TIMEOUT + runner.REPEAT + runner.TIMEOUT
KNOWN = {
    'rpc': checks.RPCCheck.least_interval + WITHIN,
    'storage': CHECK_INTERVAL + WITHIN,
    'virt': CHECK_INTERVAL + WITHIN,
}
_OVERRIDES = {
    **test_stack.EXPIRY,
    'servicegroup.hold_time': str(test_stack.HOLD_TIME),
    'servicegroup.check_interval': str(CHECK_INTERVAL),
    'DEFAULT.instances_path': '$state_path/instances',
    'DEFAULT.compute_driver': 'hanging.HangingDriver',
    # Of these, 20 s are for the end of it.
    'DEFAULT.manager_shutdown_timeout': '60',
    'DEFAULT.graceful_shutdown_timeout': '90',
}
#: To say it, to see it, and to know that it is not the first of all.
SEEN = 3.0 + 5.0


class Conditions:
    """What Nova must do with each driver that shows marks."""

    mode: str
    driver = 'zk'
    stack: Any

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        cls.stack = test_stack.running(
            cls.driver,
            cls.mode,
            overrides=_OVERRIDES,
            python_path=str(victim.HANGING),
        )
        cls._instances().mkdir(exist_ok=True)

    @classmethod
    def _state(cls, host: str = HOST) -> pathlib.Path:
        directory: pathlib.Path = cls.stack.directory
        return directory / 'state' / host

    @classmethod
    def _instances(cls) -> pathlib.Path:
        return cls._state() / 'instances'

    def run_options(self) -> dict[str, float]:
        return test_stack.run_options(self)  # type: ignore[arg-type]

    def said(self, begun: int) -> str:
        """Return what nova-compute has logged since then."""
        text: str = self.stack.log(HOST).read_text()
        return text[begun:]

    def boots(self, host: str = HOST) -> bool:
        """Tell whether a host gets a new server."""
        return victim.boots(self.stack, host)

    @contextlib.contextmanager
    def fault(self, check: str, harm: Any) -> Iterator[None]:
        """Have a check fail, and see what Nova does, then and after it."""
        server = self.stack.boot('before', HOST)
        self.addCleanup(self.stack.delete, server.id)
        self.assertEqual(HOST, server.host)
        begun = len(self.stack.log(HOST).read_text())
        with harm:
            taken = process.wait_until(
                lambda: f'{check} has failed twice' in self.said(begun),
                KNOWN[check] + runner.STEP,
                what='it is degraded',
            )
            self.measured(f'{check}: fault to mark', taken)
            time.sleep(SEEN)
            yield
            self.assertFalse(self.boots())
            self.assertEqual('up', self.stack.state(HOST))
            self.assertEqual(400, self.stack.evacuate(server.id)[0])
        taken = process.wait_until(
            lambda: f'{check} succeeds again' in self.said(begun),
            WITHIN,
            what='it is fit again',
        )
        self.measured(f'{check}: end of the fault to none', taken)
        time.sleep(SEEN)
        self.assertTrue(self.boots())

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        """Have the directory of the servers' disks be gone."""
        away = self._instances().with_name('away')
        # Once it has been there.
        time.sleep(2 * CHECK_INTERVAL)
        self._instances().rename(away)
        try:
            yield
        finally:
            away.rename(self._instances())

    @base.only_long
    def test_its_virt_driver_hangs(self) -> None:
        with self.fault('virt', victim.hanging(self.stack, HOST)):
            pass

    def test_nobody_answers_on_its_queue(self) -> None:
        with self.fault('rpc', victim.unbound(self.stack, HOST)):
            lands = self.stack.boot('lands')
            self.addCleanup(self.stack.delete, lands.id)
            self.assertIn(lands.host, ('compute2', 'compute3'))

    def test_its_storage_is_gone(self) -> None:
        with self.fault('storage', self._away()):
            self.assertEqual([], [*self._instances().parent.glob('.nova*')])
        time.sleep(CHECK_INTERVAL)
        self.assertEqual([], list(self._instances().glob('.nova-*')))

    def test_it_drains_before_it_stops(self) -> None:
        """Others know while it closes its queue and ends its work."""
        begun = time.monotonic()
        self.stop('compute2')
        self.stack.wait_state('compute2', 'down', 60.0)
        self.measured('SIGTERM to down', time.monotonic() - begun)

    def stop(self, host: str) -> None:
        """Have nova-compute begin to stop, and the API know."""
        self.stack.state(host)
        before = len(self.stack.log('api').read_text())
        self.addCleanup(self.stack.start, host)
        # On eventlet it takes some time to end after it has left.
        self.addCleanup(self.stack.stop, host)
        self.stack.kill(host, signal.SIGTERM)
        taken = process.wait_until(
            lambda: (
                self.stack.state(host)
                and f'{host}: draining: stopping'
                in self.stack.log('api').read_text()[before:]
            ),
            SEEN,
            what='it is draining',
        )
        self.measured('SIGTERM to draining', taken)

    @unittest.skipIf(
        int(test_stack.RELEASE.series) < 34, 'it does not await its work'
    )
    def test_it_drains_while_it_works(self) -> None:
        """It ends its work, and gets no more."""
        with victim.hanging(self.stack, 'compute3'):
            with contextlib.suppress(TimeoutError):
                self.stack.boot('slow', 'compute3', 3.0)
            self.stop('compute3')
            time.sleep(SEEN)
            self.assertFalse(self.boots('compute3'))
            self.assertEqual('up', self.stack.state('compute3'))
            self.assertTrue(self.stack.process('compute3').running)
        found = self.stack.expect('GET', '/servers?name=slow')['servers']
        for each in found:
            server = self.stack.wait_server(each['id'])
            self.assertEqual('ACTIVE', server.status)
            self.addCleanup(self.stack.delete, server.id)
        self.assertEqual(1, len(found))
        self.stack.wait_state('compute3', 'down', 60.0)


class ThreadingTest(Conditions, base.TestCase):
    mode = 'threading'


@base.only_long
class EventletTest(Conditions, base.TestCase):
    mode = 'eventlet'
