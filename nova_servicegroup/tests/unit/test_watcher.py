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


import datetime
import types
from typing import Any

from nova_servicegroup import condition
from nova_servicegroup import domains
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

WALL = 1_800_000_000.0
JOINED = WALL - 500
#: Since when a host is degraded or draining.
SINCE = WALL - 90


def unfit(state: str, reason: str = 'rpc') -> condition.Condition | None:
    """Return the condition of a state, or None if it has none."""
    if state not in (condition.DEGRADED, condition.DRAINING):
        return None
    return condition.Condition(state, reason, SINCE)


class Record(dict[str, Any]):
    """A record that was read from a cell."""

    def __init__(self, host: str, cell: str) -> None:
        super().__init__(host=host, topic='compute', forced_down=False)
        self._context = types.SimpleNamespace(cell_uuid=cell)


class Driver(drivers.Driver):
    """A driver that sees what a test sets."""

    def __init__(self) -> None:
        super().__init__(None)
        self.members: dict[str, views.Member] = {}
        self.error: exceptions.BackendError | None = None
        self.age: float | None = 0.0
        self.presumes = False
        self.domains: dict[str, str] = {}
        self.ignored: tuple[str, ...] = ()
        self.group = ''
        self.detailed: views.Detailed = False

    def lose(
        self,
        age: float | None,
        error: exceptions.BackendError | None = None,
    ) -> None:
        """Make the backend unavailable."""
        self.age = age
        self.error = error or exceptions.BackendError('ZooKeeper', 'mute')

    def find(self) -> None:
        """Make the backend available."""
        self.age, self.error = 0.0, None

    def lose_domain(self, domain: str, *hosts: str) -> None:
        """Have hosts be held since more than half of a domain was lost."""
        reason = domains.reason(domain)
        for host in hosts:
            self.members[host] = views.Member(
                host, 'compute', True, True, reason=reason, domain=domain
            )

    def tell(self, **states: str) -> None:
        """Set the states of hosts; those that are down leave the list."""
        for host, state in states.items():
            self.members.pop(host, None)
            found = unfit(state)
            if state != views.DOWN:
                self.members[host] = views.Member(
                    host,
                    'compute',
                    True,
                    state == views.HELD,
                    1.0,
                    (
                        views.Incarnation('old', JOINED),
                        views.Incarnation('new', JOINED + 100),
                        views.Incarnation('unknown'),
                    ),
                    found and condition.words(found),
                    condition=found,
                    domain=self.domains.get(host),
                )

    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        self.group, self.detailed = group, detailed
        found = sorted(self.members.values(), key=lambda each: each.host)
        return views.View(tuple(found), self.age, self.error, self.ignored)

    def is_up(self, service_ref: Any) -> bool:
        return self.presumes or service_ref['host'] in self.members

    def join(self, member: str, group: str, service: Any) -> None:
        raise NotImplementedError

    def leave(self, member: str, group: str) -> None:
        raise NotImplementedError

    def updated_time(self, service_ref: Any) -> datetime.datetime | None:
        raise NotImplementedError


class AgentsDriver(Driver):
    """A driver that sees agents of hosts, too.

    :ivar agents: the states of the agents by host: those of members, or what
        an agent reports; without one, it is down
    """

    shows_marks = True

    def __init__(self) -> None:
        super().__init__()
        self.agents: dict[str, str] = {}
        self.agents_error: exceptions.BackendError | None = None
        self.agents_age: float | None = 0.0
        # The groups that were read or asked about.
        self.asked: list[str] = []

    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        self.asked.append(group)
        if group != 'host':
            return super().view(group, detailed)
        found = [self._agent(*each) for each in sorted(self.agents.items())]
        return views.View(tuple(found), self.agents_age, self.agents_error)

    def _agent(self, host: str, state: str) -> views.Member:
        reported = None
        if state not in (views.UP, views.HELD):
            reported = condition.Condition(state, 'compute', SINCE)
        held = state == views.HELD
        return views.Member(host, 'host', True, held, 0.0, condition=reported)

    def is_up(self, service_ref: Any) -> bool:
        self.asked.append(service_ref['topic'])
        if service_ref['topic'] == 'host':
            return service_ref['host'] in self.agents
        return super().is_up(service_ref)


class WatchedTest(base.TestCase):
    """A group with two hosts, registered or not.

    :ivar options: the configuration file
    """

    options = ''

    def setUp(self) -> None:
        super().setUp()
        self.driver = self.make_driver()
        self.api = self.api_of(self.driver, self.options)
        self.records: dict[str, dict[str, Any]] | None = None
        self.reads = 0
        self.driver.table = base.Table(self._read)
        self.driver.tell(a='up', b='up')

    def make_driver(self) -> Driver:
        """Return the driver that sees what the test sets."""
        return Driver()

    def _read(self, group: str) -> list[dict[str, Any]]:
        self.reads += 1
        if self.records is None:
            raise exceptions.BackendError('services table', 'away')
        return list(self.records.values())

    def register(self, *hosts: str, **values: Any) -> None:
        """Give Nova records of hosts."""
        self.records = self.records or {}
        for host in hosts:
            self.records[host] = {
                'host': host,
                'topic': 'compute',
                'forced_down': False,
                **values,
            }


class InventoryTest(WatchedTest):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.reader = inventory.Reader(self.api, 'compute')

    def states(self) -> dict[str, str]:
        entries = self.reader.read().entries
        return {host: each.state for host, each in entries.items()}

    def test_members_and_registered_services_are_listed(self) -> None:
        self.register('b', 'c')
        self.driver.tell(a='held')
        self.assertEqual({'a': 'held', 'b': 'up', 'c': 'down'}, self.states())
        entries = self.reader.read().entries
        self.assertEqual(
            [(True, False), (True, True), (False, True)],
            [
                (each.member is not None, each.record is not None)
                for each in entries.values()
            ],
        )

    def test_without_the_services_table_members_are_listed(self) -> None:
        self.assertEqual({'a': 'up', 'b': 'up'}, self.states())
        self.assertIn('away', str(self.reader.read().unregistered))

    def test_forced_down_wins(self) -> None:
        self.register('a', forced_down=True)
        self.assertEqual('forced down', self.states()['a'])

    def test_a_blind_driver_presumes_the_registered_up(self) -> None:
        self.register('a', 'c')
        self.driver.presumes = True
        self.assertEqual('held', self.states()['c'])

    def test_records_are_read_at_an_interval(self) -> None:
        self.register('a')
        for _ in range(9):
            self.reader.read()
            self.clock.advance(1)
        self.assertEqual(1, self.reads)
        self.clock.advance(1)
        self.reader.read()
        self.assertEqual(2, self.reads)

    def read(
        self, *records: Record, away: tuple[str, ...] = ()
    ) -> dict[str, str]:
        """Set the records and the cells that fail; return the states."""

        def read(group: str) -> list[Any]:
            if away:
                raise exceptions.PartialRecords(
                    'services table', list(records), away
                )
            return list(records)

        self.driver.table = base.Table(read)
        self.clock.advance(10)
        return self.states()

    def tell_cells(self, **cells: str) -> None:
        """Give a host one member in each of these cells."""
        self.driver.members = {
            cell: views.Member('a', 'compute', state != views.DOWN, cell=cell)
            for cell, state in cells.items()
        }

    def test_two_records_of_one_host_name_in_two_cells_are_both_listed(
        self,
    ) -> None:
        self.tell_cells(one='up', two='down')
        self.assertEqual(
            {'a (cell one)': 'up', 'a (cell two)': 'down'},
            self.read(Record('a', 'one'), Record('a', 'two')),
        )

    def test_a_backend_without_cells_has_one_member_for_both(self) -> None:
        self.driver.tell(b='down')
        self.assertEqual(
            {'a (cell one)': 'up', 'a (cell two)': 'up'},
            self.read(Record('a', 'one'), Record('a', 'two')),
        )

    def test_two_members_of_one_host_name_without_records_are_both_listed(
        self,
    ) -> None:
        self.tell_cells(one='up', two='down')
        states = self.states()
        self.assertEqual(['down', 'up'], sorted(states.values()))

    def test_a_member_with_a_record_and_one_without_are_both_listed(
        self,
    ) -> None:
        self.tell_cells(one='up', two='down')
        self.assertEqual(
            {'a (cell one)': 'up', 'a (cell two)': 'down'},
            self.read(Record('a', 'one')),
        )

    def test_a_cell_that_fails_keeps_its_old_records_and_is_reported(
        self,
    ) -> None:
        self.driver.tell(a='down', b='down')
        self.read(Record('a', 'one'), Record('b', 'two'), Record('d', 'two'))
        states = self.read(
            Record('a', 'one'), Record('c', 'one'), away=('two',)
        )
        self.assertEqual(['a', 'b', 'c', 'd'], list(states))
        error = self.reader.read().unregistered
        self.assertIn('no answer from cell two', str(error))
        # The cell has become empty.
        self.assertEqual(['a'], list(self.read(Record('a', 'one'))))
        self.assertIsNone(self.reader.read().unregistered)

    def test_the_old_records_stay_if_all_cells_fail(self) -> None:
        self.driver.tell(a='down', b='down')
        self.read(Record('a', 'one'))
        states = self.read(away=('one', 'two'))
        self.assertEqual({'a': 'down'}, states)

    def test_names_that_differ_in_case_are_one(self) -> None:
        self.driver.tell(a='down', b='down', ctl1='up')
        self.assertEqual({'CTL1': 'up'}, self.read(Record('CTL1', 'one')))
        entry = self.reader.read().entries['CTL1']
        self.assertEqual('ctl1', entry.member.host)

    def test_each_state_is_counted(self) -> None:
        self.register('a', 'c')
        self.register('d', forced_down=True)
        self.assertEqual(
            {
                'up': 2,
                'held': 0,
                'degraded': 0,
                'draining': 0,
                'down': 1,
                'forced down': 1,
            },
            self.reader.read().count(),
        )

    def test_it_is_as_old_as_its_oldest_process(self) -> None:
        self.register('c')
        entries = self.reader.read().entries
        self.assertEqual(JOINED, entries['a'].since)
        self.assertIsNone(entries['c'].since)


class WatcherTest(WatchedTest):
    def setUp(self) -> None:
        super().setUp()
        self.wall = base.Clock(WALL)
        self.set_time(self.wall)
        self.watcher = watcher.Watcher(self.api, 'compute')

    def poll(self, seconds: float = 1.0) -> list[tuple[str, str | None, str]]:
        """Advance the clocks and poll."""
        self.clock.advance(seconds)
        self.wall.advance(seconds)
        return [
            (each.host, each.before, each.state)
            for each in self.watcher.poll()
        ]

    def test_the_first_look_is_no_transition(self) -> None:
        self.assertEqual([], self.poll())
        self.assertEqual([], self.poll())

    def test_down_and_up_again(self) -> None:
        self.poll()
        self.driver.tell(a='down')
        self.assertEqual([('a', 'up', 'down')], self.poll())
        self.assertEqual([], self.poll())
        self.driver.tell(a='up')
        self.assertEqual([('a', 'down', 'up')], self.poll())

    def test_a_transition_has_a_time_and_a_reason(self) -> None:
        self.poll()
        self.driver.tell(a='down')
        self.clock.advance(2)
        self.wall.advance(2)
        (change,) = self.watcher.poll()
        self.assertEqual(WALL + 3, change.at)
        self.assertEqual('compute', change.group)
        self.assertIn('just confirmed', change.reason)
        # The proof was a second old when it was seen last, 2 s ago.
        self.assertEqual(3.0, change.proof_age)

    def test_a_step_of_the_clock_ages_no_proof_of_life(self) -> None:
        for step in (3600, -3600):
            self.driver.tell(a='up')
            self.poll()
            self.driver.tell(a='down')
            self.clock.advance(2)
            self.wall.advance(step)
            (change,) = self.watcher.poll()
            self.assertEqual(3.0, change.proof_age)
            self.assertEqual(3.0, self.watcher.proof_age('a'))

    def test_the_proof_of_life_of_a_service_with_another_name(self) -> None:
        # Its record has upper case, or another cell has the same host.
        self.register('A')
        self.poll()
        self.driver.tell(a='down')
        (change,) = self.watcher.poll()
        self.assertEqual(('A', 1.0), (change.host, change.proof_age))

    def tell_late(self, up: bool, held: bool, reason: str) -> None:
        """Make a heartbeat late, as the db driver reports it."""
        self.driver.members['a'] = views.Member(
            'a', 'compute', up, held, 70.0, reason=reason
        )

    def test_the_reason_of_a_late_record(self) -> None:
        self.poll()
        self.tell_late(False, False, 'no heartbeat for 70 s')
        (change,) = self.watcher.poll()
        self.assertEqual(('up', 'down'), (change.before, change.state))
        self.assertEqual('no heartbeat for 70 s', change.reason)

    def test_the_reason_of_a_held_member(self) -> None:
        self.poll()
        reason = 'no heartbeat for 70 s, but the heartbeats of most are late'
        self.tell_late(True, True, reason)
        (change,) = self.watcher.poll()
        self.assertEqual(('up', 'held'), (change.before, change.state))
        self.assertEqual(reason, change.reason)
        self.tell_late(False, False, 'no heartbeat for 121 s')
        (change,) = self.watcher.poll()
        self.assertEqual(('held', 'down'), (change.before, change.state))
        self.assertEqual('no heartbeat for 121 s', change.reason)
        # A member that is back is not late.
        self.driver.tell(a='up')
        self.assertEqual('joined', self.watcher.poll()[0].reason)

    def test_held_and_how_it_ends(self) -> None:
        self.poll()
        self.driver.tell(a='held', b='held')
        self.assertEqual(
            [('a', 'up', 'held'), ('b', 'up', 'held')], self.poll()
        )
        self.driver.tell(a='up', b='down')
        self.assertEqual(
            [('a', 'held', 'up'), ('b', 'held', 'down')], self.poll()
        )

    def test_degraded_and_draining_and_how_they_end(self) -> None:
        self.poll()
        self.driver.tell(a='degraded', b='draining')
        changes = self.watcher.poll()
        self.assertEqual(
            [
                ('up', 'degraded', unfit('degraded')),
                ('up', 'draining', unfit('draining')),
            ],
            [(each.before, each.state, each.condition) for each in changes],
        )
        self.assertIn('rpc', changes[0].reason)
        self.driver.tell(a='up', b='down')
        changes = self.watcher.poll()
        self.assertEqual(
            [('degraded', 'up', None), ('draining', 'down', None)],
            [(each.before, each.state, each.condition) for each in changes],
        )
        self.assertEqual('fit again', changes[0].reason)

    def test_a_check_that_is_ignored_is_the_reason_for_up(self) -> None:
        self.poll()
        self.driver.tell(a='degraded')
        self.watcher.poll()
        self.driver.tell(a='up')
        self.driver.ignored = ('rpc',)
        (change,) = self.watcher.poll()
        self.assertEqual(('degraded', 'up'), (change.before, change.state))
        self.assertIn('ignored: rpc', change.reason)

    def test_only_a_degraded_or_draining_service_has_a_condition(self) -> None:
        self.register('a')
        self.poll()
        self.driver.tell(a='degraded')
        self.poll()
        self.register('a', forced_down=True)
        self.clock.advance(10)
        (change,) = self.watcher.poll()
        self.assertEqual(
            ('forced down', None), (change.state, change.condition)
        )

    def test_a_new_host_has_joined(self) -> None:
        self.poll()
        self.driver.tell(c='up')
        self.assertEqual([('c', None, 'up')], self.poll())

    def test_forced_down_by_an_operator(self) -> None:
        self.register('a')
        self.poll()
        self.register('a', forced_down=True)
        self.assertEqual([('a', 'up', 'forced down')], self.poll(10))
        self.register('a')
        self.assertEqual([('a', 'forced down', 'up')], self.poll(10))

    def test_a_host_that_is_down_is_known_until_nova_forgets_it(self) -> None:
        self.register('a', 'b')
        self.poll()
        self.driver.tell(a='down')
        self.poll()
        self.assertEqual('down', self.watcher.last.entries['a'].state)
        self.assertIsNotNone(self.watcher.proof_age('a'))
        del self.records['a']
        self.assertEqual([], self.poll(10))
        self.assertEqual(['b'], list(self.watcher.last.entries))
        self.clock.advance(7 * 86400)
        self.driver.tell(a='down', b='up')
        self.watcher.poll()
        self.assertIsNone(self.watcher.proof_age('a'))
        self.assertIsNotNone(self.watcher.proof_age('b'))

    def test_without_the_services_table_it_is_known_for_ever(self) -> None:
        self.poll()
        self.driver.tell(a='down')
        for _ in range(3):
            self.poll(100)
        self.assertEqual(1, self.watcher.last.count()['down'])


AGENTS = '[servicegroup]\nagents = true\n'


class DomainTest(WatchedTest):
    """A domain of three hosts, and a host without one."""

    RACK = 'a', 'b', 'c'

    def setUp(self) -> None:
        super().setUp()
        self.driver.domains = dict.fromkeys(self.RACK, 'rack1')
        self.watcher = watcher.Watcher(self.api, 'compute')
        self.driver.tell(**dict.fromkeys((*self.RACK, 'd'), views.UP))
        self.watcher.poll()

    def poll(self) -> list[watcher.Transition]:
        """Return the transitions of domains."""
        self.clock.advance(1)
        return [it for it in self.watcher.poll() if it.is_of_domain]

    def test_it_is_one_event(self) -> None:
        self.driver.lose_domain('rack1', 'a', 'b')
        (lost,) = self.poll()
        self.assertEqual(
            ('compute', 'rack1', views.UP, views.DOWN, ('a', 'b')),
            (
                lost.watched_group,
                lost.host,
                lost.before,
                lost.state,
                lost.hosts,
            ),
        )
        self.assertEqual(domains.reason('rack1'), lost.reason)
        self.assertEqual([], self.poll())
        self.assertEqual({'rack1': ['a', 'b']}, dict(self.watcher.lost))

    def test_its_hosts_know_it(self) -> None:
        self.driver.tell(a=views.DOWN)
        (down,) = self.watcher.poll()
        self.assertEqual(('a', 'rack1'), (down.host, down.domain))
        assert self.watcher.last is not None
        entry = self.watcher.last.entries['a']
        self.assertEqual((views.DOWN, 'rack1'), (entry.state, entry.domain))

    def test_it_is_lost_while_its_hosts_are_down(self) -> None:
        self.driver.lose_domain('rack1', 'a', 'b')
        self.poll()
        self.driver.tell(a=views.DOWN, b=views.DOWN)
        self.assertEqual([], self.poll())
        self.assertEqual({'rack1': ['a', 'b']}, dict(self.watcher.lost))

    def test_it_is_back_when_half_of_its_hosts_are(self) -> None:
        self.driver.lose_domain('rack1', 'a', 'b')
        self.poll()
        self.driver.tell(b=views.UP, a=views.DOWN)
        (back,) = self.poll()
        self.assertEqual((views.DOWN, views.UP), (back.before, back.state))
        self.assertEqual({}, dict(self.watcher.lost))

    def test_hosts_that_were_down_before_do_not_count(self) -> None:
        dead = [f'dead{number}' for number in range(4)]
        for host in dead:
            self.driver.domains[host] = 'rack1'
            self.driver.tell(**{host: views.UP})
            self.watcher.poll()
            self.driver.tell(**{host: views.DOWN})
            self.watcher.poll()
        self.driver.lose_domain('rack1', *self.RACK)
        self.poll()
        self.driver.tell(**dict.fromkeys(self.RACK, views.UP))
        self.assertEqual([views.UP], [each.state for each in self.poll()])

    def test_hosts_that_are_down_one_by_one_are_no_loss(self) -> None:
        for host in self.RACK:
            self.driver.tell(**{host: views.DOWN})
            self.assertEqual([], self.poll())

    def test_held_for_another_reason_is_no_loss(self) -> None:
        self.driver.tell(**dict.fromkeys(self.RACK, views.HELD))
        self.assertEqual([], self.poll())

    def test_the_records_of_those_that_are_down_have_no_domain(self) -> None:
        self.register(*self.RACK)
        self.clock.advance(10)
        self.driver.lose_domain('rack1', 'a', 'b')
        self.poll()
        self.driver.tell(a=views.DOWN, b=views.DOWN)
        self.assertEqual([], self.poll())
        self.assertEqual({'rack1': ['a', 'b']}, dict(self.watcher.lost))


class EvidenceCase(WatchedTest):
    """Two hosts with agents, whose sessions end within ten seconds."""

    options = AGENTS

    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.driver.agents = {'a': 'up', 'b': 'up'}

    def make_driver(self) -> AgentsDriver:
        made = AgentsDriver()
        made.found_within = 10.0
        return made

    def kill(self, host: str) -> None:
        """Make a service and its agent down."""
        self.driver.tell(**{host: 'down'})
        self.driver.agents.pop(host, None)


class InventoryEvidenceTest(EvidenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.register('a', 'b')
        self.reader = inventory.Reader(self.api, 'compute')

    def evidence(self) -> dict[str, str | None]:
        """Read the group a second later; return the evidence of each host."""
        self.clock.advance(1)
        entries = self.reader.read().entries
        return {host: each.evidence for host, each in entries.items()}

    def test_only_of_services_that_are_down(self) -> None:
        self.assertEqual({'a': None, 'b': None}, self.evidence())
        for state in ('held', 'degraded', 'draining'):
            self.driver.tell(a=state)
            self.assertEqual({'a': None, 'b': None}, self.evidence())
        self.kill('a')
        self.assertEqual({'a': 'silent', 'b': None}, self.evidence())

    def test_what_the_agent_reports(self) -> None:
        self.evidence()
        self.driver.tell(a='down')
        for reported, found in (
            ('up', 'not-reporting'),
            ('process-died', 'process-died'),
            ('process-stopped', 'process-stopped'),
            ('held', 'unknown'),
            ('draining', 'unknown'),
        ):
            self.driver.agents['a'] = reported
            self.assertEqual({'a': found, 'b': None}, self.evidence())

    def test_forced_down_wins(self) -> None:
        self.register('a', forced_down=True)
        self.assertEqual('forced', self.evidence()['a'])
        self.kill('a')
        self.assertEqual('forced', self.evidence()['a'])

    def test_an_agent_that_has_stopped(self) -> None:
        self.evidence()
        self.driver.agents['a'] = 'draining'
        self.evidence()
        self.kill('a')
        self.assertEqual('unknown', self.evidence()['a'])

    def test_the_margin_is_that_of_two_sessions(self) -> None:
        # Agents and services were proved alive a second ago, or now.
        for seconds, found in ((18, 'silent'), (22, 'unknown')):
            self.driver.agents['a'] = 'up'
            self.driver.tell(a='up')
            self.evidence()
            del self.driver.agents['a']
            self.clock.advance(seconds)
            self.evidence()
            self.driver.tell(a='down')
            self.assertEqual(found, self.evidence()['a'])

    def test_a_process_that_has_just_begun(self) -> None:
        self.kill('a')
        self.assertEqual('silent', self.evidence()['a'])

    def test_blind(self) -> None:
        self.evidence()
        self.kill('a')
        error = exceptions.BackendError('ZooKeeper', 'mute')
        for self.driver.agents_error, self.driver.agents_age in (
            (error, 1.0),
            (error, None),
            (None, None),
        ):
            self.assertEqual('unknown', self.evidence()['a'])
        self.driver.agents_age = 0.0
        self.assertEqual('silent', self.evidence()['a'])

    def test_names_that_differ_in_case(self) -> None:
        self.records = None
        self.register('A', 'b')
        self.evidence()
        self.driver.tell(a='down')
        self.assertEqual('not-reporting', self.evidence()['A'])

    def test_two_cells_with_one_host_name_ask_for_the_same_agent(self) -> None:
        records = [Record('a', 'one'), Record('a', 'two')]
        self.driver.table = base.Table(lambda group: records)
        self.driver.tell(a='down', b='down')
        names = ['a (cell one)', 'a (cell two)']
        self.assertEqual(
            dict.fromkeys(names, 'not-reporting'), self.evidence()
        )
        self.kill('a')
        self.assertEqual(dict.fromkeys(names, 'silent'), self.evidence())

    def test_a_group_that_agents_do_not_watch(self) -> None:
        self.reader = inventory.Reader(self.api, 'conductor')
        self.evidence()
        self.driver.tell(a='down')
        self.assertEqual('unknown', self.evidence()['a'])
        self.kill('a')
        self.assertEqual('silent', self.evidence()['a'])
        # There need not be an agent where only a conductor runs.
        self.register('c')
        self.clock.advance(10)
        self.assertEqual('unknown', self.evidence()['c'])

    def test_the_agents_themselves_have_no_evidence(self) -> None:
        self.reader = inventory.Reader(self.api, 'host')
        self.records = None
        self.register('a', topic='host')
        self.evidence()
        self.driver.agents.clear()
        self.assertEqual({'a': 'unknown'}, self.evidence())

    def test_a_long_time_changes_nothing(self) -> None:
        self.evidence()
        del self.driver.agents['a']
        for _ in range(3):
            self.clock.advance(10)
            self.evidence()
        self.driver.tell(a='down')
        for _ in range(3):
            self.assertEqual('unknown', self.evidence()['a'])
            self.clock.advance(8 * 86400)

    def test_the_services_by_evidence(self) -> None:
        self.register('c', forced_down=True)
        self.register('d')
        self.evidence()
        self.kill('a')
        self.driver.agents['d'] = 'process-died'
        self.assertEqual(
            {
                'process-stopped': 0,
                'process-died': 1,
                'not-reporting': 0,
                'silent': 1,
                'fenced': 0,
                'forced': 1,
                'unknown': 0,
            },
            self.reader.read().count_evidence(),
        )


class NoAgentsTest(EvidenceCase):
    """Without agents, nothing more is asked of the backend."""

    options = ''

    def check(self) -> None:
        self.register('a', 'b', 'd')
        self.register('c', forced_down=True)
        watched = watcher.Watcher(self.api, 'compute')
        watched.poll()
        self.kill('a')
        changes = watched.poll()
        self.assertEqual(['unknown'], [each.evidence for each in changes])
        self.assertEqual([], watched.poll())
        self.assertNotIn('host', self.driver.asked)
        self.assertIn('compute', self.driver.asked)

    def test_they_are_off(self) -> None:
        self.check()

    def test_the_driver_does_not_show_what_they_report(self) -> None:
        self.driver.shows_marks = False
        self.api = self.api_of(self.driver, AGENTS)
        self.check()


class EvidenceChangesTest(EvidenceCase):
    """The evidence of services that stay down."""

    def setUp(self) -> None:
        super().setUp()
        self.register('a', 'b')
        self.watcher = watcher.Watcher(self.api, 'compute')
        self.poll()

    def poll(self) -> list[tuple[str, str | None, str, str | None]]:
        """Poll a second later; return what has changed."""
        self.clock.advance(1)
        return [
            (each.host, each.before, each.state, each.evidence)
            for each in self.watcher.poll()
        ]

    def shown(self) -> str | None:
        """Return the evidence of host a, as it is known now."""
        return self.watcher.last.entries['a'].evidence

    def test_it_comes_with_the_transition(self) -> None:
        self.kill('a')
        self.assertEqual([('a', 'up', 'down', 'silent')], self.poll())
        self.assertEqual([], self.poll())
        self.driver.tell(a='up')
        self.assertEqual([('a', 'down', 'up', None)], self.poll())

    def test_a_change_is_an_event_of_its_own(self) -> None:
        self.driver.tell(a='down')
        self.assertEqual([('a', 'up', 'down', 'not-reporting')], self.poll())
        del self.driver.agents['a']
        self.clock.advance(1)
        (change,) = self.watcher.poll()
        self.assertEqual(('down', 'down'), (change.before, change.state))
        self.assertEqual('silent', change.evidence)
        self.assertEqual('evidence: silent', change.reason)
        # The proof was a second old when it was seen last, 2 s ago.
        self.assertEqual(3.0, change.proof_age)
        self.assertTrue(change.keeps_state)
        self.assertEqual([], self.poll())
        self.driver.agents['a'] = 'process-died'
        self.assertEqual([('a', 'down', 'down', 'process-died')], self.poll())

    def test_a_change_of_the_state_is_the_only_event(self) -> None:
        self.driver.tell(a='down')
        self.poll()
        del self.driver.agents['a']
        self.driver.tell(a='up')
        self.assertEqual([('a', 'down', 'up', None)], self.poll())

    def test_unknown_for_a_while_is_no_event(self) -> None:
        self.kill('a')
        self.poll()
        error = exceptions.BackendError('ZooKeeper', 'mute')
        for _ in range(3):
            self.driver.agents_error = error
            self.assertEqual([], self.poll())
            self.assertEqual([], self.poll())
            self.assertEqual('unknown', self.shown())
            self.driver.agents_error = None
            self.assertEqual([], self.poll())
            self.assertEqual('silent', self.shown())

    def test_what_follows_unknown_is_an_event(self) -> None:
        self.driver.agents_age = None
        self.kill('a')
        self.assertEqual([('a', 'up', 'down', 'unknown')], self.poll())
        self.driver.agents_age = 0.0
        self.assertEqual([('a', 'down', 'down', 'silent')], self.poll())
        self.driver.agents_age = None
        self.assertEqual([], self.poll())
        self.driver.agents_age, self.driver.agents['a'] = 0.0, 'up'
        self.assertEqual([('a', 'down', 'down', 'not-reporting')], self.poll())

    def test_what_was_known_of_an_earlier_death_is_forgotten(self) -> None:
        self.kill('a')
        self.poll()
        self.driver.tell(a='up')
        self.poll()
        self.driver.agents_age = None
        self.driver.tell(a='down')
        self.assertEqual([('a', 'up', 'down', 'unknown')], self.poll())
        self.driver.agents_age = 0.0
        self.assertEqual([('a', 'down', 'down', 'silent')], self.poll())

    def test_forced_down_while_it_is_down(self) -> None:
        self.kill('a')
        self.poll()
        self.register('a', forced_down=True)
        self.clock.advance(10)
        self.assertEqual([('a', 'down', 'forced down', 'forced')], self.poll())
        self.assertEqual([], self.poll())
        self.register('a')
        self.clock.advance(10)
        self.assertEqual([('a', 'forced down', 'down', 'silent')], self.poll())

    def test_a_host_that_nova_has_no_record_of(self) -> None:
        self.records = None
        self.watcher = watcher.Watcher(self.api, 'compute')
        self.poll()
        self.driver.tell(a='down')
        self.assertEqual([('a', 'up', 'down', 'not-reporting')], self.poll())
        self.assertEqual([], self.poll())
        del self.driver.agents['a']
        self.assertEqual([('a', 'down', 'down', 'silent')], self.poll())
        self.assertEqual([], self.poll())

    def test_not_before_the_group_is_known(self) -> None:
        self.watcher = watcher.Watcher(self.api, 'compute')
        self.kill('a')
        self.driver.agents_age = None
        self.assertEqual([], self.poll())
        self.assertEqual('unknown', self.shown())
        self.driver.agents_age = 0.0
        self.assertEqual([('a', 'down', 'down', 'silent')], self.poll())
