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

"""The agent of a host."""

from collections.abc import Callable
import errno
import json
import math
import os
import pathlib
import signal
import tempfile
import threading
from typing import Any
from unittest import mock

import fixtures

from nova_servicegroup.agent import claiming
from nova_servicegroup.agent import daemon
from nova_servicegroup.agent import watching
from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup import exceptions
from nova_servicegroup import process_files
from nova_servicegroup import services
from nova_servicegroup.tests import base

EXPIRY = 10.0


class File:
    """The file of a process that a test ends."""

    def __init__(self, joined: services.Joined) -> None:
        self.joined = joined
        self.alive = True
        self.removed = self.closed = self.seen = False

    def lives(self) -> bool:
        return self.alive

    def is_removed(self) -> bool:
        return self.removed

    def remove(self) -> None:
        self.removed = True

    def close(self) -> None:
        self.closed = True


class WatchTest(base.TestCase):
    """The processes of nova-compute on one host."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = base.Clock()
        self.files: dict[str, File | Exception] = {}
        self.ended: list[str] = []
        self.ago: list[float] = []
        self.error: Exception | None = None
        for name, fake in (('find', self._find), ('Seen', self._see)):
            self.useFixture(
                fixtures.MockPatchObject(process_files, name, fake)
            )
        self.watch = self.make_watch()

    def make_watch(self, **how: Any) -> watching.Watch:
        return watching.Watch(
            'directory',
            'host1',
            'compute',
            self._end,
            EXPIRY,
            clock=self.clock,
            wall=lambda: self.clock() + 1e9,
            **how,
        )

    def _find(self, directory: str) -> list[pathlib.Path]:
        return [
            pathlib.Path(name)
            for name, each in self.files.items()
            if not (isinstance(each, File) and each.removed)
        ]

    def _see(self, path: pathlib.Path) -> File:
        found = self.files[str(path)]
        if isinstance(found, Exception):
            raise found
        found.seen = True
        return found

    def _end(self, joined: services.Joined, ago: float) -> None:
        if self.error is not None:
            raise self.error
        self.ended.append(joined.incarnation)
        self.ago.append(ago)

    def start(self, name: str, **how: Any) -> File:
        joined = services.Joined('host1', 'compute', name, 0)
        made = self.files[name] = File(joined._replace(**how))
        return made

    def poll(self, after: float = 0.2) -> str | None:
        """Return the state that is reported."""
        self.clock.advance(after)
        self.watch.poll()
        found = self.watch.condition
        return None if found is None else found.state

    def test_nothing_has_been_started(self) -> None:
        self.assertEqual(condition.STOPPED, self.poll())

    def test_it_runs(self) -> None:
        self.start('one')
        for _ in range(3):
            self.assertIsNone(self.poll())
        self.assertEqual([], self.ended)

    def test_it_dies(self) -> None:
        file = self.start('one')
        self.poll()
        file.alive = False
        self.assertEqual(condition.DIED, self.poll())
        self.assertEqual(['one'], self.ended)
        self.assertTrue(file.removed and file.closed)
        self.assertEqual(
            condition.Condition(condition.DIED, 'compute', self.clock() + 1e9),
            self.watch.condition,
        )
        self.assertEqual(condition.DIED, self.poll(after=100.0))
        self.assertEqual(['one'], self.ended)

    def test_it_was_stopped(self) -> None:
        file = self.start('one')
        self.poll()
        file.alive, file.removed = False, True
        self.assertEqual(condition.STOPPED, self.poll())
        self.assertEqual([], self.ended)
        self.assertTrue(file.closed)

    def test_it_died_before_the_agent_was_started(self) -> None:
        self.start('one').alive = False
        self.assertEqual(condition.DIED, self.poll())
        self.assertEqual(['one'], self.ended)

    def test_it_is_restarted(self) -> None:
        file = self.start('one')
        self.poll()
        file.alive = False
        self.start('two')
        self.assertIsNone(self.poll())
        self.assertEqual(['one'], self.ended)
        self.assertIsNone(self.poll())
        self.assertEqual(['one'], self.ended)

    def test_it_joins_anew(self) -> None:
        """The file of the same process is written once more."""
        file = self.start('one')
        self.poll()
        file.alive, file.removed = False, True
        again = self.start('one')
        self.poll()
        self.assertIsNone(self.poll())
        self.assertFalse(again.removed)
        self.assertEqual([], self.ended)

    def test_the_backend_is_away(self) -> None:
        file = self.start('one')
        self.poll()
        file.alive = False
        self.error = exceptions.BackendError('backend', 'away')
        self.assertEqual(condition.DIED, self.poll())
        self.assertFalse(file.removed)
        self.assertEqual(condition.DIED, self.poll(after=5.0))
        self.error = None
        self.poll(after=1.0)
        self.assertEqual(['one'], self.ended)
        self.assertTrue(file.removed)

    def test_the_backend_is_not_asked_all_the_time(self) -> None:
        self.start('one').alive = False
        with mock.patch.object(self.watch, '_end') as end:
            end.side_effect = exceptions.BackendError('backend', 'away')
            for _ in range(50):
                self.poll(after=0.2)
        self.assertLessEqual(end.call_count, 11)

    def test_the_backend_stays_away(self) -> None:
        """The membership ends by itself."""
        file = self.start('one')
        file.alive = False
        self.error = exceptions.BackendError('backend', 'away')
        self.poll()
        self.poll(after=2 * EXPIRY + 1.0)
        self.assertTrue(file.removed)
        self.assertEqual([], self.ended)

    def test_an_unexpected_error(self) -> None:
        file = self.start('one')
        file.alive = False
        self.error = TypeError('a defect')
        self.assertEqual(condition.DIED, self.poll())
        self.assertTrue(file.removed)
        self.assertEqual(1, len(self.log_lines('ERROR')))

    def test_it_was_alone_until_it_died(self) -> None:
        file = self.start('one')
        self.poll()
        file.alive = False
        self.error = exceptions.BackendError('backend', 'away')
        self.poll(after=3.0)
        self.error = None
        self.poll(after=3.0)
        self.assertEqual([0.0], self.ago)

    def test_another_may_have_reported_before_it_was_seen_dead(self) -> None:
        """The agent has stood still meanwhile."""
        file = self.start('one')
        self.poll()
        file.alive = False
        self.start('two')
        self.poll(after=5.0)
        self.assertEqual([5.0], self.ago)

    def test_another_may_report_while_the_backend_is_away(self) -> None:
        file = self.start('one')
        self.poll()
        file.alive = False
        self.error = exceptions.BackendError('backend', 'away')
        self.poll(after=2.0)
        self.start('two')
        self.poll(after=2.0)
        self.error = None
        self.poll(after=2.0)
        self.assertEqual([4.0], self.ago)

    def test_it_died_before_the_agent_and_another_lives(self) -> None:
        self.start('two')
        self.start('one').alive = False
        self.poll()
        self.assertEqual([math.inf], self.ago)

    def test_several_that_died_do_not_count(self) -> None:
        for name in ('one', 'two'):
            self.start(name).alive = False
        self.poll()
        self.assertEqual([0.0, 0.0], self.ago)

    def test_too_many_files(self) -> None:
        self.files['one'] = OSError(errno.EMFILE, 'Too many open files')
        self.poll()
        del self.files['one']
        self.start('one').alive = False
        for _ in range(2):
            self.poll()
        self.assertEqual(['one'], self.ended)

    def test_those_that_cannot_be_opened_yet_may_live(self) -> None:
        self.start('one').alive = False
        self.files['two'] = OSError(errno.EMFILE, 'Too many open files')
        self.poll()
        self.assertEqual([math.inf], self.ago)

    def test_many_die_while_the_backend_is_away(self) -> None:
        self.error = exceptions.BackendError('backend', 'away')
        files = [self.start(str(number)) for number in range(500)]
        for each in files:
            each.alive = False
        self.poll()
        self.assertLessEqual(sum(each.seen for each in files), 200)
        self.error = None
        for _ in range(4):
            self.poll(after=1.0)
        self.assertEqual(500, len(self.ended))

    def test_a_second_watch_leaves_the_file_to_the_first(self) -> None:
        self.watch = self.make_watch(removes=False)
        file = self.start('one')
        self.poll()
        file.alive = False
        for _ in range(3):
            self.poll()
        self.assertEqual(['one'], self.ended)
        self.assertFalse(file.removed)
        self.assertTrue(file.closed)

    def test_a_second_watch_goes_on_when_the_file_is_removed(self) -> None:
        self.watch = self.make_watch(removes=False)
        file = self.start('one')
        self.poll()
        file.alive = False
        self.error = exceptions.BackendError('backend', 'away')
        self.poll()
        self.error, file.removed = None, True
        self.poll(after=2.0)
        self.assertEqual(['one'], self.ended)

    def test_another_group(self) -> None:
        file = self.start('one', group='conductor')
        file.alive = False
        self.assertEqual(condition.STOPPED, self.poll())
        self.assertFalse(file.removed)
        self.assertTrue(file.closed)
        self.assertEqual([], self.ended)

    def test_another_host(self) -> None:
        self.start('one', host='host2').alive = False
        for _ in range(3):
            self.assertEqual(condition.STOPPED, self.poll())
        self.assertEqual([], self.ended)
        self.assertEqual(1, len(self.log_lines('WARNING')))

    def test_foreign_files(self) -> None:
        self.files['bad\n'] = ValueError('it describes no membership')
        self.files['gone'] = FileNotFoundError()
        self.files['other'] = PermissionError(13, 'Permission denied')
        self.start('one').alive = False
        for _ in range(3):
            self.poll()
        self.assertEqual(['one'], self.ended)
        lines = self.log_lines('WARNING')
        self.assertEqual(2, len(lines))
        self.assertIn('bad\\n', ''.join(lines))


class LooksTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.looks = daemon.Looks()

    def test_an_agent_that_looks_is_well(self) -> None:
        for _ in range(100):
            self.clock.advance(10.0)
            self.looks.note(None)
            self.assertIsNone(self.looks.stuck())
            self.assertIsNone(self.looks.unready())

    def test_one_that_cannot_read_the_directory(self) -> None:
        self.looks.note('no such directory')
        self.assertIsNone(self.looks.stuck())
        self.assertEqual('no such directory', self.looks.unready())

    def test_one_that_hangs(self) -> None:
        self.clock.advance(100.0)
        self.assertIn('for 100 s', self.looks.stuck())


class AgentTest(base.TestCase):
    """The agent with drivers that a test controls."""

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = pathlib.Path(made.name)
        conf = self.make_conf(
            '[DEFAULT]\nhost = host1\nservicegroup_driver = mc\n'
            f'[servicegroup]\nprocess_directory = {made.name}\n'
            'also_report_to = zk\n[zookeeper]\naddress = localhost:1\n'
        )
        self.api = api.API(conf)
        for name in ('join', 'mark', 'close'):
            self.useFixture(
                fixtures.MockPatchObject(self.api, name, mock.Mock())
            )
        self.conf = conf

    def start(self, **ends: Callable[..., None]) -> daemon.Agent:
        """Return an agent that runs.

        :param ends: what ends memberships, with each driver
        """
        drivers = {'mc': self.api.driver, **self.api.secondary.drivers}
        for name, end in ends.items():
            self.useFixture(
                fixtures.MockPatchObject(drivers[name], 'end', end)
            )
        made = daemon.Agent(self.conf, self.api)
        made.start()
        return made

    def _died(self, incarnation: str) -> None:
        path = self.directory / f'{incarnation}.new'
        path.touch()
        text = {
            **services.Joined('host1', 'compute', incarnation, 0)._asdict(),
            'inode': path.stat().st_ino,
        }
        path.write_text(json.dumps(text))
        path.rename(path.with_suffix('.member'))

    def test_a_secondary_driver_that_hangs_delays_no_other(self) -> None:
        hangs, ended = threading.Event(), threading.Semaphore(0)
        self.addCleanup(hangs.set)
        agent = self.start(
            mc=lambda *args: ended.release(),
            zk=lambda *args: hangs.wait(20.0),
        )
        for number in range(3):
            self._died(f'{number:08x}')
            self.assertTrue(ended.acquire(timeout=5.0))
        hangs.set()
        agent.stop()

    def test_nothing_is_marked_after_it_has_begun_to_stop(self) -> None:
        begun, hangs, marked = (threading.Event() for _ in range(3))
        self.addCleanup(hangs.set)
        self.api.mark.side_effect = lambda *args: marked.set()

        def end(*args: Any) -> None:
            begun.set()
            hangs.wait(20.0)

        agent = self.start(mc=end)
        self._died('0a1b2c3d')
        self.assertTrue(begun.wait(5.0))
        stopping = threading.Thread(target=agent.stop)
        stopping.start()
        self.assertTrue(marked.wait(5.0))
        hangs.set()
        stopping.join()
        [(_, _, found)] = [each.args for each in self.api.mark.mock_calls]
        self.assertEqual(condition.DRAINING, found.state)

    def start_guarded(self, **how: object) -> daemon.Agent:
        """Return an agent that runs, with a claim that is as told."""
        claim = mock.Mock(withdrawn_within=0.0, **how)
        with mock.patch.object(claiming, 'make', return_value=claim):
            return self.start()

    def test_a_watchdog_that_would_not_reset_the_host(self) -> None:
        ended = threading.Event()
        with mock.patch.object(
            os, 'kill', side_effect=lambda *args: ended.set()
        ) as kill:
            agent = self.start_guarded(is_broken=True, is_lost=False)
            self.assertTrue(ended.wait(5.0))
        kill.assert_called_once_with(os.getpid(), signal.SIGTERM)
        agent.stop()
        self.api.close.assert_called_once_with()

    def test_a_claim_that_was_not_withdrawn_is_not_left(self) -> None:
        self.start_guarded(is_broken=False, is_lost=True).stop()
        self.api.close.assert_not_called()

    def test_it_is_guarded_when_its_claim_is_confirmed(self) -> None:
        self.assertTrue(self.start().is_guarded())
        for confirmed in (False, True):
            agent = self.start_guarded(
                is_confirmed=confirmed, is_broken=False, is_lost=False
            )
            self.assertIs(confirmed, agent.is_guarded())
