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

from typing import Any

from nova_servicegroup.drivers.mc import history
from nova_servicegroup.drivers.mc import storage
from nova_servicegroup.tests import base

TTL = 60.0
SETTLE = 20.0
MARKER = b'marker'
SURE = history.ServerReading()


class HistoryTest(base.TestCase):
    """One server, and what is read of members a, b and so on."""

    def setUp(self) -> None:
        super().setUp()
        self.history = history.History(history.Timing(TTL, SETTLE))

    def update(
        self, *members: str, after: float = 1.0, **how: Any
    ) -> history.ServerReading:
        answer = storage.ServerState(dict.fromkeys(members, b''), MARKER)
        self.clock.advance(after)
        return self.history.update(answer._replace(**how), self.clock())

    def miss(self, after: float = 1.0) -> history.ServerReading:
        return self.history.update_unanswered(self.clock.advance(after))

    def assert_sure(self, gone: str, reading: history.ServerReading) -> None:
        """Members that are gone are, and so are those never seen."""
        self.assertEqual(SURE._replace(gone=set(gone)), reading)

    def assert_doubt(
        self, doubt: str, lost: str, reading: history.ServerReading
    ) -> None:
        """Neither lost members nor unknown ones are gone."""
        self.assertEqual(
            history.ServerReading(set(), set(lost), False, doubt),
            reading._replace(gone=set(reading.gone), lost=set(reading.lost)),
        )


class HealthyTest(HistoryTest):
    def test_what_it_had_and_has_no_more_is_gone(self) -> None:
        self.assert_sure('', self.update('a', 'b'))
        self.assert_sure('b', self.update('a', 'c'))
        self.assert_sure('', self.update('a', 'c'))
        self.assert_sure('ac', self.update())


class EmptiedTest(HistoryTest):
    def test_what_it_had_may_be_alive(self) -> None:
        self.update('a', 'b')
        emptied = self.update(marker=None)
        self.assert_doubt('a server was emptied', 'ab', emptied)

    def test_until_all_had_time_it_knows_only_members_that_are_back(
        self,
    ) -> None:
        self.update('a', 'b')
        self.update(marker=None)
        again = {'marker': b'new', 'young': True}
        self.assert_doubt(
            'a server was emptied', '', self.update('a', **again)
        )
        reading = self.update(**again)
        self.assertEqual({'a'}, reading.gone)
        self.assertFalse(reading.complete)
        self.assert_sure('', self.update('a', marker=b'new', after=SETTLE + 1))

    def test_between_two_readings(self) -> None:
        self.update('a', 'b')
        reading = self.update('a', marker=b'new', young=True)
        self.assert_doubt('a server was emptied', 'b', reading)

    def test_before_the_first_reading(self) -> None:
        self.assertFalse(self.update('a', young=True).complete)
        self.assertFalse(self.update('a', marker=None).complete)

    def test_unknown_members_have_time_also_where_no_key_says_that_it_is_young(
        self,
    ) -> None:
        """The key that says so may have been lost or evicted, too."""
        self.update('a')
        self.update(marker=b'new')
        self.assertFalse(self.update('a', marker=b'new').complete)
        late = self.update('a', marker=b'new', after=SETTLE + 1)
        self.assertTrue(late.complete)

    def test_another_server_was_in_its_place(self) -> None:
        """Members have renewed themselves there; here they expire."""
        self.update('a', 'b')
        self.update('a', 'b', marker=b'other')
        back = self.update('a')
        self.assert_doubt('a server was emptied', 'b', back)
        for _ in range(int(SETTLE)):
            reading = self.update()
            self.assertEqual(set(), reading.gone)
            self.assertFalse(reading.complete)
        self.assert_sure('', self.update(after=1.0))
        self.update('a')
        self.assert_sure('a', self.update())

    def test_not_all_markers_are_remembered(self) -> None:
        for number in range(1000):
            self.update(marker=b'%d' % number)
        self.assertLess(len(self.history._markers), 100)


class MuteTest(HistoryTest):
    def test_what_it_had_it_may_have(self) -> None:
        self.update('a')
        self.assert_doubt('a server does not answer', 'a', self.miss())

    def test_until_its_keys_have_expired(self) -> None:
        self.update('a')
        self.assertEqual({'a'}, set(self.miss(after=TTL).lost))
        self.assertEqual(set(), set(self.miss(after=1.0).lost))

    def test_back_from_an_outage_it_lacks_members_that_had_no_time(
        self,
    ) -> None:
        self.update('a', 'b')
        self.miss()
        self.miss(after=SETTLE / 4)
        lossy = 'a server was away or has lost members a moment ago'
        self.assert_doubt(lossy, 'b', self.update('a'))
        self.assert_doubt(lossy, 'a', self.update(after=SETTLE))
        self.assert_sure('', self.update())

    def test_a_hiccup_is_no_outage(self) -> None:
        self.update('a', 'b')
        self.miss()
        self.assert_sure('b', self.update('a'))


class LossyTest(HistoryTest):
    def test_while_a_member_reports_it(self) -> None:
        self.update('a', 'b')
        lossy = 'a server was away or has lost members a moment ago'
        self.assert_doubt(lossy, 'b', self.update('a', lossy=True))
        self.assert_sure('a', self.update())


class EvictionTest(HistoryTest):
    def evicts(self, *members: str, evictions: int) -> history.ServerReading:
        return self.update(*members, evictions=evictions)

    def test_what_is_lost_while_it_evicts_may_be_alive(self) -> None:
        self.update('a', 'b')
        reading = self.evicts('a', evictions=3)
        self.assertEqual({'b'}, reading.lost)
        self.assertIn('give it more (-m)', reading.doubt)

    def test_so_may_what_the_next_reading_misses(self) -> None:
        """Evictions are counted after the members are read."""
        self.update('a', 'b')
        self.evicts('a', 'b', evictions=3)
        self.assertEqual({'b'}, self.evicts('a', evictions=3).lost)

    def test_what_is_lost_later_is_gone(self) -> None:
        self.update('a')
        self.evicts('a', evictions=3)
        self.evicts('a', evictions=3)
        reading = self.evicts(evictions=3)
        self.assertEqual({'a'}, reading.gone)
        self.assertEqual(set(), reading.lost)

    def test_unknown_members_have_time_to_renew_themselves(self) -> None:
        self.update('a')
        self.evicts('a', evictions=3)
        self.evicts('a', evictions=3)
        self.clock.advance(SETTLE - 1)
        self.assertFalse(self.evicts('a', evictions=3).complete)
        self.assertTrue(self.evicts('a', evictions=3).complete)

    def test_what_was_evicted_before_the_first_reading_is_no_doubt(
        self,
    ) -> None:
        reading = self.evicts('a', evictions=3)
        self.assertFalse(reading.complete)
        self.assertIsNone(reading.doubt)
