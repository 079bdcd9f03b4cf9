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

"""The tests for Tempest fail on a cloud that is wrong, and mend what they did.

The cloud is a stand-in: a table of services that commands change.
"""

from collections.abc import Callable
import copy
from typing import Any, ClassVar
import unittest

from oslo_utils import timeutils
from tempest import config

from nova_servicegroup.tests import base
from nova_servicegroup.tests.tempest.api import test_liveness

CONF = config.CONF
_KILLED = 'test_a_killed_host_is_down_and_returns'
_AWAY = 'test_nobody_is_down_while_the_backend_is_away'


class Cloud:
    """A cloud with one controller and two computes, one of both kinds.

    :ivar commands: the effects of commands, by name
    :ivar done: the commands that were run
    """

    def __init__(self) -> None:
        self.table = {
            ('nova-compute', 'compute1'): self.service('compute1'),
            ('nova-compute', 'compute2'): self.service('compute2'),
            ('nova-scheduler', 'compute1'): self.service(
                'compute1', 'nova-scheduler'
            ),
        }
        self.commands: dict[str, Callable[[], object]] = {
            'kill': lambda: self.set('down', 'compute1'),
            'start': self.start,
            'stop': lambda: None,
            'back': lambda: None,
        }
        self.done: list[str] = []

    @staticmethod
    def service(host: str, binary: str = 'nova-compute') -> dict[str, str]:
        return {
            'binary': binary,
            'host': host,
            'state': 'up',
            'status': 'enabled',
            'updated_at': timeutils.utcnow().isoformat(),
        }

    def set(self, state: str, host: str, binary: str = 'nova-compute') -> None:
        """Change the state of a service."""
        self.table[binary, host]['state'] = state

    def start(self) -> None:
        """Have all services up."""
        for binary, host in self.table:
            self.set('up', host, binary)

    def list_services(self) -> dict[str, Any]:
        """Answer as Tempest's client does."""
        return {'services': copy.deepcopy([*self.table.values()])}

    def run(self, command: str, host: str = '') -> None:
        """Run a command in place of LivenessTest.run_command."""
        self.done.append(command)
        self.commands[command]()


class PluginTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cloud = Cloud()
        for name, value in (
            *(('kill_command', 'kill'), ('start_command', 'start')),
            *(('stop_backend_command', 'stop'), ('host', 'compute1')),
            *(('start_backend_command', 'back'), ('outage', 1)),
            *(('down_within', 1), ('up_within', 1)),
        ):
            CONF.set_override(name, value, 'servicegroup')
            self.addCleanup(CONF.clear_override, name, 'servicegroup')

    def run_test(self, name: str) -> unittest.TestResult:
        """Run one of the plugin's tests on the cloud."""
        cloud = self.cloud

        class Liveness(test_liveness.LivenessTest):
            credentials: ClassVar[Any] = ()
            client = cloud

            @classmethod
            def setup_clients(cls) -> None:
                """The client is there."""

            def run_command(self, command: str, host: str = '') -> None:
                cloud.run(command, host)

        result = unittest.TestResult()
        unittest.TestSuite([Liveness(name)]).run(result)
        self.assertEqual(1, result.testsRun)
        return result

    def assert_fails(self, name: str, text: str) -> None:
        result = self.run_test(name)
        found = [shown for _, shown in (*result.failures, *result.errors)]
        self.assertEqual(1, len(found), found)
        self.assertIn(text, found[0])

    def assert_passes(self, name: str) -> None:
        result = self.run_test(name)
        self.assertTrue(result.wasSuccessful(), result)
        self.assertEqual([], result.skipped)

    def test_a_cloud_that_is_right(self) -> None:
        for name in _KILLED, _AWAY:
            self.assert_passes(name)
        self.assertEqual(['kill', 'start', 'stop', 'back'], self.cloud.done)

    def test_a_host_that_is_not_found_dead(self) -> None:
        self.cloud.commands['kill'] = lambda: None
        self.assert_fails(_KILLED, 'compute1 is not down after 1 s')
        self.assertEqual(['kill', 'start'], self.cloud.done)

    def test_another_service_of_the_host_is_down_instead(self) -> None:
        self.cloud.commands['kill'] = lambda: self.cloud.set(
            'down', 'compute1', 'nova-scheduler'
        )
        self.assert_fails(_KILLED, 'nova-scheduler on compute1')

    def test_another_service_of_the_host_is_down_too(self) -> None:
        def kill() -> None:
            for binary in 'nova-compute', 'nova-scheduler':
                self.cloud.set('down', 'compute1', binary)

        self.cloud.commands['kill'] = kill
        self.assert_fails(_KILLED, 'nova-scheduler on compute1')

    def test_a_host_that_was_down_before(self) -> None:
        self.cloud.set('down', 'compute1')
        self.assert_fails(_KILLED, 'compute1 is down already')
        self.assertEqual([], self.cloud.done)

    def test_a_host_that_does_not_exist(self) -> None:
        CONF.set_override('host', 'compute9', 'servicegroup')
        self.assert_fails(_KILLED, 'There is no nova-compute on compute9')
        self.assertEqual([], self.cloud.done)

    def test_a_host_that_is_disabled(self) -> None:
        """An operator disables it, so that it gets no servers."""
        self.cloud.table['nova-compute', 'compute1']['status'] = 'disabled'
        self.assert_passes(_KILLED)

    def test_a_host_that_does_not_return(self) -> None:
        self.cloud.table['nova-compute', 'compute1']['status'] = 'disabled'
        self.cloud.commands['start'] = lambda: None
        self.assert_fails(_KILLED, 'compute1 is not up after 1 s')

    def test_a_backend_that_stops_by_half_is_started(self) -> None:
        def stop() -> None:
            raise TimeoutError('the second of three servers')

        self.cloud.commands['stop'] = stop
        self.assert_fails(_AWAY, 'the second of three servers')
        self.assertEqual(['stop', 'back'], self.cloud.done)

    def test_a_service_that_is_down_during_the_outage(self) -> None:
        self.cloud.commands['stop'] = lambda: self.cloud.set(
            'down', 'compute2'
        )
        self.assert_fails(_AWAY, 'nova-compute on compute2')
        self.assertEqual(['stop', 'back'], self.cloud.done)
