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

"""The real masakari-hostmonitor with our driver, beside real members."""

import os
import signal
import time
from typing import Any, ClassVar

from nova_servicegroup import services
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_redis
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import agent
from nova_servicegroup.tests.harness import hostmonitor
from nova_servicegroup.tests.harness import masakari
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack.masakari import venv
from nova_servicegroup.tests.ministack import progress

#: The variable with the Python of another environment, with another release of
#: masakari-monitors.
_PYTHON = 'NOVA_SERVICEGROUP_MASAKARI_PYTHON'
HOST = 'host1'
HOSTS = [f'host{number}' for number in range(1, 5)]
#: Seconds from the end of a host to its notification: until it is silent, as
#: long again for others of its domain, and a time of its own. And seconds in
#: which a second one would have come.
NOTIFIED = 45.0
NO_MORE = 15.0
#: Seconds in which hostmonitor ends.
STOP = 5.0


class Setting:
    """Hosts, a stand-in for masakari, and hostmonitors."""

    agents = True
    python: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.python = os.environ.get(_PYTHON) or _install()

    def _config(self) -> str:
        """See Contract."""
        more = (
            f'[servicegroup]\nagents = {self.agents}\n'
            f'process_directory = {self.directory}\n'
        )
        text = super()._config().replace('[servicegroup]\n', more)
        return text.replace('[DEFAULT]\n', f'[DEFAULT]\nhost = {HOST}\n')

    def setUp(self) -> None:
        super().setUp()
        self.masakari = masakari.Masakari(
            HOSTS, lambda host: 'up' if self.is_up(host) else 'down'
        )
        self.addCleanup(self.masakari.close)
        self.hostmonitors: list[hostmonitor.Hostmonitor] = []

    def start_host(self) -> None:
        """Start a host with an agent, and the nova-compute of the others."""
        self.agent = agent.Agent(self.directory / 'agent', self.config)
        self.addCleanup(self.agent.kill)
        self.agent.start()
        for name in HOSTS[1:]:
            self.make_member(name).start()
        # Where no agent was ever seen, its absence is no evidence.
        self.make_member('host2', group=services.HOST_GROUP).start()
        self.member = self.running(HOST)
        for name in HOSTS:
            self.wait_up(name)
        for name in (HOST, 'host2'):
            self.wait_up(name, services.HOST_GROUP)

    def kill_host(self) -> None:
        for each in (self.member, self.agent):
            each.kill()

    def make_hostmonitor(self, options: str = '') -> hostmonitor.Hostmonitor:
        made = hostmonitor.Hostmonitor(
            self.directory / f'hostmonitor{len(self.hostmonitors)}',
            self.python,
            self.masakari.url,
            self.config,
            options,
        )
        self.hostmonitors.append(made)
        self.addCleanup(made.kill)
        return made

    def start_hostmonitor(self, options: str = '') -> hostmonitor.Hostmonitor:
        """Return one that watches, and has learned that members are alive."""
        made = self.make_hostmonitor(options)
        made.start()
        self.wait_for(
            lambda: made.count('Watching nova-compute'), 'it watches', 60
        )
        time.sleep(3.0)
        return made

    def wait_for(self, check: Any, what: str, timeout: float) -> float:
        try:
            return process.wait_until(check, timeout, 0.1, what)
        except TimeoutError:
            logs = '\n'.join(each.tail(60) for each in self.hostmonitors)
            raise AssertionError(
                f'{what}:\n{self.masakari.posted}\n{logs}'
            ) from None

    def stop_in_time(self, stopped: hostmonitor.Hostmonitor) -> None:
        begun = time.monotonic()
        stopped.signal(signal.SIGTERM)
        self.wait_for(lambda: not stopped.running, 'it ends', 2 * STOP)
        self.measured('stop', time.monotonic() - begun)
        self.assert_within(time.monotonic() - begun, STOP)

    def wait_notified(self, *hosts: str) -> None:
        seconds = self.wait_for(
            lambda: set(hosts) <= set(self.masakari.accepted()),
            f'notified: {hosts}',
            NOTIFIED,
        )
        self.measured('kill to notification', seconds)

    def assert_once(self, *hosts: str) -> None:
        """Check that masakari has just these notifications."""
        time.sleep(NO_MORE)
        self.assertEqual(sorted(hosts), sorted(self.masakari.accepted()))
        for each in self.hostmonitors:
            self.assertEqual(0, each.count('Traceback'), each.tail(60))
            self.assertEqual(0, each.count('hush-hush'))


class HostmonitorContract(Setting):
    """What hostmonitor does with every backend."""

    def test_a_host_dies_and_comes_back(self) -> None:
        self.start_host()
        first, _ = self.start_hostmonitor(), self.start_hostmonitor()
        self.kill_host()
        self.wait_notified(HOST)
        self.assert_once(HOST)
        self.assertEqual(
            {
                'event': 'STOPPED',
                'cluster_status': 'OFFLINE',
                'host_status': 'NORMAL',
            },
            self.masakari.posted[0].payload,
        )
        # One that is restarted asks, and does not repeat it.
        posted = list(self.masakari.posted)
        known = first.count('masakari knows')
        self.stop_in_time(first)
        first.start()
        self.wait_for(
            lambda: first.count('masakari knows') > known, 'asked', 90
        )
        self.assert_once(HOST)
        self.assertEqual(posted, self.masakari.posted)
        self.agent.start()
        self.member.start()
        self.wait_for(
            lambda: HOST in self.masakari.accepted('STARTED'), 'back', NOTIFIED
        )
        self.assert_once(HOST)

    def test_only_the_process_dies(self) -> None:
        self.start_host()
        self.start_hostmonitor()
        self.member.kill()
        self.wait_down(HOST, self.down_within)
        self.assert_once()
        self.agent.kill()
        self.wait_notified(HOST)

    def test_masakari_fails_for_a_while(self) -> None:
        self.start_host()
        made = self.start_hostmonitor()
        self.masakari.broken = 500
        self.kill_host()
        self.wait_for(
            lambda: len(self.masakari.posted) > 2, 'it is tried again', 60
        )
        self.masakari.broken = None
        self.wait_notified(HOST)
        self.assert_once(HOST)
        self.assertEqual(1, made.count('cannot be notified'), made.tail(60))

    def test_a_host_dies_while_hostmonitor_is_away(self) -> None:
        self.masakari.has_engine = True
        self.start_host()
        made = self.start_hostmonitor()
        made.stop()
        self.kill_host()
        self.wait_down(HOST, self.down_within + contract.START)
        made.start()
        self.wait_notified(HOST)
        made.stop()
        made.start()
        self.assert_once(HOST)

    def test_the_backend_stands_still(self) -> None:
        self.start_host()
        self.start_hostmonitor()
        self.addCleanup(self.server.thaw)
        self.server.freeze()
        time.sleep(self.hold / 2)
        self.server.thaw()
        self.assert_once()
        self.kill_host()
        self.wait_notified(HOST)

    def test_a_domain_is_lost(self) -> None:
        self.start_host()
        made = self.start_hostmonitor()
        for each in self.members:
            if each.host != 'host2':
                each.kill()
        self.agent.kill()
        self.wait_for(
            lambda: made.count('is lost: 3 silent hosts'),
            'the loss is logged',
            self.hold + NOTIFIED,
        )
        self.assert_once()
        self.assertEqual(1, made.count('is lost:'), made.tail(60))
        self.agent.start()
        self.member.start()
        self.wait_notified('host3', 'host4')
        self.assert_once('host3', 'host4')

    def test_an_operator_has_forced_it_down(self) -> None:
        self.masakari.forced.add(HOST)
        self.start_host()
        made = self.start_hostmonitor()
        self.kill_host()
        self.wait_for(
            lambda: made.count('has forced it down'), 'it is seen', NOTIFIED
        )
        self.assert_once()
        self.masakari.forced.clear()
        self.wait_notified(HOST)


class ZooKeeperTest(
    HostmonitorContract,
    test_zk.ZooKeeperBackend,
    contract.Contract,
    contract.FunctionalTestCase,
):
    pass


class RedisTest(
    HostmonitorContract,
    test_redis.RedisBackend,
    contract.Contract,
    contract.FunctionalTestCase,
):
    pass


class RefusalTest(
    Setting,
    test_redis.RedisBackend,
    contract.Contract,
    contract.FunctionalTestCase,
):
    agents = False

    def assert_refused(self, words: str, options: str = '') -> None:
        made = self.make_hostmonitor(options)
        made.start()
        self.wait_for(lambda: not made.running, 'it ends', 60)
        self.assertIn(words, made.log.read_text())

    def test_there_are_no_agents(self) -> None:
        self.assert_refused('[servicegroup] agents = False cannot be used')

    def test_a_driver_without_evidence(self) -> None:
        self.config.write_text('[DEFAULT]\nservicegroup_driver = db\n')
        self.assert_refused("[DEFAULT] servicegroup_driver = 'db' cannot")

    def test_no_file_of_nova(self) -> None:
        self.config.unlink()
        self.assert_refused('[servicegroup_masakari] nova_config_files')

    def test_a_word_that_is_no_choice(self) -> None:
        self.agents = True
        self.config.write_text(self._config())
        self.assert_refused(
            '[servicegroup_masakari] notify_on',
            'notify_on = everything\n',
        )


def _install() -> str:
    """Return the Python of an environment with masakari-monitors."""
    made = venv.Venv()
    made.ensure(progress.Progress())
    return made.program('python')
