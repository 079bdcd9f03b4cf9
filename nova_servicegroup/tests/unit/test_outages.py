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


"""The tables of outages."""

import importlib
import pathlib
from typing import Any

import fixtures

from nova_servicegroup.tests import base
from tools._outages import bounds
from tools._outages import figures
from tools._outages import kept
from tools._outages import tables

_A = 'unit.test_x.DeathTest.test_a'
_OPTIONS = {'session_timeout': 3.0, 'tick': 0.5, 'refresh_interval': 0.2}


class _Test(base.TestCase):
    """Measures something, with options."""

    def run_options(self) -> dict[str, float]:
        return _OPTIONS

    def measure(self) -> None:
        self.measured('gone: down, back', 3.001, 0.5)
        self.measured('errors', 0, unit='')


def figure(
    name: str, *values: float, test: str = _A, **how: Any
) -> figures.Figure:
    return figures.Figure(test, name, values, 's', how or _OPTIONS)


class FiguresTest(base.TestCase):
    def span(self, name: str, place: int | None = None) -> str:
        found = [
            figure('kill to down', 2.0),
            figure('kill to down', 1.5),
            figure('gone: down, back', 3.0, 0.5),
            figure('kill to down', 9.0, test=_A[:-1] + 'b'),
        ]
        return figures.span(figures.find(found, _A, name), place)

    def test_what_tests_write_can_be_read(self) -> None:
        file = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'f'
        self.useFixture(
            fixtures.EnvironmentVariable(
                'NOVA_SERVICEGROUP_FIGURES', str(file)
            )
        )
        test = _Test('measure')
        self.assertTrue(test.run().wasSuccessful())
        first, second = figures.parse(file.read_text().splitlines())
        self.assertEqual(
            figures.Figure(
                'unit.test_outages._Test.measure',
                'gone: down, back',
                [3.0, 0.5],
                's',
                _OPTIONS,
            ),
            first,
        )
        self.assertEqual('', second.unit)

    def test_the_span_is_that_of_one_test(self) -> None:
        self.assertEqual('1.5 to 2 s', self.span('kill to down'))

    def test_a_place_in_the_line_counts_alone(self) -> None:
        self.assertEqual('0.5 s', self.span('gone: .*', 1))
        self.assertEqual('0.5 to 3 s', self.span('gone: .*'))

    def test_what_was_not_measured_is_empty(self) -> None:
        self.assertEqual('', self.span('kill'))
        self.assertEqual('', self.span('gone: .*', 2))


class BoundsTest(base.TestCase):
    def test_a_bound_is_shown_with_its_sum(self) -> None:
        self.assertEqual(
            '1/3 ``session_timeout`` + 1.5 ``tick`` + 1 s + '
            '``refresh_interval`` = 2.95 s',
            bounds.text(
                '1/3 session_timeout + 1.5 tick + 1 + refresh_interval',
                _OPTIONS,
            ),
        )

    def test_a_number_stands_for_itself(self) -> None:
        self.assertEqual('2 s', bounds.text('2', {}))

    def test_an_unknown_option_is_an_error(self) -> None:
        self.assertRaises(KeyError, bounds.value, '2 patience', _OPTIONS)


class TablesTest(base.TestCase):
    def test_runs_with_the_same_options_share_a_number(self) -> None:
        runs = tables.Runs()
        self.assertEqual('1', runs.number(figure('a', 1)))
        other = figure('a', 1, test='unit.test_y.LifeTest.test_b')
        self.assertEqual('1', runs.number(other))
        self.assertEqual('2', runs.number(figure('a', 1, hold_time=4)))
        self.assertEqual('', runs.number(other._replace(options={})))
        self.assertEqual(
            [
                ['1', '3', '0.5', '', '', '', '', '0.2', '', '']
                + ['test_x.DeathTest, test_y.LifeTest'],
                ['2', '', '', '', '', '', '4', '', '', '', 'test_x.DeathTest'],
            ],
            runs.rows(),
        )

    def test_a_row_has_its_bound_and_its_figure(self) -> None:
        row = {
            'event': 'A host dies',
            'driver': 'zk',
            'seen': 'down',
            'test': _A,
            'name': 'kill',
            'place': '',
            'bound': 'session_timeout',
        }
        runs = tables.Runs()
        self.assertEqual(
            ['A host dies', 'zk', 'down', '``session_timeout`` = 3 s']
            + ['2 s', '1'],
            tables.cells(row, [figure('kill', 2.0)], runs),
        )
        self.assertEqual(
            ['A host dies', 'zk', 'down', '', '', ''],
            tables.cells(row, [], runs),
        )

    def test_every_row_is_complete(self) -> None:
        for name in tables.NAMES:
            for row in tables.read(name):
                self.assertTrue(row['driver'] and row['seen'], row)
                self.assertEqual(bool(row['test']), bool(row['name']), row)
                self.assertTrue(row['test'] or not row['bound'], row)

    def test_every_test_exists(self) -> None:
        for name in tables.NAMES:
            for row in tables.read(name):
                if row['test']:
                    module, case, test = row['test'].rsplit('.', 2)
                    found = importlib.import_module(
                        f'nova_servicegroup.tests.{module}'
                    )
                    names = dir(getattr(found, case))
                    self.assertTrue(
                        [each for each in names if each.startswith(test)], row
                    )


class KeptTest(base.TestCase):
    """Figures of some tests are written beside those of an earlier run."""

    EVENT = 'A host dies'

    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def row(self, driver: str, **how: str) -> tables.Row:
        made = {'event': '', 'driver': driver, 'seen': 'down', 'place': ''}
        return {**made, 'test': _A, 'name': driver, 'bound': 'tick', **how}

    def write(self, *rows: tables.Row, **values: float) -> tables.Runs:
        """Write what was measured of drivers, as the tool does."""
        old = kept.Kept(self.directory)
        runs = old.runs()
        found = [
            figure(name, each, test=_A, tick=each)
            for name, each in values.items()
        ]
        cells = [tables.cells(row, found, runs) for row in rows]
        kept.write(
            self.directory,
            'members',
            tables.HEADERS,
            old.fill('members', cells),
        )
        kept.write(self.directory, 'runs', tables.RUNS, runs.rows())
        return runs

    def test_what_is_not_measured_again_stays(self) -> None:
        zk = self.row('zk', event=self.EVENT)
        self.write(zk, zk=2.0)
        runs = self.write(zk, self.row('etcd'), etcd=3.0)
        self.assertEqual(2, len(runs.rows()))
        lines = (self.directory / 'outages_members.csv').read_text()
        self.assertEqual(
            [
                ','.join(tables.HEADERS),
                'A host dies,zk,down,``tick`` = 2 s,2 s,1',
                ',etcd,down,``tick`` = 3 s,3 s,2',
            ],
            lines.splitlines(),
        )

    def test_what_is_measured_again_is_replaced(self) -> None:
        zk = self.row('zk', event=self.EVENT)
        self.write(zk, zk=2.0)
        self.write(zk, zk=4.0)
        lines = (self.directory / 'outages_members.csv').read_text()
        self.assertIn('zk,down,``tick`` = 4 s,4 s,2', lines)

    def test_an_option_that_was_not_there(self) -> None:
        file = self.directory / 'outages_runs.csv'
        file.write_text('Run,``tick``,Tests\n1,2,"test_a.A, test_b.B"\n')
        (row,) = kept.Kept(self.directory).runs().rows()
        self.assertEqual(['1', '2'], [each for each in row[:-1] if each])
        self.assertEqual('test_a.A, test_b.B', row[-1])

    def test_at_first_there_is_nothing(self) -> None:
        old = kept.Kept(self.directory)
        self.assertEqual([], old.runs().rows())
        self.assertEqual(
            [['a', 'b', 'c', '', '', '']],
            old.fill('members', [['a', 'b', 'c', '', '', '']]),
        )
