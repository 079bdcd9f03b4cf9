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

"""The mark of an unfit member, and what other clients write there."""

import math

from nova_servicegroup import condition
from nova_servicegroup.tests import base


class MarkTest(base.TestCase):
    """A condition that is encoded is read, and nothing else is."""

    def test_read_as_written(self) -> None:
        found = condition.Condition(condition.DEGRADED, 'rpc', 1760000000.9)
        self.assertEqual('degraded:rpc:1760000000', condition.encode(found))
        self.assertEqual(
            found._replace(since=1760000000.0),
            condition.parse(condition.encode(found)),
        )

    def test_any_clock(self) -> None:
        for since in (-5.0, 1e30, math.inf, -math.inf, math.nan):
            found = condition.Condition(condition.DRAINING, 'stopping', since)
            read = condition.parse(condition.encode(found))
            self.assertEqual(condition.DRAINING, read and read.state)

    def test_any_time_has_a_date(self) -> None:
        found = condition.Condition(condition.DEGRADED, 'rpc', 1800000000.0)
        self.assertEqual('2027-01-15T08:00:00+00:00', condition.date(found))
        found = condition.parse(condition.encode(found._replace(since=1e30)))
        self.assertEqual('9999-12-31T23:59:59+00:00', condition.date(found))

    def test_in_words(self) -> None:
        found = condition.Condition(condition.DEGRADED, 'rpc', 1800000000.0)
        since = 'since 2027-01-15T08:00:00+00:00'
        self.assertEqual(
            f'its check fails: rpc, {since}', condition.words(found)
        )
        found = found._replace(state=condition.DRAINING, reason='stopping')
        self.assertEqual(
            f'its service takes no more work: stopping, {since}',
            condition.words(found),
        )

    def test_not_encoded(self) -> None:
        for state, reason in (
            ('up', 'rpc'),
            (condition.DEGRADED, ''),
            (condition.DEGRADED, 'RPC'),
            (condition.DEGRADED, 'a:b'),
            (condition.DEGRADED, 'rpc\n'),
            (condition.DEGRADED, 33 * 'x'),
        ):
            found = condition.Condition(state, reason, 0.0)
            self.assertRaises(ValueError, condition.encode, found)

    def test_foreign(self) -> None:
        for mark in (
            '',
            'degraded',
            'degraded:rpc',
            'degraded:rpc:',
            'degraded:rpc:-1',
            'degraded:rpc:1.5',
            'degraded:rpc:01',
            f'degraded:rpc:{12 * "9"}',
            'degraded:rpc:1\n',
            'degraded:r\x1bc:1',
            'degraded:rpc:\u0661',
            f'degraded:rpc:{13 * "9"}',
            f'degraded:{33 * "x"}:1',
            'dead:rpc:1',
        ):
            self.assertIsNone(condition.parse(mark), mark)

    def test_names_of_checks(self) -> None:
        self.assertTrue(condition.is_reason('local-disk_2'))
        for name in ('', 'Rpc', 'a b', 'a.b', 33 * 'x', 'rpc\n'):
            self.assertFalse(condition.is_reason(name), name)
