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


"""Who can do what to the heartbeats of the db driver, as the page on security
says.

That page names these tests, row by row. What Nova's own calls let somebody do
is tested with a Nova.
"""

from typing import Any

import oslo_messaging as messaging

from nova_servicegroup.drivers.db import messages
from nova_servicegroup.tests.functional import test_db_collector


class Impostor:
    """Answers in place of a collector, and writes nothing."""

    target = messaging.Target(version=messages.VERSION)

    def beat(self, context: Any, **message: Any) -> dict[str, Any]:
        """Answer a heartbeat."""
        return {
            'taken': True,
            'gone': False,
            'behind': False,
            'now': message['sent'],
        }


class QueueTest(test_db_collector.Collected):
    """Somebody who may write to the queue of the collectors, or read it."""

    def test_makes_a_dead_host_look_alive(self) -> None:
        self.make_collector()
        (dead,) = self.table.add(1)
        self.assert_old(dead)
        # The number of a record is all that it takes.
        self.assertTrue(self.make_client().beat(dead))
        self.assert_fresh(dead)

    def test_writes_nothing_but_the_time_of_a_heartbeat(self) -> None:
        self.make_collector()
        (record,) = self.table.add(1)
        before = self.table.get(record)
        self.assertTrue(self.make_client().beat(record))
        after = self.table.get(record)
        changed = {name for name in before if before[name] != after[name]}
        self.assertEqual(
            {'last_seen_up', 'report_count', 'updated_at'}, changed
        )

    def test_swallows_the_heartbeats_of_a_live_host(self) -> None:
        server = messaging.get_rpc_server(
            self.make_transport(),
            messaging.Target(topic=messages.TOPIC, server='impostor'),
            [Impostor()],
            executor='threading',
        )
        server.start()
        self._ends += [server.wait, server.stop]
        (live,) = self.table.add(1)
        self.assertTrue(self.make_client().beat(live))
        self.assert_old(live)
