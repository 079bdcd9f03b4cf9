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


"""What every driver must do, with real servers and real processes.

A driver's own module adds how its backend is started and what its promises
are in seconds.
"""

import datetime
import os
import pathlib
import signal
import socket
import time
from typing import Any
import uuid

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.drivers import base as base_driver
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import member
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import records
from nova_servicegroup.tests.harness import server

GROUP = 'compute'
START = 30.0
REPORT_INTERVAL = 1
SERVICE_DOWN_TIME = 4

CONFIG = """
[DEFAULT]
servicegroup_driver = {driver}
report_interval = {report_interval}
service_down_time = {down_time}
{default}
[servicegroup]
refresh_interval = {refresh}
hold_time = {hold}
"""


class Contract:
    """The tests; a module of a driver mixes them with a TestCase.

    Set ``driver``; ``down_within`` (seconds from SIGKILL to down at the
    latest), ``not_before`` (and at the earliest), ``leaves_within``
    (seconds from a clean stop) and ``knows_within`` (seconds in which a new
    backend knows all members). Give ``start_backend``, once for the class,
    and ``options``, the lines of the configuration.
    """

    driver: str
    down_within: float
    not_before: float = 0.0
    knows_within: float = 0.1
    leaves_within: float
    report_interval: float = REPORT_INTERVAL
    down_time: float = SERVICE_DOWN_TIME
    #: The refresh_interval and the hold_time.
    refresh: float = 0.2
    hold: float = 30
    root: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        cls.root = cls.make_root()  # type: ignore[attr-defined]
        cls.start_backend()

    @classmethod
    def start_backend(cls) -> None:
        raise NotImplementedError

    def options(self) -> tuple[str, str]:
        """Return lines for [DEFAULT], and further groups."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.unique = uuid.uuid4().hex[:12]
        self.directory = self.root / self.unique
        self.directory.mkdir()
        self.table = records.Records(self.directory / 'services')
        self.config = self.directory / 'nova.conf'
        self.config.write_text(self._config())
        self.members: list[member.Member] = []
        self.api = self.make_api()

    def _config(self) -> str:
        default, groups = self.options()
        return (
            CONFIG.format(
                driver=self.driver,
                report_interval=self.report_interval,
                down_time=self.down_time,
                refresh=self.refresh,
                hold=self.hold,
                default=default,
            )
            + groups
        )

    def run_options(self) -> dict[str, float]:
        """See base.TestCase."""
        return base.options_of(self.api.driver.conf)

    def make_api(self) -> api.API:
        """Return an observer of this process."""
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf(['--config-file', str(self.config)], project='nova')
        made = api.API(conf, self.make_driver(conf))
        made.give_table(self.table)
        self.addCleanup(made.close)  # type: ignore[attr-defined]
        return made

    def make_driver(self, conf: cfg.ConfigOpts) -> base_driver.Driver | None:
        """Return the driver, where this process cannot find it by its name."""
        return None

    def make_member(self, host: str = 'host1', **how: Any) -> member.Member:
        """Return a member process that has not been started."""
        made = member.Member(
            self.directory / f'member{len(self.members)}',
            self.config,
            host,
            records=self.directory / 'services',
            **how,
        )
        self.members.append(made)
        self.addCleanup(made.kill)  # type: ignore[attr-defined]
        self.table.create(host, made.group)
        return made

    def running(self, host: str = 'host1', **how: Any) -> member.Member:
        """Return a member process that is up."""
        made = self.make_member(host, **how)
        made.start()
        self.wait_up(host, made.group)
        return made

    def record(self, host: str, group: str = GROUP) -> dict[str, Any]:
        self.table.create(host, group)
        return self.table.get(host, group)

    def is_up(self, host: str = 'host1', group: str = GROUP) -> bool:
        return self.api.service_is_up(self.record(host, group))

    def wait_up(self, host: str = 'host1', group: str = GROUP) -> float:
        return process.wait_until(
            lambda: host in self.proven(group), START, 0.02, f'{host} is up'
        )

    def proven(self, group: str = GROUP) -> list[str]:
        """Return the hosts that are up, and not only presumed to be."""
        try:
            members = self.api.get_all(group)
        except exceptions.BackendError:
            return []
        return [
            each.host
            for each in members
            if each.up and not each.held and each.proof_age is not None
        ]

    def wait_down(self, host: str, within: float) -> float:
        return process.wait_until(
            lambda: not self.is_up(host), within, 0.02, f'{host} is down'
        )

    def watch(self, seconds: float, *hosts: str) -> None:
        """Fail if a host is seen down within so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for host in hosts:
                self.assertTrue(  # type: ignore[attr-defined]
                    self.is_up(host), f'{host} was seen down'
                )
            time.sleep(0.01)


class OneServer:
    """A backend that is one server of the harness, for a Contract."""

    server: Any

    @classmethod
    def make_server(cls) -> server.Server:
        """Return the server, which does not run."""
        raise NotImplementedError

    @classmethod
    def start_backend(cls) -> None:
        cls.server = cls.make_server()
        cls.addClassCleanup(cls.server.kill)  # type: ignore[attr-defined]
        cls.server.start()

    def lose_backend(self) -> None:
        self.server.kill()
        self.addCleanup(self.restore_backend)  # type: ignore[attr-defined]

    def restore_backend(self) -> None:
        self.server.thaw()
        if not self.server.running:
            self.server.start()


class SeveralServers:
    """A backend of several servers of the harness, for a Contract."""

    servers: Any

    @classmethod
    def make_servers(cls) -> Any:
        """Return the servers, none of which runs."""
        raise NotImplementedError

    @classmethod
    def start_backend(cls) -> None:
        cls.servers = cls.make_servers()
        cls.addClassCleanup(cls.servers.kill)  # type: ignore[attr-defined]
        cls.servers.start()

    def lose_backend(self) -> None:
        self.servers.kill()

    def restore_backend(self) -> None:
        self.servers.thaw()
        self.servers.start()


class MemberContract(Contract):
    """Joining, dying and leaving."""

    def test_who_never_joined_is_down(self) -> None:
        # A record that appears later may be of a first heartbeat.
        self.record('host1')
        self.running('host2')
        self.wait_down('host1', self.knows_within)

    def test_joined_is_up_and_killed_is_down(self) -> None:
        killed = self.running()
        killed.kill()
        seconds = self.wait_down('host1', self.down_within)
        self.measured('kill to down', seconds)
        self.assertGreaterEqual(seconds, self.not_before)

    def test_killed_and_restarted_is_up_again(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.down_within)
        killed.start()
        self.wait_up()
        self.watch(self.down_within, 'host1')

    def test_killed_and_restarted_at_once_is_never_down(self) -> None:
        killed = self.running()
        for _ in range(2):
            self.restart_at_once(killed)
            self.watch(self.down_within, 'host1')

    def restart_at_once(self, killed: member.Member) -> None:
        """Restart a member, which is never seen down.

        It may be where a busy machine takes longer than its membership lasts.
        """
        begun = time.monotonic()
        killed.kill()
        killed.start()
        while killed.pid not in killed.workers():
            if time.monotonic() - begun > self.not_before:
                self.wait_up()
                return
            self.watch(0.05, 'host1')

    def test_clean_stop_is_down_soon(self) -> None:
        stopped = self.running()
        stopped.stop()
        seconds = self.wait_down('host1', self.leaves_within)
        self.measured('end to down', seconds)

    def test_workers_of_one_host_are_one_member(self) -> None:
        both = self.running(workers=2)
        process.wait_until(lambda: len(both.workers()) == 2, START)
        # oslo.service would start a new one in its place.
        os.kill(both.pid, signal.SIGSTOP)
        os.kill(both.workers()[0], signal.SIGKILL)
        self.watch(self.down_within, 'host1')
        both.kill()
        self.wait_down('host1', self.down_within)

    def test_workers_stop_together(self) -> None:
        both = self.running(workers=2)
        both.stop()
        self.wait_down('host1', self.down_within)

    def test_groups_are_apart(self) -> None:
        compute = self.running('host1', group='compute')
        self.running('host1', group='conductor')
        compute.kill()
        self.wait_down('host1', self.down_within)
        self.assertTrue(self.is_up('host1', 'conductor'))

    def test_any_name_of_a_host(self) -> None:
        names = ['a b', 'hö/st', 'x' * 255, 'a@b', '%2F', '..']
        for name in names:
            self.make_member(name).start()
        for name in names:
            self.wait_up(name)
        hosts = [each.host for each in self.api.get_all(GROUP) if each.up]
        self.assertEqual(sorted(names), hosts)

    def test_an_eventlet_service_joins_too(self) -> None:
        killed = self.running(mode='eventlet')
        self.watch(2.0 * SERVICE_DOWN_TIME, 'host1')
        killed.kill()
        self.wait_down('host1', self.down_within)


class ObserverContract(Contract):
    """Asking."""

    def test_forced_down_wins(self) -> None:
        self.running()
        record = self.record('host1')
        self.assertTrue(self.api.service_is_up(record))
        record['forced_down'] = True
        self.assertFalse(self.api.service_is_up(record))

    def test_updated_time_is_the_last_proof_of_life(self) -> None:
        killed = self.running()
        process.wait_until(lambda: self._age('host1') < 2.0, START)
        while_alive = self._updated('host1')
        killed.kill()
        self.wait_down('host1', self.down_within)
        down = _now()
        # It does not go on while others are asked for.
        time.sleep(1.0)
        updated = self._updated('host1')
        self.assertLessEqual(while_alive, updated)
        self.assertLess(updated, down)

    def _age(self, host: str) -> float:
        updated = self._updated(host)
        if updated is None:
            return float('inf')
        return (_now() - updated).total_seconds()

    def _updated(self, host: str) -> datetime.datetime | None:
        return self.api.get_updated_time(self.record(host))

    def test_get_all_lists_the_members_of_a_group(self) -> None:
        self.running('host2')
        self.running('host1')
        self.running('host3', group='conductor')
        members = self.api.get_all(GROUP)
        self.assertEqual(
            ['host1', 'host2'], [each.host for each in members if each.up]
        )
        self.assertTrue(all(each.group == GROUP for each in members))

    def test_a_view_tells_since_when_and_where(self) -> None:
        begun = int(time.time())
        member = self.running('host1')
        view = self.api.view(GROUP, detailed=True)
        self.assertEqual(['host1'], [each.host for each in view.members])
        self.assertIsNone(view.error)
        self.assert_within(view.age, 5.0)
        self.assert_incarnation(member, begun, view.members[0].incarnations)

    def assert_incarnation(
        self, member: member.Member, begun: float, shown: tuple[Any, ...]
    ) -> None:
        """Check what is shown of the process of a member."""
        (one,) = shown
        self.assertGreaterEqual(one.since, begun)
        self.assertLessEqual(one.since, time.time())
        self.assertEqual(
            (socket.gethostname(), member.pid, self.driver),
            (one.machine, one.pid, one.reads),
        )

    def test_an_observer_that_was_built_before_a_fork(self) -> None:
        # A record that appears later may be of a first heartbeat.
        self.record('other')
        self.running()
        self.wait_down('other', self.knows_within)
        child = os.fork()
        if not child:
            os._exit(0 if self.is_up() and not self.is_up('other') else 1)
        status = os.waitpid(child, 0)[1]
        self.assertEqual(0, os.waitstatus_to_exitcode(status))
        self.watch(1.0, 'host1')

    def test_the_backend_answers_a_check(self) -> None:
        self.running()
        self.assertIn('answer', self.api.driver.check())


class OutageContract(Contract):
    """A backend that has a bad minute."""

    def lose_backend(self) -> None:
        """End the backend as a crash would."""
        raise NotImplementedError

    def restore_backend(self) -> None:
        """Start it again."""
        raise NotImplementedError

    def test_an_outage_makes_nobody_down(self) -> None:
        killed = self.running('host1')
        self.running('host2')
        self.lose_backend()
        self.watch(2.0 * SERVICE_DOWN_TIME, 'host1', 'host2')
        self.restore_backend()
        self.watch(2.0 * SERVICE_DOWN_TIME, 'host1', 'host2')
        self.wait_up('host1')
        self.wait_up('host2')
        killed.kill()
        self.wait_down('host1', self.hold + self.down_within)
        self.assertTrue(self.is_up('host2'))

    def test_get_all_lists_who_is_held(self) -> None:
        self.running('host1')
        self.lose_backend()
        self.watch(3.0, 'host1')
        self.assertEqual(
            [('host1', True)],
            [(each.host, each.up) for each in self.api.get_all(GROUP)],
        )

    def test_get_all_says_when_it_never_saw_anything(self) -> None:
        self.lose_backend()
        self.assertRaises(exceptions.BackendError, self.api.get_all, GROUP)

    def test_a_service_starts_while_the_backend_is_away(self) -> None:
        self.lose_backend()
        late = self.make_member()
        late.start()
        process.wait_until(
            lambda: 'joined' in late.log.read_text(), START, what='it starts'
        )
        self.restore_backend()
        self.wait_up()

    def test_a_clean_stop_ends_while_the_backend_is_away(self) -> None:
        stopped = self.running()
        self.lose_backend()
        begun = time.monotonic()
        stopped.stop()
        self.assert_within(time.monotonic() - begun, 5.0)
        self.restore_backend()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


class FunctionalTestCase(base.TestCase):
    """A functional test."""
