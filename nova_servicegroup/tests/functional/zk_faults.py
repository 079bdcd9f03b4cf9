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


"""What the tests of the zk driver under faults share."""

import os
import time
from typing import Any

from kazoo import client

from nova_servicegroup.drivers import _names
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import observer
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import zookeeper

#: The full counts and durations; else a shorter cousin of each test is run.
LONG = bool(os.environ.get('NOVA_SERVICEGROUP_LONG'))
#: What a busy machine adds to a bound.
NOISE = 0.5

_CONFIG = """
[DEFAULT]
servicegroup_driver = zk
report_interval = {report_interval}
service_down_time = {down_time}
[servicegroup]
refresh_interval = {refresh}
hold_time = {hold}
[zookeeper]
address = "{address}"
session_timeout = {session}
namespace = {namespace}
"""


class Faults(contract.Contract):
    """Real servers, members and observers, and what is expected of them.

    Times are in seconds: ``tick`` of the servers, ``session`` (timeout),
    ``refresh`` (interval) and ``hold`` (time).
    """

    driver = 'zk'
    size = 1
    tick = 0.5
    session = 2
    refresh = 0.2
    hold = 20
    down_time = 4
    report_interval = 2
    servers: zookeeper.Ensemble

    @classmethod
    def start_backend(cls) -> None:
        cls.servers = zookeeper.Ensemble(
            cls.root / 'zookeeper',
            cls.size,
            int(1000 * cls.tick),
            **cls.server_options(),
        )
        cls.addClassCleanup(cls.servers.kill)  # type: ignore[attr-defined]
        cls.servers.start()

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {}

    def setUp(self) -> None:
        super().setUp()
        self.observers: list[observer.Observer] = []
        self.addCleanup(self._restore)  # type: ignore[attr-defined]

    def _restore(self) -> None:
        self.servers.thaw()
        self.servers.start()

    def _config(self) -> str:
        return _CONFIG.format(
            report_interval=self.report_interval,
            down_time=self.down_time,
            refresh=self.refresh,
            hold=self.hold,
            address=self.servers.address,
            session=self.session,
            namespace=self.unique,
        )

    @property
    def dead_within(self) -> float:
        """The time from a SIGKILL to down, at the latest."""
        return self.session + 1.5 * self.tick + self.refresh

    @property
    def back_within(self) -> float:
        """The time in which a live member is back after its fault."""
        return self.session / 3 + 1 + self.refresh

    def members_of(self, *hosts: str, **how: Any) -> list[Any]:
        """Return running members, started side by side."""
        started = [self.make_member(host, **how) for host in hosts]
        for each in started:
            each.start()
        for each in started:
            self.wait_up(each.host, each.group)
        return started

    def hollow(self, *hosts: str) -> client.KazooClient:
        """Return the session of members that are nothing but their node."""
        session = client.KazooClient(self.servers.address, timeout=20)
        session.start()
        self.addCleanup(session.close)  # type: ignore[attr-defined]
        self.addCleanup(session.stop)  # type: ignore[attr-defined]
        for host in hosts:
            path = f'{self.path}/{_names.member_id(host).decode()}'
            session.create(path, ephemeral=True, makepath=True)
        return session

    @property
    def path(self) -> str:
        """Where ZooKeeper keeps the group."""
        return f'/{self.unique}/{contract.GROUP}'

    def observe(self, *hosts: str, **how: Any) -> observer.Observer:
        """Return an observer that sees all hosts up."""
        made = observer.Observer(
            self.directory / f'observer{len(self.observers)}',
            how.pop('config', self.config),
            hosts,
            **how,
        )
        self.observers.append(made)
        self.addCleanup(made.kill)  # type: ignore[attr-defined]
        made.start()
        made.wait('up', contract.START)
        return made

    def assert_never_down(self, fault: float, *hosts: str) -> None:
        """Check that no observer has seen a host down since the fault."""
        for each in self.observers:
            downs = [
                f'{host} at {at - fault:+.2f} s'
                for at, host in each.downs(fault, *hosts)
            ]
            if downs:
                raise AssertionError(
                    f'{each.directory.name} saw down, after the fault: '
                    f'{", ".join(downs)}; it ran for '
                    f'{time.monotonic() - fault:.2f} s'
                )

    def assert_calls_bounded(self, fault: float, bound: float = 2.0) -> None:
        """Check that no verdict took longer than read_timeout."""
        for each in self.observers:
            longest = each.longest_call(fault)
            self.measured(f'longest call of {each.directory.name}', longest)
            self.assertLess(  # type: ignore[attr-defined]
                longest, bound + NOISE
            )

    def wait_all_up(self, since: float, within: float) -> float:
        """Wait until every observer has fresh proof of all its hosts.

        :returns: the seconds since ``since``
        """
        last = max(
            each.wait('up', within + contract.START) for each in self.observers
        )
        self.assertLess(last - since, within)  # type: ignore[attr-defined]
        return max(0.0, last - since)

    def measured(self, what: str, *seconds: float) -> None:
        """Keep a figure; all of them go to a file that can be named."""
        text = ', '.join(f'{each:.2f}' for each in seconds)
        line = f'{self.id()}: {what}: {text} s\n'  # type: ignore
        self.addDetail(  # type: ignore[attr-defined]
            what, _text(line)
        )
        report = os.environ.get('NOVA_SERVICEGROUP_FIGURES')
        if report:
            with open(report, 'a') as file:
                file.write(line)


def _text(line: str) -> Any:
    from testtools import content

    return content.text_content(line)


def sleep_until(moment: float) -> None:
    """Sleep until a moment of time.monotonic()."""
    time.sleep(max(0.0, moment - time.monotonic()))


wait_until = process.wait_until
