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

"""Nova's API tells which services are alive."""

from collections.abc import Callable
import shlex
import subprocess
import time
from typing import Any

from oslo_utils import timeutils
from tempest import config
from tempest.lib import decorators
from tempest import test

CONF = config.CONF

#: Seconds between two questions.
_INTERVAL = 0.5


@decorators.serial
class LivenessTest(test.BaseTestCase):
    """The states of all services, while hosts and the backend come and go."""

    credentials = ('admin',)

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.service_available.nova:
            raise cls.skipException('Nova is not available')

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_admin.services_client

    @decorators.idempotent_id('6da3c40c-abfc-4f31-ba18-823b5f617ea9')
    def test_every_service_is_up(self) -> None:
        """Each enabled service is up, and was so a short time ago."""
        found = [each for each in self.services() if is_enabled(each)]
        self.assertNotEmpty([each for each in found if is_compute(each)])
        for each in found:
            self.assertEqual('up', each['state'], each)
            reported = timeutils.parse_isotime(each['updated_at'])
            age = timeutils.delta_seconds(
                timeutils.normalize_time(reported), timeutils.utcnow()
            )
            self.assertLess(age, CONF.servicegroup.down_within, each)

    @decorators.attr(type='slow')
    @decorators.idempotent_id('0252138b-0f9b-4717-b2ab-dfd125e3324d')
    def test_a_killed_host_is_down_and_returns(self) -> None:
        """Only the killed host is down; started again, it is up."""
        options = CONF.servicegroup
        kill, start = self.commands('kill_command', 'start_command')
        host = options.host or self.first_host()
        self.assertEqual('up', self.state(host), f'{host} is down already')
        self.addCleanup(self.wait_for, host, 'up', options.up_within)
        self.addCleanup(self.run_command, start, host)
        self.run_command(kill, host)
        self.wait_for(host, 'down', options.down_within)

    @decorators.attr(type='slow')
    @decorators.idempotent_id('671cf07c-44d3-4430-95e4-a48c05bc70a1')
    def test_nobody_is_down_while_the_backend_is_away(self) -> None:
        """No live host is down during an outage of the backend or after it."""
        options = CONF.servicegroup
        stop, start = self.commands(
            'stop_backend_command', 'start_backend_command'
        )
        try:
            self.run_command(stop)
            self.assert_nobody_down(options.outage)
        finally:
            self.run_command(start)
        self.assert_nobody_down(options.down_within)

    def commands(self, *names: str) -> list[str]:
        """Return the commands of options; skip the test if one is empty."""
        found = [CONF.servicegroup[name] for name in names]
        for name, command in zip(names, found, strict=True):
            if not command:
                raise self.skipException(f'[servicegroup] {name} is not set')
        return found

    def run_command(self, command: str, host: str = '') -> None:
        """Run a command of an option, and fail if it does."""
        done = subprocess.run(
            [part.replace('{host}', host) for part in shlex.split(command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CONF.servicegroup.command_timeout,
        )
        self.assertEqual(0, done.returncode, f'{command}: {done.stdout}')

    def services(self) -> list[dict[str, Any]]:
        """Return all services, disabled ones as well."""
        found: list[dict[str, Any]] = self.client.list_services()['services']
        return found

    def down(self, without: str = '') -> set[str]:
        """Return which enabled services are down.

        :param without: the host whose nova-compute may be
        """
        return {
            f'{each["binary"]} on {each["host"]}'
            for each in filter(is_enabled, self.services())
            if each['state'] != 'up'
            and not (is_compute(each) and each['host'] == without)
        }

    def first_host(self) -> str:
        """Return the enabled compute host that comes first by name."""
        return min(
            each['host']
            for each in filter(is_enabled, self.services())
            if is_compute(each)
        )

    def state(self, host: str) -> str:
        """Return the state of nova-compute on a host."""
        found = [
            str(each['state'])
            for each in self.services()
            if is_compute(each) and each['host'] == host
        ]
        self.assertNotEmpty(found, f'There is no nova-compute on {host}')
        return found[0]

    def wait_for(self, host: str, state: str, seconds: float) -> None:
        """Wait until nova-compute on a host has a state.

        Fails if another service is down meanwhile.
        """

        def has_changed() -> bool:
            self.assertEqual(set(), self.down(without=host))
            return self.state(host) == state

        self.assertTrue(
            wait(has_changed, seconds),
            f'{host} is not {state} after {seconds} s',
        )

    def assert_nobody_down(self, seconds: float) -> None:
        """Ask for some time, and fail if a service is down."""
        wait(lambda: self.assertEqual(set(), self.down()), seconds)


def is_enabled(service: dict[str, Any]) -> bool:
    """Return whether nobody has disabled a service."""
    return bool(service['status'] == 'enabled')


def is_compute(service: dict[str, Any]) -> bool:
    """Return whether a service is a nova-compute."""
    return bool(service['binary'] == 'nova-compute')


def wait(condition: Callable[[], object], seconds: float) -> bool:
    """Ask until the condition is true, or the time is over.

    :returns: whether it has become true
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(_INTERVAL)
    return False
