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

import dataclasses
import io
import queue
import socket
import types

from nova_servicegroup.cmd import simulate
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import mc
from nova_servicegroup.drivers import views
from nova_servicegroup.drivers import zk
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup.simulation import hollow
from nova_servicegroup.simulation import limits
from nova_servicegroup.simulation import plan
from nova_servicegroup.simulation import results
from nova_servicegroup.simulation import run
from nova_servicegroup.simulation import timers
from nova_servicegroup.tests import base
from nova_servicegroup.watch import watcher

GROUP = 'simulation'


def make_plan(members=10, processes=2, percent=20.0):
    return plan.make(GROUP, members, processes, percent, hold=5.0)


class PlanTestCase(base.TestCase):
    def test_every_host_is_in_one_process(self):
        for members, processes, percent in (
            (1, 1, 0),
            (1, 4, 100),
            (10, 3, 1),
            (10, 3, 99),
            (10, 4, 50),
            (1000, 3, 10),
        ):
            made = make_plan(members, processes, percent)
            dealt = [host for hosts in made.processes for host in hosts]
            self.assertEqual(members, len(dealt))
            self.assertEqual(set(dealt), made.hosts)
            self.assertEqual(round(members * percent / 100), len(made.killed))
            self.assertTrue(all(made.processes))
            self.assertLessEqual(len(made.processes), processes)
            self.assertEqual(max(map(len, made.processes)), made.largest)

    def test_processes_are_killed_in_proportion(self):
        made = make_plan(members=100, processes=4, percent=50)
        self.assertEqual((2, 2), (len(made.doomed), len(made.survivors)))

    def test_processes_are_not_full(self):
        self.assertEqual(3, plan.processes_for(1, processors=2))
        for members in (
            plan.MEMBERS_PER_PROCESS,
            10 * plan.MEMBERS_PER_PROCESS,
            10 * plan.MEMBERS_PER_PROCESS + 1,
        ):
            made = make_plan(members, plan.processes_for(members, 2), 10)
            self.assertLessEqual(made.largest, plan.MEMBERS_PER_PROCESS)

    def test_one_process_cannot_die_and_live(self):
        error = self.assertRaises(
            exceptions.ArgumentError, make_plan, processes=1
        )
        self.assertEqual('--processes', error.argument)

    def test_all_may_be_killed_in_one_process(self):
        made = make_plan(processes=1, percent=100)
        self.assertEqual(made.hosts, made.killed)


class GroupTestCase(base.TestCase):
    def check(self, group=GROUP, registered=(), members=(), force=False):
        plan.check_group(group, registered, members, force)

    def assert_refused(self, text, **how):
        error = self.assertRaises(exceptions.ArgumentError, self.check, **how)
        self.assertIn(text, str(error))

    def test_groups_of_nova(self):
        for group in ('compute', 'conductor', 'scheduler', 'console'):
            self.assert_refused('--force', group=group)
            self.check(group=group, force=True)

    def test_a_group_with_registered_services(self):
        self.assert_refused('It has host1', registered=['host1'])
        self.check(registered=['host1'], force=True)

    def test_a_group_with_members(self):
        hosts = [f'host{number}' for number in range(5)]
        self.assert_refused('host0, host1, host2 and 2 more', members=hosts)
        self.check(members=hosts, force=True)

    def test_a_simulation_on_another_machine_may_run_too(self):
        self.check(members=[f'simulated-not-{socket.gethostname()}-00001'])

    def test_what_an_earlier_simulation_has_left(self):
        left = f'{plan.prefix()}00001'
        self.assertIn(left, make_plan().hosts)
        for force in (False, True):
            self.assert_refused(left, members=[left], force=force)


DRIVERS = {
    'zk': zk.ZooKeeperDriver,
    'mc': mc.MemcachedDriver,
    'foreign': drivers.Driver,
}


class LimitsTestCase(base.TestCase):
    here = limits.Machine(files=1000, threads=((2000, 'a'), (3000, 'b')))

    def check(self, driver='zk', members=10, servers=('one',), **how):
        asked = types.SimpleNamespace(
            servers=servers, cost=DRIVERS[driver].cost
        )
        return limits.check(asked, make_plan(members, **how), self.here)

    def test_few_members_fit(self):
        self.assertEqual([], self.check('zk'))
        self.assertEqual([], self.check('mc'))

    def test_nothing_is_known_of_other_drivers(self):
        self.assertEqual([], self.check('foreign', 100000))

    def test_files(self):
        most = (1000 - limits.SPARE) // zk.ZooKeeperDriver.cost.files
        self.check(members=most, processes=1, percent=0)
        error = self.assertRaises(
            exceptions.ArgumentError,
            self.check,
            members=most + 1,
            processes=1,
            percent=0,
        )
        self.assertIn('raise ulimit -Hn', str(error))
        self.check(members=most + 1, percent=50)

    def test_files_for_every_server(self):
        most = (1000 - limits.SPARE) // mc.MemcachedDriver.cost.files // 2
        self.check('mc', most, ('one', 'two'), processes=1, percent=0)
        self.assertRaises(
            exceptions.ArgumentError,
            self.check,
            'mc',
            most + 1,
            ('one', 'two'),
            processes=1,
            percent=0,
        )

    def test_threads(self):
        error = self.assertRaises(
            exceptions.ArgumentError, self.check, members=600, processes=6
        )
        self.assertIn('2000 more may be started: raise a', str(error))

    def test_sessions_of_one_address(self):
        most = zk.ZooKeeperDriver.cost.max_connections
        self.assertEqual([], self.check(members=most - 1))
        (warning,) = self.check(members=most)
        self.assertIn(f'must take {most + 1} connections', warning)
        self.assertIn('maxClientCnxns', warning)
        self.assertEqual([], self.check('zk', most, ('one', 'two')))

    def test_this_machine_allows_something(self):
        here = limits.machine()
        self.assertGreater(here.files, 0)
        self.assertTrue(all(count > 0 for count, _ in here.threads))


class TimersTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.set_time()
        self.timers = timers.Timers()
        self.ran = []

    def add(self, interval=10.0, delay=5.0, name='a', **how):
        self.timers.add_timer_args(
            interval, self.ran.append, args=(name,), initial_delay=delay, **how
        )

    def run_due(self):
        self.timers.take_due()
        while True:
            try:
                self.timers.run_one(timeout=0)
            except queue.Empty:
                return

    def at(self, seconds):
        """Return what runs when so many seconds have passed."""
        self.clock.advance(seconds)
        self.ran.clear()
        self.run_due()
        return list(self.ran)

    def test_first_after_the_delay_then_at_every_interval(self):
        self.add()
        seen = [self.at(seconds) for seconds in (4.9, 0.1, 9.9, 0.1)]
        self.assertEqual([[], ['a'], [], ['a']], seen)

    def test_one_that_is_late_does_not_catch_up(self):
        self.add()
        self.assertEqual(['a'], self.at(50))
        self.assertEqual(['a'], self.at(0))
        self.assertEqual([], self.at(9.9))

    def test_an_error_ends_no_timer(self):
        self.timers.add_timer_args(10.0, lambda: 1 / 0, initial_delay=5.0)
        self.add(name='b')
        self.assertEqual(['b'], self.at(5))
        self.assertIn('division by zero', self.log.output)
        self.assertEqual(['b'], self.at(10))

    def test_nothing_runs_after_the_stop(self):
        self.add()
        self.timers.stop()
        self.assertEqual([], self.at(5))

    def test_more_members_have_more_threads(self):
        self.assertLess(timers.threads_for(1), timers.threads_for(100))
        self.assertLess(timers.threads_for(100), 100)
        self.assertLess(timers.threads_for(10000), 100)


def ranks(summary, name):
    return [summary[f'{name}_{rank}'] for rank in ('p50', 'p99', 'max')]


class ResultsTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.plan = make_plan()
        self.hosts = sorted(self.plan.hosts)
        self.results = results.Results(self.plan)

    def change(self, host, state, at, before=None):
        self.results.observe(
            [watcher.Transition(at, GROUP, host, before, state, 'why')]
        )

    def join_all(self):
        for number, host in enumerate(self.hosts):
            self.results.receive(
                [hollow.Joining(host, 100.0), hollow.Joined(host, 102.0)]
            )
            self.change(host, views.UP, 101.0 + number)

    def kill(self):
        self.results.kill(200.0)
        for number, host in enumerate(sorted(self.plan.killed)):
            self.change(host, views.DOWN, 205.0 + number)

    def test_all_is_well(self):
        self.assertFalse(self.results.passed)
        self.join_all()
        self.assertTrue(self.results.passed)
        self.results.kill(200.0)
        self.assertFalse(self.results.passed)
        self.kill()
        seen = self.results.summary(promised=7.0)
        self.assertTrue(self.results.passed)
        self.assertEqual([], self.results.failures())
        self.assertEqual(7.0, seen['promised'])
        self.assertEqual(len(self.hosts) / 2.0, seen['joins_per_second'])
        self.assertEqual([5.0, 10.0, 10.0], ranks(seen, 'up_after'))
        self.assertEqual(10.0, seen['all_up_after'])
        self.assertEqual([5.0, 6.0, 6.0], ranks(seen, 'down_after'))

    def test_who_was_never_seen(self):
        self.results.receive(
            [
                hollow.Joining(self.hosts[0], 100.0),
                hollow.Joined(self.hosts[0], 101.0, 'no way'),
            ]
        )
        seen = self.results.summary(None)
        self.assertEqual((0, 0), (seen['joined'], seen['seen_up']))
        self.assertIsNone(seen['all_up_after'])
        self.assertFalse(self.results.passed)
        self.assertEqual(
            f'could not join: {self.hosts[0]} (no way)',
            self.results.failures()[0],
        )

    def test_down_while_alive(self):
        self.join_all()
        self.change(self.hosts[-1], views.DOWN, 150.0)
        self.kill()
        seen = self.results.summary(None)
        self.assertEqual(1, seen['false_downs'])
        self.assertFalse(self.results.passed)
        self.assertEqual(
            [f'seen down although alive: {self.hosts[-1]} (why)'],
            self.results.failures(),
        )

    def test_what_is_known_later_of_one_that_is_down_counts_once(self):
        self.join_all()
        self.change(self.hosts[-1], views.DOWN, 150.0)
        (change,) = self.results.not_up
        self.results.observe(
            [dataclasses.replace(change, before='down', evidence='silent')]
        )
        self.assertEqual(1, self.results.summary(None)['false_downs'])

    def test_down_before_it_was_killed(self):
        self.join_all()
        self.change(self.hosts[0], views.DOWN, 150.0)
        self.assertEqual(1, self.results.summary(None)['false_downs'])

    def test_killed_but_not_found(self):
        self.join_all()
        self.results.kill(200.0)
        seen = self.results.summary(None)
        self.assertEqual((2, 0), (seen['killed'], seen['found_down']))
        self.assertFalse(self.results.passed)
        self.assertIn('killed, but not seen down', self.results.failures()[0])

    def test_held_counts_while_alive(self):
        self.join_all()
        self.change(self.hosts[0], views.HELD, 150.0)
        self.change(self.hosts[0], views.UP, 151.0)
        self.results.kill(200.0)
        self.change(self.hosts[0], views.HELD, 201.0)
        self.assertEqual(1, self.results.summary(None)['seen_held'])

    def test_others_in_the_group_do_not_count(self):
        self.change('other', views.UP, 100.0)
        self.change('other', views.DOWN, 101.0)
        seen = self.results.summary(None)
        self.assertEqual((0, 0), (seen['seen_up'], seen['false_downs']))

    def test_usage_is_for_each_member(self):
        self.join_all()
        for _ in self.plan.processes:
            self.results.receive(
                [hollow.Usage(0.5, 10.0, 51200, 7, 1, 'lost')]
            )
        seen = self.results.summary(None)
        self.assertEqual(2 * 0.5 / 10 / 10 * 1e6, seen['cpu_per_member'])
        self.assertEqual(2 * 50 / 10, seen['memory_per_member'])
        self.assertEqual(10.0, seen['held_for'])
        self.assertEqual(
            (14, 2), (seen['heartbeats'], seen['heartbeat_failures'])
        )
        self.assertEqual(
            ['heartbeats have failed: lost, lost'], self.results.failures()
        )

    def test_ranks(self):
        for expected, durations in (
            ([50.0, 99.0, 100.0], range(1, 101)),
            ([7.0, 7.0, 7.0], [7]),
            ([None, None, None], []),
        ):
            found = results.spread('x', map(float, durations))
            self.assertEqual(expected, ranks(found, 'x'))

    def test_what_is_promised(self):
        self.assertIsNone(results.promise(self.plan, None, 60.0))
        self.assertEqual(10.0, results.promise(self.plan, 10.0, 60.0))
        most = make_plan(percent=60)
        self.assertGreaterEqual(len(most.killed), evidence.MASS_LOSS)
        self.assertEqual(70.0, results.promise(most, 10.0, 60.0))


class ProgressTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.out = io.StringIO()
        self.set_time()

    def show(self, *done, total=10):
        progress = run.Progress(self.out)
        for each in done:
            progress.show('seen up', each, total)
            self.clock.advance(1)
        progress.close()
        return self.out.getvalue()

    def test_a_pipe_gets_a_line_now_and_then(self):
        self.assertEqual(
            'seen up: 0 of 20\nseen up: 10 of 20\nseen up: 20 of 20\n',
            self.show(*range(21), total=20),
        )

    def test_a_terminal_gets_a_bar(self):
        self.out.isatty = lambda: True
        shown = self.show(0, 5, 5, 10)
        self.assertEqual(3, shown.count('\r'))
        self.assertIn(f'[{"#" * 15}{"." * 15}] seen up: 5 of 10', shown)
        self.assertTrue(shown.endswith('10 of 10\033[K\n'))


class CommandTestCase(base.TestCase):
    class Driver(drivers.Driver):
        join = leave = is_up = updated_time = view = None

    def setUp(self):
        super().setUp()
        self.driver = self.Driver(self.make_conf())

    def assert_refused(self, text):
        error = self.assertRaises(
            exceptions.ConfigurationError,
            simulate.check_driver,
            'some',
            self.driver,
        )
        self.assertIn(text, str(error))

    def test_drivers_whose_members_may_be_hollow(self):
        simulate.check_driver('some', self.driver)
        self.driver.servers = ['one']
        simulate.check_driver('some', self.driver)

    def test_a_driver_whose_members_need_a_record(self):
        self.driver.needs_record = True
        self.assert_refused('need no record')

    def test_a_driver_without_servers(self):
        self.driver.servers = []
        self.assert_refused('sees only itself')
