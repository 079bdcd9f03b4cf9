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


import io
import json
import os
import re
from typing import Any

import fixtures

from nova_servicegroup.cmd import _events
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_watcher

BEGUN_AT = '2027-01-15T08:00:01.000+00:00'
SECRET = 'c0rrect-horse'


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class EventsTestCase(test_watcher.WatchedTest):
    """A watched group and its clocks."""

    def setUp(self) -> None:
        super().setUp()
        self.wall = base.Clock(test_watcher.WALL)
        self.set_time(self.wall)
        self.watch = _events.EventStream(self.api, 'compute')

    def poll(self) -> list[Any]:
        """Advance the clocks by a second and poll."""
        self.clock.advance(1)
        self.wall.advance(1)
        return self.watch.poll()


class EventsTest(EventsTestCase):
    def kinds(self) -> list[str]:
        return [type(each).__name__ for each in self.poll()]

    def test_it_begins_once(self) -> None:
        self.driver.tell(b='held')
        (begun,) = self.poll()
        self.assertEqual(1, begun.counts['held'])
        self.assertEqual([], self.poll())

    def test_contact_is_lost_and_recovered(self) -> None:
        self.poll()
        self.driver.lose(age=0.5)
        (lost,) = self.poll()
        self.assertEqual(('ZooKeeper: mute', 0.5), (lost.reason, lost.age))
        self.assertEqual([], self.poll())
        self.assertEqual(1.0, self.watch.blind_for)
        self.driver.find()
        (recovered,) = self.poll()
        self.assertEqual(2.0, recovered.after)
        self.assertIsNone(self.watch.blind_for)

    def test_transitions_follow_the_contact(self) -> None:
        self.poll()
        self.driver.lose(age=0.5)
        self.driver.tell(a='held')
        self.assertEqual(['Lost', 'Transition'], self.kinds())

    def test_it_begins_with_the_first_answer(self) -> None:
        members = dict(self.driver.members)
        self.driver.members.clear()
        self.driver.lose(age=None)
        self.assertEqual(['Lost'], self.kinds())
        self.assertFalse(self.watch.begun)
        self.driver.find()
        self.driver.members.update(members)
        self.assertEqual(['Recovered', 'Begun'], self.kinds())

    def test_a_host_that_was_presumed_up_and_is_down(self) -> None:
        self.register('a', 'c')
        self.driver.presumes = True
        self.driver.lose(age=None)
        self.driver.tell(a='down', b='down')
        self.poll()
        self.driver.presumes = False
        self.driver.tell(a='up')
        self.driver.find()
        changes = self.poll()[2:]
        self.assertEqual(
            [('c', 'held', 'down')],
            [(each.host, each.before, each.state) for each in changes],
        )

    def test_a_check_is_ignored_and_not_ignored_any_more(self) -> None:
        self.poll()
        for ignored in (('rpc',), ('rpc', 'virt'), ()):
            self.driver.ignored = ignored
            (event,) = self.poll()
            self.assertEqual(ignored, event.checks)
            self.assertEqual([], self.poll())


class UnfitTest(EventsTestCase):
    """Members that are degraded or draining."""

    SINCE = 'since 2027-01-15T07:58:30+00:00'

    def lines(self, stream: io.StringIO, as_json: bool = False) -> list[str]:
        screen = _events.screen(stream, self.make_conf(), as_json)
        self.poll()
        self.driver.ignored = ('virt',)
        self.driver.tell(a='degraded', b='draining')
        screen.show(self.poll(), [self.watch])
        self.driver.ignored = ()
        self.driver.tell(a='up', b='down')
        screen.show(self.poll(), [self.watch])
        return stream.getvalue().splitlines()

    def test_lines(self) -> None:
        lines = [
            each.partition('+00:00 compute ')[2]
            for each in self.lines(io.StringIO())
        ]
        self.assertEqual(
            [
                'ignored, since they fail on many: virt',
                f'a: up -> degraded (its check fails: rpc, {self.SINCE})',
                'b: up -> draining (its service takes no more work: rpc, '
                f'{self.SINCE})',
                'no check is ignored any more',
                'a: degraded -> up (fit again)',
                'b: draining -> down (missing from a group that was just '
                'confirmed)',
            ],
            lines,
        )

    def test_json(self) -> None:
        lines = self.lines(io.StringIO(), as_json=True)
        ignored, degraded, _, _, up, _ = map(json.loads, lines)
        self.assertEqual(
            ('ignored', ['virt']), (ignored['event'], ignored['checks'])
        )
        self.assertEqual(
            {
                'state': 'degraded',
                'reason': 'rpc',
                'since': self.SINCE.partition(' ')[2],
            },
            degraded['condition'],
        )
        self.assertEqual(('up', None), (up['state'], up['condition']))

    def test_the_last_line_of_a_terminal(self) -> None:
        os.environ['COLUMNS'] = '200'
        os.environ['NO_COLOR'] = '1'
        lines = self.lines(Terminal())
        shown = 'compute: 0 up, 0 held, 1 degraded, 1 draining, 0 down, '
        shown += '0 forced down; ignored: virt; seen 0.0 s ago'
        self.assertTrue(any(each.startswith(shown) for each in lines), lines)


class ScreenTest(EventsTestCase):
    """What is written of a few events of a group."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.EnvironmentVariable('NO_COLOR', None))
        self.useFixture(fixtures.EnvironmentVariable('COLUMNS', '200'))

    def written(self, stream: io.StringIO, as_json: bool = False) -> str:
        conf = self.make_conf()
        conf.set_override('password', SECRET, 'redis')
        screen = _events.screen(stream, conf, as_json)

        def show() -> None:
            screen.show(self.poll(), [self.watch])

        show()
        self.driver.tell(a='down', c='up')
        show()
        self.driver.lose(age=0.5)
        self.driver.error.args = (f'ZooKeeper: {SECRET}',)
        show()
        self.driver.find()
        show()
        screen.close()
        return stream.getvalue()

    def test_lines(self) -> None:
        self.assertEqual(
            [
                f'{BEGUN_AT} compute 2 up, 0 held, 0 down, 0 forced down',
                '2027-01-15T08:00:02.000+00:00 compute a: up -> down '
                '(missing from a group that was just confirmed)',
                '2027-01-15T08:00:02.000+00:00 compute c: new -> up (joined)',
                '2027-01-15T08:00:03.000+00:00 compute lost: ZooKeeper: ***',
                '2027-01-15T08:00:04.000+00:00 compute recovered after 1.0 s',
            ],
            self.written(io.StringIO()).splitlines(),
        )

    def test_json(self) -> None:
        lines = self.written(io.StringIO(), as_json=True).splitlines()
        begun, down, up, lost, recovered = map(json.loads, lines)
        self.assertEqual((begun['event'], begun['at']), ('begun', BEGUN_AT))
        self.assertEqual(
            {
                'event': 'transition',
                'at': '2027-01-15T08:00:02.000+00:00',
                'group': 'compute',
                'host': 'a',
                'before': 'up',
                'state': 'down',
                'reason': 'missing from a group that was just confirmed',
                'proof_age': 2.0,
                'condition': None,
                'evidence': 'unknown',
                'domain': None,
                'hosts': [],
            },
            down,
        )
        self.assertEqual((None, None), (up['before'], up['evidence']))
        self.assertEqual(('lost', 0.5), (lost['event'], lost['age']))
        self.assertEqual('ZooKeeper: ***', lost['reason'])
        self.assertEqual(1.0, recovered['after'])

    def test_a_terminal_has_a_last_line_that_is_written_anew(self) -> None:
        shown = self.written(Terminal()).split('\r\x1b[K')
        summaries = [each.splitlines()[-1] for each in shown[1:]]
        self.assertEqual(
            [
                'compute: 2 up, 0 held, 0 down, 0 forced down; seen 0.0 s ago',
                'compute: 2 up, 0 held, 1 down, 0 forced down; seen 0.0 s ago',
                'compute: 2 up, 0 held, 1 down, 0 forced down; '
                'blind since 0 s; seen 0.5 s ago',
                'compute: 2 up, 0 held, 1 down, 0 forced down; seen 0.0 s ago',
            ],
            summaries,
        )
        self.assertTrue(shown[-1].endswith('\n'))

    def test_the_last_line_is_not_wider_than_the_terminal(self) -> None:
        os.environ['COLUMNS'] = '20'
        shown = self.written(Terminal()).split('\r\x1b[K')
        self.assertEqual(['compute: 2 up, 0 he'], shown[1].splitlines()[1:])

    def test_colours_on_a_terminal_only(self) -> None:
        self.assertIn('\x1b[32mup\x1b[0m', self.written(Terminal()))

    def test_no_colours_elsewhere(self) -> None:
        self.assertNotIn('\x1b', self.written(io.StringIO()))

    def test_no_colours_with_no_color(self) -> None:
        os.environ['NO_COLOR'] = '1'
        self.assertNotIn('\x1b[3', self.written(Terminal()))


class EscapingTest(EventsTestCase):
    """Names and reasons that others may have written."""

    NAME = 'x\x1b]0;t\x07\x1b[2J\n\x9b\x7f\udcff'
    SHOWN = r'x\x1b]0;t\x07\x1b[2J\n\x9b\x7f\udcff'

    def show(self, stream: io.StringIO, as_json: bool) -> list[str]:
        """Show some events; return the lines, without our own colours."""
        screen = _events.screen(stream, self.make_conf(), as_json)
        watch = _events.EventStream(self.api, 'compute')
        watch.poll()
        self.driver.tell(**{self.NAME: 'up'})
        screen.show(watch.poll(), [watch])
        self.driver.lose(1.0, exceptions.BackendError('zk', self.NAME))
        screen.show(watch.poll(), [watch])
        self.driver.find()
        self.driver.tell(**{self.NAME: 'down'})
        text = re.sub(r'\r|\x1b\[(K|\d+m)', '', stream.getvalue())
        return text.split('\n')

    def test_lines(self) -> None:
        for stream in (io.StringIO(), Terminal()):
            lines = self.show(stream, False)
            for line in lines:
                self.assertTrue(line.isprintable(), line)
            self.assertTrue(any(self.SHOWN in line for line in lines))

    def test_json(self) -> None:
        joined, lost, _ = self.show(io.StringIO(), True)
        for line in (joined, lost):
            self.assertTrue(line.isprintable() and line.isascii(), line)
        self.assertEqual(self.NAME, json.loads(joined)['host'])
        self.assertEqual(f'zk: {self.NAME}', json.loads(lost)['reason'])


class EvidenceTest(test_watcher.EvidenceCase):
    """What is written of a host that is down, and of why."""

    def written(self, as_json: bool = False) -> list[str]:
        stream = io.StringIO()
        screen = _events.screen(stream, self.make_conf(), as_json)
        self.set_time(base.Clock(test_watcher.WALL))
        watched = _events.EventStream(self.api, 'compute')

        def show() -> None:
            self.clock.advance(1)
            screen.show(watched.poll(), [watched])

        show()
        self.driver.tell(a='down')
        show()
        self.kill('a')
        show()
        self.driver.tell(a='up')
        show()
        self.driver.agents['a'] = 'draining'
        self.driver.tell(a='down')
        show()
        return stream.getvalue().splitlines()[1:]

    def test_lines(self) -> None:
        at = '2027-01-15T08:00:00.000+00:00 compute'
        reason = 'missing from a group that was just confirmed'
        self.assertEqual(
            [
                f'{at} a: up -> down ({reason}; evidence: not-reporting)',
                f'{at} a: down (evidence: silent)',
                f'{at} a: down -> up (joined)',
                f'{at} a: up -> down ({reason})',
            ],
            self.written(),
        )

    def test_json(self) -> None:
        found = [json.loads(each) for each in self.written(as_json=True)]
        self.assertEqual(
            [
                ('transition', 'up', 'down', 'not-reporting'),
                ('transition', 'down', 'down', 'silent'),
                ('transition', 'down', 'up', None),
                ('transition', 'up', 'down', 'unknown'),
            ],
            [
                (it['event'], it['before'], it['state'], it['evidence'])
                for it in found
            ],
        )
        self.assertEqual('evidence: silent', found[1]['reason'])
