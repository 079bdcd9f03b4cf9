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

"""Which of Nova's services report their condition, and how."""

import sys
import types
from typing import Any
from unittest import mock

import fixtures

from nova_servicegroup import api
from nova_servicegroup.checks import loading
from nova_servicegroup.checks import runner
from nova_servicegroup import condition
from nova_servicegroup.drivers import base as base_driver
from nova_servicegroup import opts
from nova_servicegroup.plugin import checks
from nova_servicegroup.plugin import driver
from nova_servicegroup.plugin import service
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import fake_nova

NAMES = {
    'rpc': checks.RPCCheck,
    'virt': checks.VirtCheck,
}


class Quiet(fake_nova.FakeDriver):
    """A driver of a third party, which knows no marks."""

    shows_marks = base_driver.Driver.shows_marks


def find(name: str) -> Any:
    """Stand for stevedore, whose entry points may not be installed."""
    return NAMES[name]


class ConditionsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeNova())
        opts.register_opts(self.nova.conf)
        self.nova.conf.set_override('checks', 'rpc,virt', 'servicegroup')
        self.useFixture(
            fixtures.MockPatchObject(api, 'load_driver', side_effect=self._new)
        )
        self.useFixture(fixtures.MockPatchObject(loading, 'find', find))
        self.made = fake_nova.FakeDriver
        self.drivers: list[Any] = []
        self.ping = mock.Mock()
        self.nova_stop = mock.Mock()
        self.count = mock.Mock(return_value=3)
        self.nova.module('nova.baserpc', BaseAPI=self._base_api)
        sys.modules['nova.baserpc'].BaseRPCAPI = mock.Mock()
        self.nova.module(
            'nova.context', get_admin_context=lambda: 'the context'
        )
        self.nova.module('nova.virt.driver', ComputeDriver=mock.Mock())
        self.timers = base.FakeService()
        self._replace_time_and_threads()

    def _replace_time_and_threads(self) -> None:
        """Have a check end as soon as it is started."""
        defaults = runner.Runner.__init__.__kwdefaults__
        patched = mock.patch.dict(
            defaults,
            clock=self.clock,
            wall=self.clock,
            start=lambda call, name, native: call(),
        )
        patched.start()
        self.addCleanup(patched.stop)

    def _new(self, conf: Any, name: str, option: Any = None) -> Any:
        self.drivers.append(self.made(conf))
        return self.drivers[-1]

    def _base_api(self, topic: str) -> Any:
        self.topic = topic
        return mock.Mock(client=self.ping)

    def join(self, binary: str = 'nova-compute') -> Any:
        running = types.SimpleNamespace(
            binary=binary,
            host='host',
            topic=binary.removeprefix('nova-'),
            report_interval=10,
            tg=self.timers,
            stop=self.nova_stop,
            manager=types.SimpleNamespace(
                driver=types.SimpleNamespace(get_num_instances=self.count)
            ),
        )
        driver.Driver().join('host', running.topic, running)
        return running

    def go(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.timers.fire()

    def marks(self) -> list[tuple[str, str]]:
        return [
            (found.state, found.reason) if found else ('', '')
            for _, _, found in self.drivers[0].marks
        ]

    def test_a_compute_that_is_well_says_nothing(self) -> None:
        self.join()
        self.go(200)
        self.assertEqual([], self.marks())
        self.count.assert_called_with()
        self.assertEqual('compute', self.topic)
        self.ping.prepare.assert_called_with(
            server='host', timeout=checks.PING_TIMEOUT
        )
        self.ping.prepare.return_value.call.assert_called_with(
            'the context', 'ping', arg=''
        )

    def test_the_virt_driver_fails_and_recovers(self) -> None:
        self.join()
        self.count.side_effect = RuntimeError('no hypervisor')
        self.go(100)
        self.assertEqual([('degraded', 'virt')], self.marks())
        self.assertEqual(('host', 'compute'), self.drivers[0].marks[0][:2])
        self.count.side_effect = None
        self.go(60)
        self.assertEqual(('', ''), self.marks()[-1])

    def test_no_answer_to_the_ping(self) -> None:
        self.join()
        self.ping.prepare.return_value.call.side_effect = TimeoutError
        self.go(200)
        self.assertEqual([('degraded', 'rpc')], self.marks())

    def test_it_drains_before_it_stops(self) -> None:
        running = self.join()
        self.nova_stop.side_effect = lambda: self.assertEqual(
            [(condition.DRAINING, condition.STOPPING)], self.marks()
        )
        running.stop()
        self.nova_stop.assert_called_once_with()
        self.count.side_effect = RuntimeError
        self.go(300)
        self.assertEqual(1, len(self.marks()))

    def test_each_driver_is_told(self) -> None:
        self.nova.conf.set_override('also_report_to', 'mc,zk', 'servicegroup')
        running = self.join()
        self.drivers[0].mark = mock.Mock(side_effect=KeyError)
        running.stop()
        self.assertEqual(
            [1, 1], [len(each.marks) for each in self.drivers[1:]]
        )
        self.assertIn('unexpected error of the driver', self.log.output)

    def test_where_nobody_can_be_told_nothing_is_checked(self) -> None:
        self.made = Quiet
        self.join().stop()
        self.assertEqual([], self.timers.timers)

    def test_only_computes_are_checked(self) -> None:
        for binary in ('nova-conductor', 'nova-scheduler', 'nova-console'):
            self.join(binary).stop()
        self.assertEqual([], self.timers.timers)
        self.assertEqual([], self.marks())

    def test_only_schedulers_pass_over(self) -> None:
        for binary in ('nova-conductor', 'nova-compute'):
            self.join(binary)
            self.assertFalse(self.drivers[0].passes_over_unfit)
        self.join('nova-scheduler')
        self.assertTrue(self.drivers[0].passes_over_unfit)

    def test_unless_they_are_told_not_to(self) -> None:
        self.nova.conf.set_override('pass_over_unfit', False, 'servicegroup')
        self.join('nova-scheduler')
        self.assertFalse(self.drivers[0].passes_over_unfit)

    def test_without_a_name_of_novas_that_check_stands_aside(self) -> None:
        del sys.modules['nova.baserpc'].BaseRPCAPI
        self.join()
        (error,) = [
            each for each in self.log_lines('ERROR') if 'stands' in each
        ]
        self.assertEqual(
            'The check rpc stands aside: it has no '
            'nova.baserpc.BaseRPCAPI.ping',
            error,
        )
        self.count.side_effect = RuntimeError
        self.go(100)
        self.assertEqual([('degraded', 'virt')], self.marks())

    def test_without_a_virt_driver_that_check_stands_aside(self) -> None:
        with mock.patch.object(service.NovaService, 'manager', object()):
            self.join()
        self.assertIn('The check virt stands aside: ', self.log.output)

    def test_an_error_stops_no_service(self) -> None:
        with mock.patch.object(loading, 'load', side_effect=KeyError):
            self.join()
        self.assertIn(
            'nova-compute does not report its condition', self.log.output
        )
