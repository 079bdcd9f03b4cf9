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

"""The checks of a service: when they run, and what comes of it."""

from collections.abc import Callable
import configparser
import contextlib
import errno
import importlib
import os
import pathlib
import sys
from typing import Any
from unittest import mock

import fixtures

import nova_servicegroup
from nova_servicegroup.checks import base as base_check
from nova_servicegroup.checks import loading
from nova_servicegroup.checks import runner
from nova_servicegroup.checks import storage
from nova_servicegroup import condition
from nova_servicegroup.plugin import checks
from nova_servicegroup import process
from nova_servicegroup.tests import base

INTERVAL = 30.0
#: A time of day at which no check is due.
WALL = 1_800_000_001.0


class Check(base_check.Check):
    """A check that succeeds, raises or hangs, as a test sets."""

    def __init__(self, world: 'World', least_interval: float = 0.0) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]
        self.least_interval = least_interval
        self.error: BaseException | None = None
        self.runs: list[float] = []
        self._world = world

    def check(self) -> None:
        self.runs.append(self._world.wall())
        if self.error is not None:
            raise self.error


class World:
    """Clocks, threads that end on time, and the reported conditions.

    :ivar takes: seconds that a check takes; None: it hangs
    """

    def __init__(self, wall: float = WALL, chance: float = 0.0) -> None:
        self.chance = chance
        self.clock = base.Clock()
        self.wall = base.Clock(wall)
        self.takes: float | None = 0.0
        self.reported: list[condition.Condition | None] = []
        self.checks: dict[str, Check] = {}
        self.native: list[bool] = []
        self.hung: list[Callable[[], None]] = []
        self._pending: list[tuple[float, Callable[[], None]]] = []

    def add(self, name: str, least_interval: float = 0.0) -> Check:
        self.checks[name] = Check(self, least_interval)
        return self.checks[name]

    def begin(self, interval: float = INTERVAL) -> runner.Runner:
        self.runner = runner.Runner(
            self.checks,
            interval,
            self.reported.append,
            clock=self.clock,
            wall=self.wall,
            chance=lambda: self.chance,
            start=self.start,
        )
        return self.runner

    def start(self, call: Callable[[], None], name: str, native: bool) -> None:
        self.native.append(native)
        if self.takes is None:
            self.hung.append(call)
        else:
            self._pending.append((self.clock() + self.takes, call))

    def go(self, seconds: float) -> None:
        """Let time pass, and the timer tick."""
        end = self.clock() + seconds
        while self.clock() < end:
            for each in (self.clock, self.wall):
                each.advance(runner.STEP)
            self._end_threads()
            self.runner.tick()
            self._end_threads()

    def _end_threads(self) -> None:
        for ends, call in list(self._pending):
            if ends <= self.clock():
                self._pending.remove((ends, call))
                with contextlib.suppress(BaseException):
                    call()

    def until(self, reported: int, most: float = 300.0) -> float:
        """Return the seconds until so many conditions were reported."""
        begun = self.clock()
        while len(self.reported) < reported and self.clock() < begun + most:
            self.go(runner.STEP)
        return self.clock() - begun


class RunnerTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.world = World()
        self.check = self.world.add('virt')
        self.world.begin()

    def fail(self, error: BaseException | None = None) -> None:
        self.check.error = error or OSError('it is broken')

    def test_what_succeeds_says_nothing(self) -> None:
        self.world.go(300)
        self.assertEqual([], self.world.reported)
        self.assertEqual('', self.log.output)

    def test_all_members_check_at_the_same_times(self) -> None:
        other = World(WALL + 17)
        there = other.add('virt')
        other.begin()
        self.world.go(120)
        other.go(103)
        self.assertEqual(self.check.runs, there.runs)
        self.assertEqual([0.0] * 4, [each % INTERVAL for each in there.runs])

    def test_but_not_at_the_very_same(self) -> None:
        other = World(chance=1.0)
        there = other.add('virt')
        other.begin()
        self.world.go(120)
        other.go(120)
        early = {
            ours - theirs
            for ours, theirs in zip(self.check.runs, there.runs, strict=True)
        }
        self.assertEqual({runner.SPREAD}, early)

    def test_a_clock_that_is_set_back_stops_nothing(self) -> None:
        self.world.go(60)
        self.world.wall.advance(-7200)
        self.world.go(120)
        self.assertGreater(len(self.check.runs), 4)

    def test_one_failure_does_not_count(self) -> None:
        self.fail()
        self.world.go(INTERVAL)
        self.check.error = None
        self.world.go(300)
        self.assertEqual([], self.world.reported)
        self.assertEqual('', self.log.output)

    def test_two_count_and_one_success_clears_them(self) -> None:
        self.fail()
        self.world.go(300)
        self.assertEqual(
            [('degraded', 'virt', self.check.runs[0] + 1)],
            [tuple(each) for each in self.world.reported],
        )
        (warning,) = self.log_lines('WARNING')
        self.assertIn('virt has failed twice: it is broken', warning)
        self.check.error = None
        self.assertLessEqual(self.world.until(2), INTERVAL + runner.STEP)
        self.assertIsNone(self.world.reported[-1])
        self.assertIn('The check virt succeeds again.', self.log_lines('INFO'))

    def test_a_success_in_between_begins_anew(self) -> None:
        for _ in range(5):
            self.fail()
            self.world.go(INTERVAL)
            self.check.error = None
            self.world.go(INTERVAL)
        self.assertEqual([], self.world.reported)

    def test_the_first_by_name_is_told(self) -> None:
        world = World()
        one, two = world.add('b'), world.add('a')
        world.begin()
        one.error = OSError('first')
        world.until(1)
        two.error = OSError('second')
        world.until(2)
        two.error = None
        world.until(3)
        one.error = None
        world.until(4)
        self.assertEqual(
            ['b', 'a', 'b', None],
            [each and each.reason for each in world.reported],
        )
        self.assertEqual(world.reported[0], world.reported[2])

    def test_one_that_hangs_has_failed_and_is_not_started_again(self) -> None:
        self.world.takes = None
        taken = self.world.until(1)
        self.assertLessEqual(taken, 2 * INTERVAL)
        self.world.go(3000)
        self.assertEqual(1, len(self.world.hung))
        waited = f'no answer for {runner.TIMEOUT + runner.REPEAT:.0f} s'
        self.assertIn(waited, self.log_lines('WARNING')[0])
        self.assertEqual(1, len(self.world.reported))

    def test_one_that_hung_runs_anew_as_soon_as_it_ends(self) -> None:
        self.world.takes = None
        self.world.go(305)
        self.world.takes = 0.0
        self.world.hung.pop()()
        self.assertLessEqual(self.world.until(2), 3 * runner.STEP)
        self.assertIsNone(self.world.reported[-1])
        self.assertEqual(2, len(self.check.runs))

    def test_the_end_of_one_that_hung_is_no_success(self) -> None:
        self.world.takes = runner.TIMEOUT + 2
        self.world.go(300)
        self.assertEqual(1, len(self.world.reported))

    def test_one_that_is_slow_runs_no_more_often_for_it(self) -> None:
        for takes in (runner.TIMEOUT + 1, INTERVAL / 2, INTERVAL - 1):
            world = World()
            check = world.add('x')
            world.takes = takes
            world.begin()
            world.go(600)
            # One more, since the first failure is repeated.
            self.assertLessEqual(len(check.runs), 600 / INTERVAL + 1, takes)

    def test_slow_but_in_time_is_a_success(self) -> None:
        self.world.takes = runner.TIMEOUT - 1
        self.world.go(300)
        self.assertEqual([], self.world.reported)

    def test_anything_raised_is_a_failure(self) -> None:
        for error in (SystemExit(), KeyError('x'), ValueError()):
            world = World()
            check = world.add('x')
            world.begin()
            check.error = error
            world.go(100)
            self.assertEqual(1, len(world.reported), error)

    def test_what_ends_its_thread_is_logged(self) -> None:
        self.fail(SystemExit('gone'))
        self.world.go(100)
        self.assertIn('twice: gone', self.log_lines('WARNING')[0])

    def test_control_characters_are_not_logged(self) -> None:
        self.fail(OSError('a\x1bb\nc'))
        self.world.go(100)
        self.assertNotIn('\x1b', self.log.output)

    def test_threads_that_cannot_be_started(self) -> None:
        with mock.patch.object(
            self.world, 'start', side_effect=RuntimeError("can't start")
        ):
            self.world.begin()
            self.world.go(100)
        self.assertEqual(1, len(self.world.reported))
        self.world.go(INTERVAL)

    def test_one_that_blocks_gets_a_native_thread(self) -> None:
        self.check.blocks = True
        self.world.go(INTERVAL)
        self.assertEqual([True], self.world.native)

    def test_draining_wins_and_ends_the_checks(self) -> None:
        self.fail()
        self.world.until(1)
        self.world.runner.drain()
        self.world.runner.drain()
        self.check.error = None
        runs = len(self.check.runs)
        self.world.go(300)
        self.assertEqual(
            ['degraded', 'draining'],
            [each.state for each in self.world.reported if each],
        )
        self.assertEqual(
            (condition.STOPPING, 2, runs),
            (
                self.world.reported[-1].reason,
                len(self.world.reported),
                len(self.check.runs),
            ),
        )

    def test_nothing_to_check(self) -> None:
        world = World()
        world.begin().tick()
        world.runner.drain()
        self.assertEqual(
            [condition.Condition('draining', 'stopping', WALL)], world.reported
        )

    def test_what_is_told_can_be_a_mark(self) -> None:
        self.fail()
        self.world.until(1)
        mark = condition.encode(self.world.reported[0])
        self.assertTrue(mark.startswith('degraded:virt:'))


class PaceTest(base.TestCase):
    """How soon a fault is known, and what that costs."""

    def known(self, least: float, takes: float | None) -> float:
        """Return the seconds from fault to mark, whenever it begins."""
        worst = 0.0
        for begin in range(int(max(least, INTERVAL))):
            world = World()
            check = world.add('x', least)
            world.begin()
            world.go(200 + begin)
            world.takes, check.error = takes, OSError('gone')
            worst = max(worst, world.until(1))
        return worst

    def test_each_fault_is_known_in_time(self) -> None:
        for least, takes in (
            (0.0, 0.0),
            (0.0, runner.TIMEOUT - 1),
            (0.0, None),
            (checks.RPCCheck.least_interval, 0.0),
            (checks.RPCCheck.least_interval, checks.PING_TIMEOUT),
            (checks.RPCCheck.least_interval, None),
        ):
            worst = self.known(least, takes)
            self.measured(f'at least {least}, takes {takes}', worst)
            # A second to say it, and a refresh_interval to see it.
            self.assertLessEqual(worst + 2, 2 * INTERVAL + 15)

    def test_pings_take_a_fifth_of_stocks_messages(self) -> None:
        world = World()
        check = world.add('rpc', checks.RPCCheck.least_interval)
        world.begin()
        world.go(3600)
        # A request and an answer each.
        ours, stock = 2 * len(check.runs) / 60, 2 * 60 / 10
        self.measured('messages a minute', ours, stock, unit='1/min')
        self.assertLessEqual(ours, 0.2 * stock)


class LoadingTest(base.TestCase):
    def load(self, names: str) -> dict[str, base_check.Check]:
        conf = self.make_conf(f'[servicegroup]\nchecks = {names}\n')
        return loading.load(conf, base.FakeService())

    def test_our_own_are_where_they_are_said_to_be(self) -> None:
        root = pathlib.Path(nova_servicegroup.__file__).parent.parent
        parser = configparser.ConfigParser()
        parser.read(root / 'setup.cfg')
        text = parser['entry_points'][loading.NAMESPACE]
        found = dict(
            line.split(' = ') for line in text.splitlines() if line.strip()
        )
        for place in found.values():
            module, _, name = place.partition(':')
            loaded = getattr(importlib.import_module(module), name)
            self.assertTrue(issubclass(loaded, base_check.Check))
        default = self.make_conf().servicegroup.checks
        self.assertEqual(sorted(default), sorted(found))

    def test_each_is_loaded_once(self) -> None:
        self.install('x', loading.NAMESPACE, f'good = {__name__}:GoodCheck')
        found = self.load('good,good')
        self.assertEqual(['good'], list(found))
        self.assertIsInstance(found['good'], GoodCheck)
        self.assertEqual('a', found['good'].service.host)

    def test_one_that_cannot_be_loaded_costs_itself(self) -> None:
        self.install(
            'x',
            loading.NAMESPACE,
            f'good = {__name__}:GoodCheck\nbroken = {__name__}:Nothing\n'
            f'picky = {__name__}:PickyCheck\ngone = no.such.module:X\n'
            f'Bad.Name = {__name__}:GoodCheck\ntwice = {__name__}:GoodCheck\n'
            f'exits = {__name__}:ExitingCheck\n'
            f'worded = {__name__}:WordedCheck\n'
            f'foreign = {__name__}:World\nmade = {__name__}:INTERVAL',
        )
        self.install('y', loading.NAMESPACE, f'twice = {__name__}:PickyCheck')
        names = (
            *('gone', 'broken', 'picky', 'Bad.Name', 'twice', 'unknown'),
            *('exits', 'worded', 'foreign', 'made'),
        )
        found = self.load(','.join((*names, 'good')))
        self.assertEqual(['good'], list(found))
        errors = [each for each in self.log_lines('ERROR') if 'stands' in each]
        self.assertEqual(
            [f'The check {each} stands aside' for each in names],
            [each.partition(':')[0] for each in errors],
        )
        self.assertIn('not here', self.log.output)


class GoodCheck(base_check.Check):
    def check(self) -> None:
        pass


class PickyCheck(GoodCheck):
    def __init__(self, conf: Any, service: Any) -> None:
        raise RuntimeError('not here')


class ExitingCheck(GoodCheck):
    def __init__(self, conf: Any, service: Any) -> None:
        sys.exit('no')


class WordedCheck(GoodCheck):
    least_interval = '50'  # type: ignore[assignment]


class StorageTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).join('instances')
        )
        self.directory.mkdir()
        self.check = self.make()

    def make(self) -> storage.StorageCheck:
        conf = mock.Mock(instances_path=str(self.directory))
        service = base.FakeService()
        service.host = 'a/../b'
        return storage.StorageCheck(conf, service)

    def left(self) -> list[str]:
        return [each.name for each in self.directory.iterdir()]

    def test_it_leaves_nothing(self) -> None:
        self.check.check()
        self.assertEqual([], self.left())

    def test_what_a_killed_one_left_is_removed(self) -> None:
        with mock.patch('os.unlink'):
            self.check.check()
        self.assertEqual(['.nova-servicegroup-a%2F..%2Fb'], self.left())
        self.make().check()
        self.assertEqual([], self.left())

    def test_a_full_disk(self) -> None:
        full = mock.Mock(f_blocks=100, f_bavail=0)
        with mock.patch('os.statvfs', return_value=full):
            error = self.assertRaises(OSError, self.check.check)
        self.assertEqual(errno.ENOSPC, error.errno)

    def test_a_disk_that_does_not_tell_its_size(self) -> None:
        odd = mock.Mock(f_blocks=0, f_bavail=0)
        with mock.patch('os.statvfs', return_value=odd):
            self.check.check()

    def test_one_that_fills_up_meanwhile(self) -> None:
        error = OSError(errno.ENOSPC, 'No space left on device')
        with mock.patch('os.fsync', side_effect=error):
            found = self.assertRaises(OSError, self.check.check)
        self.assertIs(error, found)
        self.assertEqual([], self.left())

    def test_a_real_disk_that_is_full(self) -> None:
        # The kernel's own: every write fails.
        self.check._file = '/dev/full'
        with mock.patch('os.unlink'):
            found = self.assertRaises(OSError, self.check.check)
        self.assertEqual(errno.ENOSPC, found.errno)

    def test_one_that_may_not_be_written(self) -> None:
        error = PermissionError(errno.EACCES, 'no')
        with mock.patch('builtins.open', side_effect=error):
            self.assertIs(error, self.assertRaises(OSError, self.check.check))

    def test_a_directory_that_goes_away(self) -> None:
        self.check.check()
        self.directory.rmdir()
        self.assertRaises(FileNotFoundError, self.check.check)

    def test_one_that_never_was_is_not_needed(self) -> None:
        self.directory.rmdir()
        self.check.check()
        self.directory.mkdir()
        self.check.check()
        self.directory.rmdir()
        self.assertRaises(FileNotFoundError, self.check.check)

    def test_it_blocks_its_thread(self) -> None:
        self.assertTrue(self.check.blocks)


class ThreadTest(base.TestCase):
    def test_a_thread_keeps_no_process(self) -> None:
        with mock.patch('threading.Thread') as thread:
            process.start_thread(print, 'a', native=True)
        thread.assert_called_once_with(target=print, name='a', daemon=True)

    def test_green_threads_get_one_of_the_system(self) -> None:
        patcher = mock.Mock()
        with (
            mock.patch.dict(sys.modules, {'eventlet.patcher': patcher}),
            mock.patch('threading.Thread') as green,
        ):
            process.start_thread(print, 'a', native=True)
            patcher.original.assert_called_once_with('threading')
            green.assert_not_called()
            process.start_thread(print, 'a')
            green.assert_called_once()
        native = patcher.original.return_value.Thread
        native.return_value.start.assert_called_once_with()

    def test_the_check_uses_nothing_that_eventlet_replaces(self) -> None:
        source = pathlib.Path(storage.__file__).read_text()
        for name in ('open', 'read', 'write', 'fdopen'):
            self.assertNotIn(f'os.{name}(', source)
        self.assertTrue(os.path.exists(storage.__file__))
