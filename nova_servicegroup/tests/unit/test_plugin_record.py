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


"""Saves of a record, which Nova takes for heartbeats by their number."""

import datetime
import types
from typing import Any

import oslo_messaging

from nova_servicegroup import exceptions
from nova_servicegroup.plugin import service
from nova_servicegroup import services
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import fake_nova

INTERVAL = 10.0
LEFT = datetime.datetime(1970, 1, 2, tzinfo=datetime.timezone.utc)


class ServiceNotFound(Exception):
    """Stands for Nova's."""


class Row:
    """A row of the services table, and what Nova's service_update does."""

    def __init__(self) -> None:
        self.report_count = 7
        self.last_seen_up: Any = 0
        self.turn = 0
        self.saves = 0
        self.error: Exception | None = None

    def update(self, values: dict[str, Any]) -> None:
        self.saves += 1
        if self.error is not None:
            raise self.error
        self.turn += 1
        if values.get('report_count', 0) > self.report_count:
            self.last_seen_up = self.turn
        vars(self).update(values)

    def collect(self) -> None:
        """Do what a collector does."""
        self.turn += 1
        self.report_count += 1
        self.last_seen_up = self.turn


class Record:
    """An objects.Service, as far as it is used."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._changed: set[str] = set()
        self._values = {
            'report_count': row.report_count,
            'last_seen_up': row.last_seen_up,
        }

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith('_') or name == 'indirection_api':
            super().__setattr__(name, value)
        else:
            self._values[name] = value
            self._changed.add(name)

    def obj_reset_changes(self, names: Any = None) -> None:
        self._changed -= set(self._values if names is None else names)

    def obj_clone(self) -> 'Record':
        made = Record(self._row)
        made._values = dict(self._values)
        made._changed = set(self._changed)
        return made

    def save(self) -> None:
        self._row.update({name: self._values[name] for name in self._changed})
        self._values.update(
            report_count=self._row.report_count,
            last_seen_up=self._row.last_seen_up,
        )
        self._changed.clear()


class RecordTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        nova = self.useFixture(fake_nova.FakeNova())
        nova.module('nova.exception', ServiceNotFound=ServiceNotFound)
        nova.module('nova.objects')
        nova.module(
            'nova.objects.base',
            NovaObject=types.SimpleNamespace(indirection_api=None),
        )
        self.row = Row()
        self.service = types.SimpleNamespace(
            binary='nova-compute',
            host='a',
            report_interval=INTERVAL,
            tg=None,
            service_ref=Record(self.row),
        )
        self.record = service.NovaService(self.service)

    def save(self) -> bool:
        """Tell whether a save is a heartbeat."""
        before = self.row.last_seen_up
        self.record.save_heartbeat()
        return bool(self.row.last_seen_up != before)

    def collect(self, written: int) -> None:
        """Have a heartbeat written so often by somebody else."""
        for _ in range(written):
            self.row.collect()
        self.record.note_heartbeat()

    def test_each_save_is_a_heartbeat_and_one_statement(self) -> None:
        self.assertEqual([True] * 5, [self.save() for _ in range(5)])
        self.assertEqual((12, 5), (self.row.report_count, self.row.saves))

    def test_so_it_is_however_often_others_wrote_one(self) -> None:
        for written in (1, 0, 2, 5, 0, 0, 100):
            self.collect(written)
            self.assertTrue(self.save(), written)
            self.assertTrue(self.save(), written)

    def test_the_number_is_asked_for_once(self) -> None:
        self.collect(2)
        for _ in range(3):
            self.save()
        self.assertEqual(4, self.row.saves)

    def test_after_a_save_that_failed_the_number_is_not_known(self) -> None:
        self.row.error = oslo_messaging.MessagingTimeout('no reply')
        self.assertRaises(exceptions.BackendTimeout, self.save)
        self.row.error = None
        # It may have been saved all the same, and others as well.
        self.row.report_count += 5
        self.assertTrue(self.save())

    def test_a_look_at_the_record_changes_nothing(self) -> None:
        self.save()
        for _ in range(2):
            shown = self.record.read_heartbeat()
            self.assertEqual(self.row.last_seen_up, shown)
        self.collect(1)
        self.assertNotEqual(shown, self.record.read_heartbeat())
        self.assertEqual(9, self.row.report_count)
        self.assertTrue(self.save())

    def test_one_that_leaves_is_down(self) -> None:
        for written in (0, 1):
            self.collect(written)
        self.record.save_departure()
        self.assertEqual(LEFT, self.row.last_seen_up)
        self.assertEqual(services.LEFT, LEFT.timestamp())

    def test_a_heartbeat_that_is_saved_later_brings_it_not_back(self) -> None:
        late = self.service.service_ref.obj_clone()
        late.report_count += 1
        self.service.service_ref.report_count += 1
        self.record.save_departure()
        late.save()
        self.assertEqual(LEFT, self.row.last_seen_up)

    def test_nor_does_this_process(self) -> None:
        self.record.save_departure()
        self.assertRaises(exceptions.BackendError, self.save)
        self.assertEqual(LEFT, self.row.last_seen_up)

    def test_a_new_process_does(self) -> None:
        self.record.save_departure()
        self.service.service_ref = Record(self.row)
        self.record = service.NovaService(self.service)
        self.assertTrue(self.save())

    def test_it_stays_up_where_another_process_reports_for_it(self) -> None:
        self.save()
        # The new one has started before this one stops.
        self.row.collect()
        before = self.row.last_seen_up
        self.record.save_departure()
        self.assertEqual(before, self.row.last_seen_up)
        self.assertIn('Another process reports', self.log.output)

    def test_a_record_that_is_gone(self) -> None:
        self.row.error = ServiceNotFound()
        for call in (
            self.record.save_departure,
            lambda: self.record.read_heartbeat(),
        ):
            self.assertRaises(exceptions.RecordDeleted, call)
