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


"""Members that report to several drivers at once."""

import time
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import migration
from nova_servicegroup import opts
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_db
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import member

DRIVERS: dict[str, Any] = {
    'zk': test_zk.ZooKeeperBackend,
    'mc': test_mc.MemcachedBackend,
    'db': test_db.DatabaseBackend,
}


class SecondaryDrivers(
    test_zk.ZooKeeperBackend, test_mc.MemcachedBackend, contract.Contract
):
    """Members ask by zk, and report to every other driver, too."""

    driver = 'zk'
    stay = ''

    @classmethod
    def start_backend(cls) -> None:
        for backend in DRIVERS.values():
            backend.start_backend.__func__(cls)

    def options(self) -> tuple[str, str]:
        chosen = [each.options(self) for each in DRIVERS.values()]
        return (
            '\n'.join(default for default, _ in chosen),
            f'also_report_to = mc, db\n{self.stay}'
            + ''.join(groups for _, groups in chosen),
        )

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.restore_backend)  # type: ignore[attr-defined]
        self.apis = {name: self.observer(name) for name in DRIVERS}

    def observer(self, driver: str) -> api.API:
        """Return an observer that asks by another driver."""
        self.driver, own = driver, self.driver
        self.config.write_text(self._config())
        made = self.make_api()
        self.driver = own
        self.config.write_text(self._config())
        return made

    def restore_backend(self) -> None:
        for backend in (test_zk.ZooKeeperBackend, test_mc.MemcachedBackend):
            backend.restore_backend(self)

    def wait_for(self, state: bool, host: str, *names: str) -> None:
        """Wait until a host is up, or down, by every driver named."""
        for name in names or DRIVERS:
            self.api = self.apis[name]
            if state:
                self.wait_up(host)
            else:
                self.wait_down(host, DRIVERS[name].down_within)

    def joined(self, host: str) -> member.Member:
        made = self.make_member(host)
        made.start()
        self.wait_for(True, host)
        return made

    def watch_all(self, seconds: float, host: str) -> None:
        """Fail if a host is seen down by any driver."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, each in self.apis.items():
                self.assertTrue(  # type: ignore[attr-defined]
                    each.service_is_up(self.record(host)),
                    f'{host} was seen down by {name}',
                )
            time.sleep(0.02)


class FurtherTest(SecondaryDrivers, contract.FunctionalTestCase):
    def test_a_kill_is_found_by_every_driver(self) -> None:
        killed = self.joined('host1')
        self.check_doctor()
        killed.kill()
        self.wait_for(False, 'host1')

    def check_doctor(self) -> None:
        """Check that it sees who does not report to both."""
        step, zk, mc = self.examine()
        self.assertIn('1 of 1 services that report to zk report to mc', step)
        self.assertIn('It is safe to switch', step)
        self.assertIn('1 of 1 services read from zk: host1', zk)
        self.assertIn('It is safe to stop reporting to it', mc)

        text = self.config.read_text()
        self.config.write_text(text.replace('also_report_to = mc, db', ''))
        self.make_member('host2').start()
        self.wait_for(True, 'host2', 'zk')
        self.config.write_text(text)
        self.assertIn('not safe to switch', self.examine()[0])
        self.assertIn('missing there: host2', self.examine()[0])

    def test_a_clean_stop_leaves_every_driver(self) -> None:
        stopped = self.joined('host1')
        begun = time.monotonic()
        stopped.stop()
        for name in ('zk', 'mc'):
            self.api = self.apis[name]
            self.wait_down('host1', DRIVERS[name].leaves_within)
        self.assert_within(
            time.monotonic() - begun, contract.SERVICE_DOWN_TIME
        )

    def test_a_further_backend_that_is_away_delays_nobody(self) -> None:
        test_mc.MemcachedBackend.lose_backend(self)
        self.make_member('host1').start()
        self.wait_for(True, 'host1', 'zk', 'db')
        self.restore_backend()
        self.wait_for(True, 'host1', 'mc')

    def test_nor_does_its_own_that_is_away(self) -> None:
        test_zk.ZooKeeperBackend.lose_backend(self)
        self.make_member('host1').start()
        self.wait_for(True, 'host1', 'mc', 'db')
        self.restore_backend()
        self.wait_for(True, 'host1', 'zk')

    def examine(self) -> list[str]:
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf(['--config-file', str(self.config)], project='nova')
        conf.set_override('also_report_to', ['mc'], 'servicegroup')
        # The first look of a new observer must do.
        subject = finding.Subject(conf, None, self.observer, databases=dict)
        return [each.what for each in migration.check(subject)]


class StayTest(SecondaryDrivers, contract.FunctionalTestCase):
    """leave_on_stop = false."""

    stay = 'leave_on_stop = false\n'

    def test_one_that_is_stopped_is_down_as_if_it_was_killed(self) -> None:
        self.joined('host1').stop()
        self.wait_for(False, 'host1')


class RestartTest(SecondaryDrivers, contract.FunctionalTestCase):
    """A restart that is shorter than the memberships last."""

    stay = 'leave_on_stop = false\n'
    expiry = 10

    def _config(self) -> str:
        return (
            super()
            ._config()
            .replace(
                f'service_down_time = {contract.SERVICE_DOWN_TIME}',
                f'service_down_time = {self.expiry}',
            )
            .replace(
                f'session_timeout = {test_zk.SESSION_TIMEOUT}',
                f'session_timeout = {self.expiry}',
            )
        )

    def test_a_clean_restart_is_seen_by_no_driver(self) -> None:
        restarted = self.joined('host1')
        restarted.stop()
        self.assertFalse(restarted.running)
        restarted.start()
        self.watch_all(self.expiry + 2.0, 'host1')
        self.wait_for(True, 'host1')
