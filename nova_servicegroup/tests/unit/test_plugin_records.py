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


"""Nova's services table in several cells, some of which are away."""

import threading

from nova_servicegroup import exceptions
from nova_servicegroup.plugin import records
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import fake_nova


class ServicesTableTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.nova = self.useFixture(fake_nova.FakeCells())
        self.table = records.ServicesTable()

    def add(self, cell, host, **values):
        """Add a service to a cell."""
        table = self.nova.tables[cell]
        (record,) = table.add(1)
        table.set(record, host=host, **values)

    def use_one_cell(self):
        self.nova.conf.clear_override('connection', 'api_database')

    def hosts(self, cell, group='compute'):
        """Return the hosts of which the heartbeats of a cell tell."""
        return [row[1] for row in self.table.heartbeats(cell, group).rows]

    def found(self, group='compute'):
        """Return the cell and host of each record."""
        return [
            (services.cell_of(each), each['host'])
            for each in self.table.records(group)
        ]

    def failed(self, *args):
        """Return the error of reading the records."""
        return self.assertRaises(exceptions.PartialRecords, self.found, *args)


class AccessTestCase(ServicesTableTestCase):
    def test_nova_compute_reads_nothing_through_the_conductor(self):
        self.nova.object_class.indirection_api = object()
        for call, *args in (
            (self.table.cells,),
            (self.table.heartbeats, None, 'compute'),
            (self.table.heartbeats, 'cell1', 'compute'),
            (self.table.records, 'compute'),
        ):
            self.assertRaises(exceptions.NoAccess, call, *args)
        for read in (
            self.nova.read_mappings,
            self.nova.get_engine,
            self.nova.get_services,
        ):
            read.assert_not_called()

    def test_nothing_is_read_before_it_is_asked(self):
        self.nova.read_mappings.assert_not_called()
        self.nova.get_engine.assert_not_called()


class OneCellTestCase(ServicesTableTestCase):
    def setUp(self):
        super().setUp()
        self.use_one_cell()
        self.add(None, 'one')
        self.add(None, 'x', topic='scheduler', binary='nova-scheduler')

    def test_there_is_one_cell(self):
        self.assertEqual([None], self.table.cells())
        self.nova.read_mappings.assert_not_called()

    def test_heartbeats(self):
        self.assertEqual(['one'], self.hosts(None))
        self.assertEqual(['x'], self.hosts(None, 'scheduler'))

    def test_records(self):
        self.assertEqual([(None, 'one')], self.found())
        self.assertEqual([(None, 'x')], self.found('scheduler'))

    def test_an_error_of_nova_is_translated(self):
        self.nova.get_services.side_effect = RuntimeError('first\nsecond')
        error = self.assertRaises(exceptions.BackendError, self.found)
        self.assertEqual('services table: first', str(error))
        self.assertNotIsInstance(error, exceptions.PartialRecords)

    def test_no_engine_is_an_error(self):
        self.nova.get_engine.side_effect = RuntimeError('first\nsecond')
        error = self.assertRaises(exceptions.BackendError, self.hosts, None)
        self.assertEqual('services table: first', str(error))


class CellsTestCase(ServicesTableTestCase):
    def setUp(self):
        super().setUp()
        for cell in self.nova.CELLS:
            self.add(cell, f'of-{cell}')

    def test_cell0_is_one_of_them(self):
        self.assertEqual(['cell0', 'cell1', 'cell2'], self.table.cells())

    def test_a_cell_that_is_new(self):
        self.table.cells()
        self.nova.engines['cell3'] = self.nova._make_engine('cell3')
        self.assertIn('cell3', self.table.cells())

    def test_the_api_database_is_away(self):
        self.nova.read_mappings.side_effect = RuntimeError('first\nsecond')
        error = self.assertRaises(exceptions.BackendError, self.table.cells)
        self.assertEqual('API database: first', str(error))

    def test_heartbeats_of_each(self):
        for cell in self.table.cells():
            self.assertEqual([f'of-{cell}'], self.hosts(cell))

    def test_heartbeats_of_a_cell_before_all_are_listed(self):
        self.assertEqual(['of-cell1'], self.hosts('cell1'))
        self.assertEqual(['of-cell2'], self.hosts('cell2'))
        self.nova.read_mappings.assert_called_once()

    def test_heartbeats_without_the_api_database(self):
        self.table.cells()
        self.nova.read_mappings.side_effect = RuntimeError
        self.assertEqual(['of-cell1'], self.hosts('cell1'))

    def test_heartbeats_of_a_cell_that_is_not_there(self):
        error = self.assertRaises(exceptions.BackendError, self.hosts, 'other')
        self.assertEqual('services table: there is no cell other', str(error))

    def test_records_of_every_cell(self):
        self.assertEqual(
            [
                ('cell0', 'of-cell0'),
                ('cell1', 'of-cell1'),
                ('cell2', 'of-cell2'),
            ],
            self.found(),
        )

    def test_records_of_one_host_in_two_cells(self):
        self.add('cell1', 'both')
        self.add('cell2', 'both')
        both = [cell for cell, host in self.found() if host == 'both']
        self.assertEqual(['cell1', 'cell2'], both)

    def test_records_without_a_topic(self):
        self.add('cell1', 'odd', topic=None)
        self.assertIn(('cell1', 'odd'), self.found())

    def test_a_record_that_is_nobodys_costs_only_itself(self):
        self.add('cell1', None)
        self.add('cell1', 'odd', topic=None, binary=None)
        self.assertEqual(3, len(self.found()))

    def test_records_without_the_api_database(self):
        self.nova.read_mappings.side_effect = RuntimeError('away')
        error = self.assertRaises(exceptions.BackendError, self.found)
        self.assertEqual('API database: away', str(error))
        self.nova.read_mappings.side_effect = None
        self.nova.read_mappings.return_value = []
        self.assertEqual([], self.found())

    def test_records_of_known_cells_without_the_api_database(self):
        self.found()
        self.nova.read_mappings.side_effect = RuntimeError('away')
        self.assertEqual(3, len(self.found()))


class CellAwayTestCase(ServicesTableTestCase):
    def setUp(self):
        super().setUp()
        for cell in self.nova.CELLS:
            self.add(cell, f'of-{cell}')
        self.away = {}
        read = self.nova.get_services.side_effect
        self.nova.get_services.side_effect = lambda context: self.away.get(
            context.cell_uuid, read
        )(context)

    def refuse(self, cell):
        """Let a cell's database refuse."""
        self.away[cell] = self._refuse

    def _refuse(self, context):
        raise RuntimeError(f'{context.cell_uuid} refuses\nmore')

    def test_it_does_not_hide_the_others(self):
        self.refuse('cell1')
        error = self.failed()
        self.assertEqual(
            ['of-cell0', 'of-cell2'], [each['host'] for each in error.records]
        )
        self.assertEqual(['cell1'], list(error.cells))
        self.assertEqual(
            'services table: cell cell1: cell1 refuses', str(error)
        )

    def test_all_are_away(self):
        for cell in self.nova.CELLS:
            self.refuse(cell)
        error = self.failed()
        self.assertEqual([], error.records)
        self.assertEqual(list(self.nova.CELLS), list(error.cells))

    def test_it_is_back(self):
        self.refuse('cell1')
        self.failed()
        self.away.clear()
        self.assertEqual(3, len(self.found()))

    def test_one_that_is_mute_is_asked_once(self):
        # All others have to answer within it, on a busy machine, too.
        self.patch(records, '_CELL_WAIT', 1.5)
        answer, calls = threading.Event(), []
        self.addCleanup(answer.set)

        def wait(context):
            calls.append(context)
            answer.wait(10)
            return []

        self.away['cell1'] = wait
        for group, others in (('scheduler', 0), ('compute', 2)):
            error = self.failed(group)
            self.assertEqual(['cell1'], list(error.cells))
            self.assertEqual(others, len(error.records))
        self.assertIn('cell cell1: no answer yet', str(error))
        self.assertEqual(1, len(calls))
