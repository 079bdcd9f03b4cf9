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

"""What masakari and Nova are asked, and what their answers mean."""

import datetime
import types
from typing import Any

from oslo_utils import timeutils

from nova_servicegroup import exceptions
from nova_servicegroup.masakari import client
from nova_servicegroup.tests import base

#: 2026-01-01T00:00:00Z.
NEW_YEAR = 1767225600.0


class Refused(Exception):
    """As openstacksdk's errors are."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f'{status_code}: \x1b[31mrefused')
        self.status_code = status_code


class FakeApis:
    """openstacksdk's proxies of masakari and Nova."""

    def __init__(self) -> None:
        self.list = [self.host('host1')]
        self.known: list[Any] = []
        self.nova: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.connections = 0

    def host(self, name: str, **fields: Any) -> Any:
        return types.SimpleNamespace(
            **{
                'name': name,
                'uuid': f'uuid-{name}',
                'on_maintenance': False,
                'updated_at': None,
                'created_at': '2026-01-01T00:00:00.000000',
                **fields,
            }
        )

    def connect(self) -> tuple[Any, Any]:
        self.connections += 1
        return self, self

    def segments(self) -> list[Any]:
        if self.error is not None:
            raise self.error
        return [types.SimpleNamespace(id=1, uuid='segment')]

    def hosts(self, segment: str) -> list[Any]:
        return self.list if segment == 'segment' else []

    def notifications(self, **wanted: Any) -> list[Any]:
        self.asked.append(wanted)
        return self.known

    def services(self, binary: str, host: str) -> list[Any]:
        return self.nova

    def create_notification(self, **fields: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(fields)


def told(event: str) -> Any:
    return types.SimpleNamespace(payload={'event': event})


class ClientTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.apis = FakeApis()
        self.client = client.Client(self.apis.connect)

    def test_the_notification_is_one_that_masakari_acts_on(self) -> None:
        self.assertTrue(self.client.send('host1', client.STOPPED))
        (sent,) = self.apis.sent
        age = timeutils.utcnow() - sent.pop('generated_time')
        self.assertLess(age, datetime.timedelta(seconds=60))
        self.assertEqual(
            {
                'type': 'COMPUTE_HOST',
                'hostname': 'host1',
                'payload': {
                    'event': 'STOPPED',
                    'cluster_status': 'OFFLINE',
                    'host_status': 'NORMAL',
                },
            },
            sent,
        )

    def test_the_host_is_back(self) -> None:
        self.client.send('host1', client.STARTED)
        payload = self.apis.sent[0]['payload']
        self.assertEqual('ONLINE', payload['cluster_status'])

    def test_a_duplicate_is_no_failure(self) -> None:
        for status in (400, 409):
            self.apis.error = Refused(status)
            self.assertFalse(self.client.send('host1', client.STOPPED))

    def test_a_failure_is_one(self) -> None:
        for error in (Refused(500), Refused(401), OSError('no route')):
            self.apis.error = error
            failed = self.assertRaises(
                exceptions.BackendError,
                self.client.send,
                'host1',
                client.STOPPED,
            )
            self.assertIn('masakari-api', str(failed))
            self.assertNotIn('\x1b', str(failed))

    def test_it_connects_anew_after_what_is_no_answer(self) -> None:
        for error, connections in ((Refused(503), 1), (OSError('no'), 1)):
            self.apis.error = error
            self.assertRaises(exceptions.BackendError, self.client.hosts)
            self.assertEqual(connections, self.apis.connections)
        self.apis.error = None
        self.client.hosts()
        self.client.hosts()
        self.assertEqual(2, self.apis.connections)

    def test_masakari_knows_of_a_host_on_maintenance(self) -> None:
        self.apis.list = [self.apis.host('host1', on_maintenance=True)]
        self.assertTrue(self.client.knows('host1', None))

    def test_masakari_was_notified_since_it_lived(self) -> None:
        self.assertFalse(self.client.knows('host1', NEW_YEAR + 60.9))
        self.apis.known = [told('STARTED')]
        self.assertFalse(self.client.knows('host1', NEW_YEAR))
        self.apis.known.append(told('STOPPED'))
        self.assertTrue(self.client.knows('HOST1', NEW_YEAR))
        self.assertEqual(
            {
                'source_host_uuid': 'uuid-host1',
                'type': 'COMPUTE_HOST',
                'generated_since': '2026-01-01T00:01:00',
            },
            self.apis.asked[0],
        )

    def test_one_that_was_never_seen_alive(self) -> None:
        self.client.knows('host1', None)
        changed = '2026-01-01T00:02:00.000000'
        self.apis.list = [self.apis.host('host1', updated_at=changed)]
        self.client.knows('host1', None)
        self.assertEqual(
            ['2026-01-01T00:00:00', '2026-01-01T00:02:00'],
            [each['generated_since'] for each in self.apis.asked],
        )

    def test_a_host_of_no_segment(self) -> None:
        self.assertRaises(
            exceptions.BackendError, self.client.knows, 'host2', None
        )

    def test_a_notification_of_another_form(self) -> None:
        self.apis.known = [types.SimpleNamespace(payload='STOPPED')]
        self.assertFalse(self.client.knows('host1', None))

    def objection(self, state: str, forced: bool | None) -> str | None:
        self.apis.nova = [
            types.SimpleNamespace(
                host='host1', state=state, is_forced_down=forced
            )
        ]
        return self.client.objection('host1')

    def test_one_of_two_cells_objects(self) -> None:
        self.objection('up', False)
        (up,) = self.apis.nova
        self.objection('down', False)
        self.apis.nova.append(up)
        self.assertIn('is up', str(self.client.objection('host1')))

    def test_what_nova_objects_to(self) -> None:
        self.assertIsNone(self.objection('down', False))
        self.assertIsNone(self.objection('down', None))
        self.assertIn('forced', str(self.objection('down', True)))
        self.assertIn('is up', str(self.objection('up', False)))
        self.apis.nova = []
        self.assertIn('no nova-compute', str(self.client.objection('host1')))


class TableTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.apis = FakeApis()
        self.table = client.Table(client.Client(self.apis.connect))

    def hosts(self) -> list[str]:
        return [each['host'] for each in self.table.records('compute')]

    def test_the_hosts_of_masakari_once_a_minute(self) -> None:
        self.assertEqual(['host1'], self.hosts())
        self.apis.list.append(self.apis.host('host2'))
        self.clock.advance(59)
        self.assertEqual(['host1'], self.hosts())
        self.clock.advance(1)
        self.assertEqual(['host1', 'host2'], self.hosts())

    def test_a_failure_is_not_kept(self) -> None:
        self.apis.error = Refused(500)
        self.assertRaises(exceptions.BackendError, self.hosts)
        self.apis.error = None
        self.assertEqual(['host1'], self.hosts())

    def test_it_has_nothing_else(self) -> None:
        self.assertRaises(exceptions.NoAccess, self.table.cells)
        self.assertRaises(
            exceptions.NoAccess, self.table.heartbeats, None, 'compute'
        )
