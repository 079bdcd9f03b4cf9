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

"""A report keeps the parts that were not measured again."""

import csv
import pathlib

import fixtures

from benchmarks import report
from nova_servicegroup.tests import base


def _table(name: str, *row: object) -> report.Table:
    return report.Table(name, name.title(), ['driver', 'ms'], [list(row)])


class ReportTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        place = self.useFixture(fixtures.TempDir()).path
        self.directory = pathlib.Path(place, 'report')

    def save(self, *parts: report.Part) -> None:
        report.Report(parts, [], quick=False).save(self.directory)

    def test_parts_are_read_as_they_were_written(self) -> None:
        part = report.measure('is_up', lambda: [_table('is_up', 'zk', 0.123)])
        self.save(part)
        self.assertEqual({'is_up': part}, report.load(self.directory))

    def test_there_is_no_report(self) -> None:
        self.assertEqual({}, report.load(self.directory))

    def test_the_page_tells_when_each_part_was_measured(self) -> None:
        parts = [
            report.measure(name, lambda name=name: [_table(name, 'zk', 1)])
            for name in ('is_up', 'storm')
        ]
        self.save(*parts)
        with (self.directory / 'runs.csv').open(newline='') as file:
            runs = list(csv.DictReader(file))
        self.assertEqual(['is_up', 'storm'], [each['part'] for each in runs])
        self.assertEqual(parts[0].date, runs[0]['date, UTC'])
        page = (self.directory / 'index.rst').read_text()
        self.assertIn(':file: storm.csv', page)
        self.assertIn(':file: runs.csv', page)
