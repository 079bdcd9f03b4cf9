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

import os
import signal
import socket
import time
import types
from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_service import service as oslo_service

from nova_servicegroup.cmd import _daemon
from nova_servicegroup import supervision
from nova_servicegroup.tests import base


class Part:
    def __init__(self, name: str) -> None:
        self.name = name
        self.problem: str | None = None
        self.missing: str | None = None

    def stuck(self) -> str | None:
        return self.problem

    def unready(self) -> str | None:
        return self.missing


class ReportsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 's')
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.systemd.close)
        self.systemd.bind(path)
        self.systemd.settimeout(5.0)
        self.useFixture(fixtures.EnvironmentVariable('NOTIFY_SOCKET', path))
        self.parts = [Part('compute'), Part('election')]

    def reported(self, reports: supervision.Reports) -> list[str]:
        """Return what one report says."""
        reports.report()
        reports._notifier.notify('END')
        found = []
        while not found or found[-1] != 'END':
            found.append(self.systemd.recv(4096).decode())
        return found[:-1]

    def test_one_that_is_well_is_alive(self) -> None:
        self.assertEqual(
            ['STATUS=compute: ready; election: ready', 'WATCHDOG=1'],
            self.reported(supervision.Reports(self.parts)),
        )

    def test_one_that_is_blind_is_alive(self) -> None:
        self.parts[0].missing = 'blind for 5 s: h\xf6st \u2603'
        self.assertEqual(
            [
                'STATUS=compute: blind for 5 s: h\\xf6st \\u2603; '
                'election: ready',
                'WATCHDOG=1',
            ],
            self.reported(supervision.Reports(self.parts)),
        )

    def test_one_that_is_stuck_says_why_and_is_not_alive(self) -> None:
        self.parts[0].problem = 'the thread has hung'
        (status,) = self.reported(supervision.Reports(self.parts))
        self.assertIn('compute: the thread has hung;', status)

    def test_a_long_status_is_cut(self) -> None:
        self.parts[0].missing = 'x' * 9999
        status, _ = self.reported(supervision.Reports(self.parts))
        self.assertEqual(len('STATUS=') + 500, len(status))

    def test_it_reports_three_times_while_systemd_waits(self) -> None:
        for waits, interval in (
            ('9000000', 3.0),
            ('0', 10.0),
            ('', 10.0),
            (None, 10.0),
        ):
            with fixtures.EnvironmentVariable('WATCHDOG_USEC', waits):
                made = supervision.Reports([])
            self.assertEqual(interval, made.interval)

    def test_the_first_report_is_that_it_is_ready(self) -> None:
        supervision.start(self.parts)
        self.assertEqual(b'READY=1', self.systemd.recv(4096))
        self.assertIn(b'compute: ready', self.systemd.recv(4096))

    def test_until_it_has_started_it_is_not_ready(self) -> None:
        started = iter((False, True))
        with mock.patch.object(time, 'sleep'):
            supervision.start(self.parts, lambda: next(started))
            found = [self.systemd.recv(4096) for _ in range(3)]
        self.assertIn(b'compute: ready', found[0])
        self.assertEqual([b'WATCHDOG=1', b'READY=1'], found[1:])

    def test_without_systemd_nobody_is_told(self) -> None:
        with fixtures.EnvironmentVariable('NOTIFY_SOCKET', None):
            supervision.start(self.parts)
            supervision.Reports(self.parts).report()
        self.systemd.setblocking(False)
        self.assertRaises(BlockingIOError, self.systemd.recv, 4096)


class ServeTest(base.TestCase):
    def test_one_that_is_ready_survives_a_sighup(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        found = []

        def started(*args: object) -> None:
            found.append(signal.getsignal(signal.SIGHUP))

        with (
            mock.patch.object(supervision, 'start', started),
            mock.patch.object(oslo_service, 'ProcessLauncher'),
        ):
            _daemon.serve(self.make_conf(), types.SimpleNamespace(parts=list))
        self.assertEqual([signal.SIG_IGN], found)

    def test_no_alarm_ends_it_while_it_stops(self) -> None:
        conf = self.make_conf()

        def launcher(conf: cfg.ConfigOpts, **options: object) -> mock.Mock:
            option = cfg.IntOpt('graceful_shutdown_timeout', default=60)
            conf.register_opt(option)
            return mock.Mock()

        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        with (
            mock.patch.object(supervision, 'start'),
            mock.patch.object(oslo_service, 'ProcessLauncher', launcher),
        ):
            _daemon.serve(conf, types.SimpleNamespace(parts=list))
        self.assertEqual(0, conf.graceful_shutdown_timeout)
