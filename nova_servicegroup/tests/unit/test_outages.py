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

import pathlib
import sys

from nova_servicegroup.tests import base

sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

from tools._outages import bounds  # noqa: E402
from tools._outages import figures  # noqa: E402
from tools._outages import tables  # noqa: E402

_LINES = """\
nova_servicegroup.tests.unit.test_x.DeathTest.test_a: kill to down: 2.00 s
nova_servicegroup.tests.unit.test_x.DeathTest.test_a: kill to down: 1.50 s
nova_servicegroup.tests.unit.test_x.DeathTest.test_a: gone: down, back: 3.00, \
0.50 s
nova_servicegroup.tests.unit.test_x.DeathTest.test_b: kill to down: 9.00 s
nova_servicegroup.tests.unit.test_x.DeathTest.test_b: errors: 0.00 \

"""
_A = 'unit.test_x.DeathTest.test_a'
_OPTIONS = {'session_timeout': 3.0, 'tick': 0.5, 'refresh_interval': 0.2}


class FiguresTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.found = figures.parse(_LINES.splitlines())

    def span(self, name: str, place: int | None = None) -> str:
        return figures.span(self.found, _A, name, place)

    def test_what_tests_write_can_be_read(self) -> None:
        self.assertEqual(
            figures.Figure(_A, 'gone: down, back', (3.0, 0.5), 's'),
            self.found[2],
        )
        self.assertEqual('', self.found[4].unit)
        self.assertRaises(ValueError, figures.parse, ['no figure'])

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
        runs = tables.Runs(
            lambda test: {} if test.startswith('no.') else _OPTIONS
        )
        self.assertEqual('1', runs.number(_A))
        self.assertEqual('1', runs.number('unit.test_y.LifeTest.'))
        self.assertEqual('', runs.number('no.test_z.OtherTest.'))
        self.assertEqual(
            [['1', '3', '', 'test_x.DeathTest, test_y.LifeTest']],
            runs.rows(['session_timeout', 'hold_time']),
        )

    def test_every_row_is_complete(self) -> None:
        for name in tables.NAMES:
            for row in tables.read(name):
                self.assertTrue(row['driver'] and row['seen'], row)
                self.assertEqual(bool(row['test']), bool(row['name']), row)
                self.assertTrue(row['test'] or not row['bound'], row)
