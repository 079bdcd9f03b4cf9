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

"""The watchdog of a host: the device, the lease and the guard."""

import contextlib
import errno
import fcntl
import os
import pathlib
import stat
import struct
import time
from unittest import mock

import fixtures

from nova_servicegroup.agent import guarding
from nova_servicegroup.agent import ports
from nova_servicegroup.agent import watchdog
from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup import fencing
from nova_servicegroup.tests import base

SECONDS, TIMEOUT = 10.0, 4
STOP = 15.0
SUPPORT = 0x80285700


class DeviceTest(base.TestCase):
    """A pipe stands for the device, and its driver answers as a test says."""

    def setUp(self) -> None:
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.path = pathlib.Path(directory) / 'watchdog'
        os.mkfifo(self.path)
        self.reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reader)
        self.answers: dict[int, int | OSError] = {}
        self.says = 0x8180
        self.asked: list[tuple[int, int]] = []
        self.useFixture(fixtures.MockPatchObject(fcntl, 'ioctl', self._ioctl))
        self.device = watchdog.Device(str(self.path), TIMEOUT)

    def _ioctl(self, file: int, request: int, value: bytes) -> bytes:
        if request == SUPPORT:
            return struct.pack('II32s', self.says, 1, b'a driver')
        self.asked.append((request, struct.unpack('i', value)[0]))
        answer = self.answers[request]
        if isinstance(answer, OSError):
            raise answer
        return struct.pack('i', answer)

    def refuse(self, *requests: int) -> None:
        for each in requests:
            self.answers[each] = OSError(errno.EOPNOTSUPP, 'not supported')

    def written(self) -> bytes:
        return os.read(self.reader, 100)

    def open(self, claimed: bool = False) -> bool:
        return self.device.open(claimed)

    def of_a_driver(self) -> None:
        """Have the pipe pass for a device."""
        mode = os.stat_result((stat.S_IFCHR, *[0] * 9))
        self.useFixture(
            fixtures.MockPatchObject(os, 'fstat', return_value=mode)
        )

    def refused(self) -> str:
        """Open it; return why it cannot be used."""
        error = self.assertRaises(exceptions.ConfigurationError, self.open)
        self.assertEqual(b'V', self.written())
        return str(error)

    def test_it_is_fed_and_disarmed(self) -> None:
        self.answers[0xC0045706] = TIMEOUT
        self.assertTrue(self.open())
        self.assertEqual([(0xC0045706, TIMEOUT)], self.asked)
        # Some drivers arm it then, and not when it is opened.
        self.assertEqual(b'\0', self.written())
        self.device.feed()
        self.assertEqual(b'\0', self.written())
        self.assertTrue(self.device.disarm())
        self.assertEqual(b'V', self.written())
        self.device.feed()
        self.assertEqual(b'', self.written())

    def test_what_its_driver_says_of_itself(self) -> None:
        self.of_a_driver()
        self.answers[0xC0045706] = TIMEOUT
        # All but MAGICCLOSE; only a warning; of ipmi_watchdog.
        for says, accepted in (
            (0x8080, False),
            (0x8580, False),
            (0x8180, True),
            (0, True),
        ):
            self.says = says
            if accepted:
                self.assertTrue(self.open())
                self.device.disarm()
                self.written()
            else:
                self.assertIn('WDIOF_MAGICCLOSE', self.refused())

    def test_what_is_no_watchdog(self) -> None:
        file = self.path.with_name('file')
        file.touch()
        for path in ('/dev/null', str(file)):
            with mock.patch.object(
                fcntl, 'ioctl', side_effect=OSError(errno.ENOTTY, 'no')
            ):
                device = watchdog.Device(path, TIMEOUT)
                error = self.assertRaises(
                    exceptions.ConfigurationError, device.open, False
                )
            self.assertIn('[servicegroup_agent] watchdog', str(error))

    def test_a_driver_that_sets_fewer_seconds(self) -> None:
        self.answers[0xC0045706] = 3
        self.open()
        self.assertEqual(3, self.device.timeout)

    def test_a_driver_that_sets_more(self) -> None:
        self.answers[0xC0045706] = 60
        self.assertIn('60 s', self.refused())

    def test_a_driver_that_cannot_set_it(self) -> None:
        self.refuse(0xC0045706)
        self.answers[0x80045707] = 2
        self.open()
        self.assertEqual(2, self.device.timeout)

    def test_a_driver_that_tells_nothing(self) -> None:
        self.refuse(0xC0045706, 0x80045707)
        self.open()
        self.assertEqual(TIMEOUT, self.device.timeout)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_an_error_of_the_device(self) -> None:
        self.answers[0xC0045706] = OSError(errno.EIO, 'broken')
        for _ in range(2):
            self.assertFalse(self.open())
            self.assertEqual(b'V', self.written())
        self.assertEqual(1, len(self.log_lines('ERROR')))

    def test_an_error_while_others_count_on_it(self) -> None:
        """It stays armed, as a predecessor has left it."""
        self.answers[0xC0045706] = OSError(errno.EIO, 'broken')
        self.assertFalse(self.open(claimed=True))
        self.assertEqual(b'', self.written())

    def test_a_device_that_others_counted_on_is_never_disarmed(self) -> None:
        """Not even when the claim has expired: it was not withdrawn."""
        self.answers[0xC0045706] = OSError(errno.EIO, 'broken')
        self.assertFalse(self.open(claimed=True))
        self.assertFalse(self.open())
        self.assertEqual(b'', self.written())

    def test_while_it_is_opened_it_is_not_broken(self) -> None:
        self.answers[0xC0045706] = OSError(errno.EIO, 'broken')
        self.assertFalse(self.open())
        later = time.monotonic() + TIMEOUT + 1.0
        found = []

        def ioctl(*args: object) -> bytes:
            with mock.patch.object(time, 'monotonic', return_value=later):
                found.append(self.device.is_broken)
            return struct.pack('i', TIMEOUT)

        with mock.patch.object(fcntl, 'ioctl', ioctl):
            self.assertTrue(self.open())
        self.assertEqual([False], found)

    def test_another_program_has_it_open(self) -> None:
        busy = OSError(errno.EBUSY, 'busy')
        with mock.patch.object(os, 'open', side_effect=busy):
            error = self.assertRaises(exceptions.ConfigurationError, self.open)
        self.assertIn('no other program', str(error))

    def test_a_file_without_a_reader(self) -> None:
        path = self.path.with_name('other')
        os.mkfifo(path)
        self.assertFalse(watchdog.Device(str(path), TIMEOUT).open(False))

    def test_it_cannot_be_written_to(self) -> None:
        self.answers[0xC0045706] = TIMEOUT
        self.open()
        self.written()
        with mock.patch.object(os, 'write', side_effect=OSError(5, 'broken')):
            for _ in range(3):
                self.device.feed()
            self.assertFalse(self.device.is_broken)
            later = time.monotonic() + TIMEOUT + 1.0
            with mock.patch.object(time, 'monotonic', return_value=later):
                self.assertTrue(self.device.is_broken)
        self.assertEqual(1, len(self.log_lines('ERROR')))
        self.device.feed()
        self.assertEqual(b'\0', self.written())
        self.assertFalse(self.device.is_broken)

    def test_it_cannot_be_disarmed(self) -> None:
        self.answers[0xC0045706] = TIMEOUT
        self.open()
        with mock.patch.object(os, 'write', side_effect=OSError(5, 'broken')):
            self.assertFalse(self.device.disarm())


class LeaseTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.slept = 0.0
        self.clock = base.Clock()
        self.lease = watchdog.Lease(
            SECONDS, clock=self.clock, boot=lambda: self.clock() + self.slept
        )

    def test_nothing_is_proven(self) -> None:
        self.assertFalse(self.lease.permits())
        self.lease.note(None)
        self.assertFalse(self.lease.permits())

    def test_a_proof_lasts(self) -> None:
        self.lease.note(self.clock() - 1.0)
        self.clock.advance(SECONDS - 1.5)
        self.assertTrue(self.lease.permits())
        self.clock.advance(0.5)
        self.assertFalse(self.lease.permits())

    def test_an_older_proof_changes_nothing(self) -> None:
        self.lease.note(self.clock())
        self.lease.note(self.clock() - 5.0)
        self.clock.advance(SECONDS - 1.0)
        self.assertTrue(self.lease.permits())

    def test_a_suspended_host(self) -> None:
        self.lease.note(self.clock())
        self.slept = 3.0
        self.assertFalse(self.lease.permits())
        self.clock.advance(1.0)
        self.assertFalse(self.lease.permits())
        self.lease.note(self.clock())
        self.assertTrue(self.lease.permits())


class Ports:
    """The device and the memberships of a guard."""

    timeout = TIMEOUT

    def __init__(self, clock: base.Clock) -> None:
        self.clock = clock
        self.calls: list[str] = []
        self.agent: float | None = None
        self.claim: float | None = None
        self.claimed: bool | None = False
        self.opens = self.joins = True
        self.stops = False

    def __getattr__(self, name: str) -> object:
        return lambda: self.calls.append(name)

    def open(self, claimed: bool) -> bool:
        if self.opens:
            self.calls.append('open')
        return self.opens

    def join(self) -> None:
        self.calls.append('join')
        if not self.joins:
            raise exceptions.BackendError('backend', 'refused')

    def agent_proof(self) -> float | None:
        return self.agent

    def claim_proof(self) -> float | None:
        return self.claim

    def see_agent(self) -> ports.Seen:
        return ports.Seen(True, self.stops, self.clock())

    def see_claim(self) -> ports.Seen | None:
        if self.claimed is None:
            return None
        return ports.Seen(self.claimed, False, self.clock())


class GuardTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = base.Clock()
        self.ports = Ports(self.clock)
        self.guard = guarding.Guard(
            self.ports,
            watchdog.Lease(SECONDS, clock=self.clock, boot=self.clock),
            self.ports,
            ports.Times(TIMEOUT, STOP),
            clock=self.clock,
        )

    def go(self, seconds: float, *, proven: bool = True) -> list[str]:
        """Let it run; return the calls other than those that feed."""
        self.ports.calls.clear()
        for _ in range(int(2 * seconds)):
            self.clock.advance(0.5)
            if proven:
                self.ports.agent = self.clock()
                self.ports.claim = self.clock()
            with contextlib.suppress(exceptions.BackendError):
                self.guard.poll()
            self.guard.feed()
        return [each for each in self.ports.calls if each != 'feed']

    @property
    def feeds(self) -> int:
        return self.ports.calls.count('feed')

    def test_a_predecessor_must_have_reset_the_host(self) -> None:
        self.assertEqual([], self.go(TIMEOUT))
        self.assertEqual(0, self.feeds)
        self.assertEqual(['open', 'join'], self.go(2.0))

    def test_the_claim_of_a_predecessor_lives(self) -> None:
        self.ports.claimed = True
        self.assertEqual(['open', 'join'], self.go(0.5, proven=False))
        self.assertEqual([], self.go(SECONDS, proven=False))
        self.assertEqual(int(2 * SECONDS) - 1, self.feeds)
        self.go(SECONDS, proven=False)
        self.assertEqual(0, self.feeds)

    def test_the_backend_is_away_at_the_start(self) -> None:
        self.ports.claimed = None
        self.assertEqual([], self.go(99.0, proven=False))
        self.ports.claimed = False
        self.assertEqual([], self.go(99.0, proven=False))

    def test_the_backend_is_away_later(self) -> None:
        self.go(9.0)
        self.go(SECONDS - 0.5, proven=False)
        self.assertEqual(int(2 * SECONDS) - 1, self.feeds)
        self.go(9.0, proven=False)
        self.assertEqual(0, self.feeds)
        self.go(1.0)
        self.assertEqual(2, self.feeds)

    def test_a_clean_stop(self) -> None:
        self.go(9.0)
        self.ports.claimed = True
        self.guard.stop()
        self.assertEqual([], self.go(2.0))
        self.ports.stops = True
        self.assertEqual(['leave'], self.go(1.0))
        self.ports.claimed = False
        self.assertEqual([], self.go(fencing.NOTICE))
        self.assertFalse(self.guard.ended)
        self.assertEqual(['disarm'], self.go(2.0))
        self.assertTrue(self.guard.ended)

    def test_an_agent_that_is_lost_while_it_stops(self) -> None:
        self.go(9.0)
        self.guard.stop()
        self.ports.stops = True
        self.go(1.0)
        self.ports.agent = self.clock() - SECONDS
        self.assertEqual([], self.go(fencing.NOTICE + 2.0, proven=False))
        self.assertTrue(self.guard.ended)
        self.assertEqual(1, len(self.log_lines('ERROR')))

    def test_a_stop_that_is_not_confirmed(self) -> None:
        self.go(9.0)
        self.ports.claimed = True
        self.ports.stops = True
        self.guard.stop()
        self.assertEqual(['leave'], self.go(STOP + 1.0))
        self.assertIs(guarding.State.ENDED, self.guard.state)
        self.assertIn('IT WILL RESET', self.log_lines('ERROR')[0])

    def test_a_stop_that_cannot_begin(self) -> None:
        """Only a successor can withdraw the claim: it is not left."""
        self.go(9.0)
        self.ports.claimed = True
        self.guard.stop()
        self.assertEqual([], self.go(STOP + 1.0))
        self.assertIs(guarding.State.LOST, self.guard.state)
        self.assertIn('the agent is started', self.log_lines('ERROR')[0])

    def test_it_feeds_while_its_predecessor_shows_no_stop(self) -> None:
        self.go(9.0)
        self.ports.claimed = True
        self.guard.stop()
        self.go(STOP - 1.0)
        self.assertEqual(int(2 * STOP) - 2, self.feeds)

    def test_a_mark_that_is_lost_in_the_notice(self) -> None:
        self.go(9.0)
        self.guard.stop()
        self.ports.stops = True
        self.assertEqual(['leave'], self.go(fencing.NOTICE))
        self.ports.stops = False
        self.assertEqual([], self.go(1.0))
        self.ports.stops = True
        self.assertEqual([], self.go(fencing.NOTICE))
        self.assertEqual(['disarm'], self.go(2.0))

    def test_it_stops_before_it_was_armed(self) -> None:
        self.guard.stop()
        self.assertEqual([], self.go(9.0))
        self.assertTrue(self.guard.ended)

    def test_the_device_cannot_be_opened(self) -> None:
        self.ports.opens = False
        self.assertEqual([], self.go(9.0))
        self.ports.opens = True
        self.assertEqual(['open', 'join'], self.go(TIMEOUT + 1.5))

    def test_the_claim_cannot_be_joined_at_first(self) -> None:
        self.ports.joins = False
        self.go(9.0)
        self.ports.joins = True
        self.assertEqual(['join'], self.go(0.5))
        self.assertEqual([], self.go(3.0))

    def test_it_stops_after_a_predecessor_was_killed(self) -> None:
        self.go(1.0)
        self.guard.stop()
        self.go(1.0)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_a_driver_may_set_a_shorter_timeout(self) -> None:
        self.ports.timeout = 120
        self.assertGreater(1.0, self.guard.interval())
        self.go(9.0)
        self.ports.timeout = 15
        self.assertEqual(15 / 4, self.guard.interval())


class FencingTest(base.TestCase):
    """What the options say of the time to a reset."""

    def within(self, text: str) -> int:
        conf = self.make_conf(
            f'[DEFAULT]\n{text}[servicegroup_agent]\nwatchdog = /dev/x\n'
        )
        return fencing.reset_within(conf, api.API(conf).driver)

    def test_drivers(self) -> None:
        for name, options, seconds in (
            ('zk', '[zookeeper]\naddress = a\n', 40),
            ('etcd', '[etcd]\naddress = a\n', 40),
            ('redis', '[redis]\naddress = a\n', 40),
            ('mc', 'memcached_servers = a\n', 89),
        ):
            found = self.within(f'servicegroup_driver = {name}\n{options}')
            self.assertEqual(seconds, found, name)

    def test_backends_that_may_lose_what_they_confirmed(self) -> None:
        for text in (
            'servicegroup_driver = mc\nmemcached_servers = a,b\n',
            'servicegroup_driver = mc\n',
            'servicegroup_driver = db\n',
            'servicegroup_driver = redis\n[redis]\nsentinel_name = m\n'
            'sentinel_addresses = a\n',
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.within, text
            )
            self.assertIn('[servicegroup_agent] watchdog', str(error))
