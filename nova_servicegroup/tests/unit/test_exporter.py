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


import gzip
import io
import subprocess
import sys
import types
from typing import Any
from unittest import mock

import prometheus_client
from prometheus_client import parser

from nova_servicegroup.cmd import _daemon
from nova_servicegroup.cmd import exporter as program
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.exporter import metrics
from nova_servicegroup.exporter import server
from nova_servicegroup.exporter import service
from nova_servicegroup.exporter import watch
from nova_servicegroup import heartbeat
from nova_servicegroup import reporter
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_watcher
from nova_servicegroup.tests.unit import test_web
from nova_servicegroup.watch import deaths

Labels = dict[str, str]


def scrape(registry: Any) -> list[Any]:
    """Return the samples that a scrape shows."""
    text = prometheus_client.generate_latest(registry).decode()
    return [
        sample
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    ]


class Member(heartbeat.Renewable):
    """A member whose heartbeats fail when its driver says so."""

    def __init__(self, driver: 'Driver') -> None:
        self._driver = driver

    def beat(self) -> None:
        if self._driver.beat_error is not None:
            raise self._driver.beat_error


class Driver(test_watcher.AgentsDriver):
    """A driver whose members send heartbeats on demand."""

    def __init__(self, conf: Any) -> None:
        super().__init__()
        self.conf = conf
        self.beats: dict[tuple[str, str], reporter.Reporter] = {}
        self.beat_error: Exception | None = None
        self.views = 0

    def view(self, group: str, detailed: bool = False) -> views.View:
        self.views += 1
        return super().view(group, detailed)

    def join(self, member: str, group: str, service: Any) -> None:
        made = reporter.Reporter(member, Member(self))
        self.beats[member, group] = made
        made.run()
        service.on_stop(made.stop)

    def reporters(self) -> dict[tuple[str, str], reporter.Reporter]:
        return self.beats


class ExporterCase(test_watcher.WatchedTest):
    """All parts of the exporter except its timers."""

    def make_driver(self) -> Driver:
        return Driver(self.make_conf())

    def setUp(self) -> None:
        super().setUp()
        self.wall = base.Clock(test_watcher.WALL)
        self.set_time(self.wall)
        self.metrics = metrics.Metrics('zk')
        self.watch = watch.GroupWatch(self.api, 'compute', self.metrics)
        self.metrics.registry.register(watch.HostMetrics([self.watch]))
        self.canary = service.Canary(self.api, 'here', self)
        self.metrics.registry.register(self.canary)

    def poll(self, seconds: float = 1.0) -> None:
        """Advance the clocks and poll."""
        self.clock.advance(seconds)
        self.wall.advance(seconds)
        self.watch.poll()

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a series in a scrape, or None."""
        for sample in scrape(self.metrics.registry):
            if sample.name == f'{metrics.PREFIX}_{name}' and (
                labels.items() <= sample.labels.items()
            ):
                return sample.value
        return None


class WatchTest(ExporterCase):
    def states(self) -> list[float | None]:
        return [
            self.value('members', group='compute', driver='zk', state=state)
            for state in ('up', 'held', 'down', 'forced_down')
        ]

    def test_services_are_counted_by_state(self) -> None:
        self.register('a', 'b', 'c')
        self.register('d', forced_down=True)
        self.driver.tell(b='held')
        self.poll()
        self.assertEqual([1, 1, 1, 1], self.states())

    def unfit(self) -> list[float | None]:
        return [
            self.value('unfit_members', group='compute', state=state)
            for state in ('degraded', 'draining')
        ]

    def test_degraded_and_draining_are_up_and_counted_apart(self) -> None:
        self.poll()
        self.assertEqual([0, 0], self.unfit())
        self.driver.tell(a='degraded', b='draining')
        self.poll()
        self.assertEqual([2, 0, 0, 0], self.states())
        self.assertEqual([1, 1], self.unfit())
        for state in ('degraded', 'draining'):
            self.assertIsNone(self.value('members', state=state))
        self.driver.tell(b='down')
        self.poll()
        self.assertEqual([1, 0, 1, 0], self.states())
        self.assertEqual([1, 0], self.unfit())

    def test_degraded_is_no_transition(self) -> None:
        self.poll()
        self.driver.tell(a='degraded')
        self.poll()
        self.driver.tell(a='down')
        self.poll(4)
        found = {
            (sample.labels['from'], sample.labels['to']): sample.value
            for sample in scrape(self.metrics.registry)
            if sample.name == 'nova_servicegroup_transitions_total'
        }
        self.assertEqual(1, found.pop(('up', 'down')))
        self.assertEqual({0}, set(found.values()))
        self.assertEqual(1, self.value('detection_seconds_count'))

    def test_ignored_checks_are_counted(self) -> None:
        self.poll()
        self.assertEqual(0, self.value('ignored_checks', group='compute'))
        self.driver.ignored = ('rpc', 'virt')
        self.poll()
        self.assertEqual(2, self.value('ignored_checks', group='compute'))

    def test_lost_domains_are_counted(self) -> None:
        self.driver.domains = dict.fromkeys('ab', 'rack1')
        self.driver.tell(a='up', b='up')
        self.poll()
        self.assertEqual(0, self.value('lost_domains', group='compute'))
        self.driver.lose_domain('rack1', 'a', 'b')
        self.poll()
        self.assertEqual(1, self.value('lost_domains', group='compute'))

    def test_why_and_since_when_a_host_is_degraded(self) -> None:
        self.driver.tell(a='degraded')
        self.poll()
        name, labels = (
            'member_unfit_since_timestamp_seconds',
            {
                'group': 'compute',
                'host': 'a',
                'state': 'degraded',
                'reason': 'rpc',
            },
        )
        self.assertEqual(test_watcher.SINCE, self.value(name, **labels))
        self.assertEqual(1, self.value('member_up', host='a'))
        self.assertIsNone(self.value(name, host='b'))
        self.driver.tell(a='up')
        self.poll()
        self.assertIsNone(self.value(name))

    def test_nothing_is_counted_before_the_first_look(self) -> None:
        self.assertEqual([None] * 4, self.states())
        self.assertEqual(1, self.value('blind', group='compute'))

    def test_transitions_are_counted_from_zero(self) -> None:
        change = {'from': 'up', 'to': 'down'}
        self.assertEqual(0, self.value('transitions_total', **change))
        self.poll()
        self.driver.tell(a='down', c='up')
        self.poll()
        self.assertEqual(1, self.value('transitions_total', **change))
        change = {'from': 'new', 'to': 'up'}
        self.assertEqual(1, self.value('transitions_total', **change))

    def test_the_time_from_the_last_proof_to_the_verdict(self) -> None:
        self.poll()
        self.driver.tell(a='down')
        self.poll(4)
        # The proof was a second old when it was seen last.
        self.assertEqual(1, self.value('detection_seconds_count'))
        self.assertEqual(5, self.value('detection_seconds_sum'))
        self.assertEqual(0, self.value('detection_seconds_bucket', le='3.0'))
        self.assertEqual(1, self.value('detection_seconds_bucket', le='5.0'))

    def test_a_service_that_goes_down_again_and_again(self) -> None:
        seen = []
        self.poll()
        for _ in range(4):
            self.driver.tell(a='down')
            self.poll(70)
            self.driver.tell(a='up')
            self.poll(50)
            seen.append(self.value('flapping_members', group='compute'))
        self.assertEqual([0, 0, 1, 1], seen)
        # The first of the last three was 290 s ago.
        self.poll(metrics.WINDOW - 300)
        self.assertEqual(1, self.value('flapping_members'))
        self.poll(20)
        self.assertEqual(0, self.value('flapping_members'))

    def test_many_that_go_down_once_do_not_flap(self) -> None:
        self.poll()
        for host in 'abcde':
            self.driver.tell(**{host: 'up'})
            self.poll()
            self.driver.tell(**{host: 'down'})
            self.poll()
        self.assertEqual(0, self.value('flapping_members'))

    def test_one_that_an_operator_forces_down_does_not_flap(self) -> None:
        self.poll()
        for _ in range(4):
            self.register('a', forced_down=True)
            self.poll(10)
            self.register('a')
            self.poll(10)
        self.assertEqual(0, self.value('flapping_members'))

    def test_the_end_of_forced_down_is_no_detection(self) -> None:
        self.register('a', forced_down=True)
        self.driver.tell(a='down')
        self.poll()
        self.register('a')
        self.poll(10)
        change = {'from': 'forced_down', 'to': 'down'}
        self.assertEqual(1, self.value('transitions_total', **change))
        self.assertEqual(0, self.value('detection_seconds_count'))

    def test_a_backend_that_is_away(self) -> None:
        self.poll()
        self.assertEqual(0, self.value('blind'))
        self.driver.error = exceptions.BackendTimeout('zk', 'no answer')
        self.poll()
        self.poll()
        self.assertEqual(1, self.value('blind'))
        self.assertEqual(2, self.value('backend_errors_total'))
        self.driver.error = None
        self.poll()
        self.assertEqual(0, self.value('blind'))
        self.assertEqual(2, self.value('backend_errors_total'))

    def test_a_look_that_hangs(self) -> None:
        self.poll()
        shown = []
        answer = self.driver.view

        def hang(*args: Any) -> views.View:
            for _ in range(2):
                self.clock.advance(8)
                shown.append(self.value('blind'))
            return answer(*args)

        self.driver.view = hang
        self.poll()
        self.assertEqual([0, 1, 0], [*shown, self.value('blind')])

    def test_the_view_grows_old_between_looks(self) -> None:
        self.clock.advance(3)
        self.assertEqual(3, self.value('view_age_seconds'))
        self.poll()
        self.assertEqual(0, self.value('view_age_seconds'))
        self.clock.advance(7)
        self.assertEqual(7, self.value('view_age_seconds'))

    def test_looks_are_timed(self) -> None:
        slow = self.driver.view
        self.driver.view = lambda *args: (self.clock.advance(2), slow(*args))[
            1
        ]
        self.poll()
        self.assertEqual(1, self.value('refresh_seconds_count'))
        self.assertEqual(2, self.value('refresh_seconds_sum'))

    def test_whether_the_services_table_can_be_read(self) -> None:
        self.poll()
        self.assertEqual(0, self.value('services_table_readable'))
        self.register('a')
        self.poll(10)
        self.assertEqual(1, self.value('services_table_readable'))

    def test_without_agents_it_is_unknown_why_services_are_down(self) -> None:
        self.poll()
        self.driver.tell(a='down', b='down')
        self.poll()
        self.assertEqual(
            2, self.value('members_down', group='compute', evidence='unknown')
        )

    def test_each_host(self) -> None:
        self.register('c')
        self.driver.tell(b='held')
        self.poll()
        self.assertEqual(
            [1, 1, 0],
            [self.value('member_up', host=host) for host in 'abc'],
        )

    def test_the_name_of_a_host_stays_in_its_line(self) -> None:
        self.driver.tell(**{'x\x1b[2J\n"\\': 'up', 'h\udcff': 'up'})
        self.driver.tell(**{'x\\x1b[2J\\n"\\': 'up'})
        self.poll()
        text = prometheus_client.generate_latest(self.metrics.registry)
        for line in text.decode().split('\n'):
            self.assertTrue(line.isprintable(), line)
        for host in ('a', 'b', 'x\\x1b[2J\\n"\\', 'h\\udcff'):
            self.assertEqual(1, self.value('member_up', host=host))
        self.assertEqual(
            4,
            sum(
                each.name == 'nova_servicegroup_member_up'
                for each in scrape(self.metrics.registry)
            ),
        )

    def test_a_scrape_does_not_ask_the_backend(self) -> None:
        self.register('a')
        self.poll()
        before = self.driver.views, self.reads
        self.clock.advance(100)
        scrape(self.metrics.registry)
        self.assertEqual(before, (self.driver.views, self.reads))


class EvidenceTest(ExporterCase):
    """Why services are down, where hosts have agents."""

    options = test_watcher.AGENTS

    def setUp(self) -> None:
        super().setUp()
        self.driver.agents = {'a': 'up', 'b': 'up'}

    def down(self) -> dict[str, float]:
        """Return the numbers that are down by evidence, but for zeros."""
        name = f'{metrics.PREFIX}_members_down'
        found = {
            sample.labels['evidence']: sample.value
            for sample in scrape(self.metrics.registry)
            if sample.name == name and sample.labels['group'] == 'compute'
        }
        self.assertEqual(set(deaths.EVIDENCE), set(found))
        return {each: number for each, number in found.items() if number}

    def test_services_that_are_down_are_counted_by_evidence(self) -> None:
        self.register('a', 'b')
        self.register('c', forced_down=True)
        self.poll()
        self.assertEqual({'forced': 1}, self.down())
        self.driver.agents = {'b': 'process-died'}
        self.driver.tell(a='down', b='down')
        self.poll()
        self.assertEqual(
            {'silent': 1, 'process-died': 1, 'forced': 1}, self.down()
        )
        self.driver.tell(a='up', b='up')
        self.poll()
        self.assertEqual({'forced': 1}, self.down())

    def test_a_change_of_it_is_neither_a_transition_nor_a_detection(
        self,
    ) -> None:
        self.poll()
        self.driver.tell(a='down')
        self.poll()
        before = self.watch.history.recent
        for self.driver.agents in ({'b': 'up'}, {'a': 'up', 'b': 'up'}):
            for _ in range(3):
                self.poll()
        self.assertEqual({'not-reporting': 1}, self.down())
        changes = [
            sample
            for sample in scrape(self.metrics.registry)
            if sample.name == f'{metrics.PREFIX}_transitions_total'
        ]
        self.assertEqual(1, sum(each.value for each in changes))
        self.assertEqual(1, self.value('detection_seconds_count'))
        self.assertEqual(0, self.value('flapping_members'))
        self.assertEqual(before, self.watch.history.recent)


class CanaryTest(ExporterCase):
    def counts(self) -> list[float | None]:
        return [
            self.value(f'canary_{name}_total')
            for name in ('beats', 'beat_failures', 'lost', 'recovered')
        ]

    def beat(self, error: Exception | None = None) -> None:
        self.driver.beat_error = error
        self.driver.beats['here', service.GROUP].run()

    def test_no_metrics_without_a_canary(self) -> None:
        self.assertEqual([None] * 4, self.counts())

    def test_its_beats_are_counted(self) -> None:
        self.canary.join()
        self.beat()
        self.assertEqual([2, 0, 0, 0], self.counts())
        lost = exceptions.BackendError('zk', 'is away')
        for error in (lost, lost, None):
            self.beat(error)
        self.assertEqual([5, 2, 1, 1], self.counts())

    def test_the_last_success(self) -> None:
        name = 'canary_last_success_timestamp_seconds'
        self.driver.beat_error = exceptions.BackendError('zk', 'is away')
        self.canary.join()
        self.assertEqual(0, self.value(name))
        self.beat()
        found = self.driver.beats['here', service.GROUP].counts.last_success
        self.assertIsNotNone(found)
        self.assertEqual(found, self.value(name))

    def test_it_leaves_at_the_end(self) -> None:
        self.canary.join()
        self.canary.stop()
        self.beat()
        self.assertEqual(1, self.counts()[0])


class ServiceTest(ExporterCase):
    def make(self, text: str = '') -> service.Exporter:
        self.driver.conf = self.make_conf(text)
        return service.Exporter(self.api)

    def test_what_is_served(self) -> None:
        always = {'/metrics', '/healthz', '/readyz'}
        page = {'/', '/static/status.css', '/static/status.js'}
        self.assertEqual(
            always | page | {'/static/icon.svg'}, set(self.make().pages())
        )
        text = '[servicegroup_exporter]\nstatus_page = false\n'
        self.assertEqual(always, set(self.make(text).pages()))

    def test_it_is_ready_when_all_groups_are_known(self) -> None:
        made = self.make('[servicegroup_exporter]\ngroups = a, b\n')
        ready = made.pages()['/readyz']
        made._watches[0].poll()
        found = ready.answer(test_web.request('/readyz'))
        self.assertEqual(
            (503, b'a: ready\nb: blind for 0 s: it has not been read yet\n'),
            (found.status, found.body),
        )
        made._watches[1].poll()
        self.assertEqual(200, ready.answer(test_web.request('/')).status)

    def metrics_of(
        self, query: str = '', **headers: str
    ) -> server.pages.Response:
        served = self.make().pages()['/metrics']
        return served.answer(test_web.request('/metrics', query, **headers))

    def test_metrics_in_the_format_that_the_client_accepts(self) -> None:
        found = self.metrics_of()
        self.assertIn(b'nova_servicegroup_build_info', found.body)
        self.assertTrue(found.content_type.startswith('text/plain; version='))
        found = self.metrics_of(Accept='text/plain;version=abc')
        self.assertIn('text/plain', found.content_type)
        found = self.metrics_of(Accept='application/openmetrics-text')
        self.assertIn('openmetrics', found.content_type)
        found = self.metrics_of(**{'Accept-Encoding': 'gzip'})
        self.assertEqual('gzip', found.headers['Content-Encoding'])
        self.assertIn(b'build_info', gzip.decompress(found.body))

    def test_only_the_metrics_that_are_asked_for(self) -> None:
        found = self.metrics_of('name[]=nova_servicegroup_blind')
        self.assertIn(b'nova_servicegroup_blind{', found.body)
        self.assertNotIn(b'build_info', found.body)

    def names(self, made: service.Exporter) -> set[str]:
        return {each.name for each in scrape(made._metrics.registry)}

    def test_one_timer_for_each_group_at_the_refresh_interval(self) -> None:
        made = self.make(
            '[servicegroup]\nrefresh_interval = 0.5\n'
            '[servicegroup_exporter]\ngroups = a, b, a\ncanary = false\n'
        )
        made.tg = mock.Mock()
        made.start()
        timers = made.tg.add_dynamic_timer_args.call_args_list
        self.assertEqual([0.5, 0.5], [timer.args[0]() for timer in timers])
        polls = {
            sample.labels['group']: sample.value
            for sample in scrape(made._metrics.registry)
            if sample.name == 'nova_servicegroup_refresh_seconds_count'
        }
        self.assertEqual({'a': 1, 'b': 1}, polls)

    def test_metrics_of_hosts_are_optional(self) -> None:
        name = 'nova_servicegroup_member_up'
        wanted = '[servicegroup_exporter]\nper_host = true\n'
        for text, expected in (('', False), (wanted, True)):
            made = self.make(text)
            for each in made._watches:
                each.poll()
            self.assertEqual(expected, name in self.names(made))

    def test_no_canary_where_members_need_a_record(self) -> None:
        self.driver.needs_record = True
        self.assertIsNone(self.make()._canary)
        self.assertIn('There is no canary', self.log.output)

    def test_no_canary_where_none_is_wanted(self) -> None:
        text = '[servicegroup_exporter]\ncanary = false\n'
        self.assertIsNone(self.make(text)._canary)
        self.assertIsNone(self.make('[DEFAULT]\nreport_interval = 0')._canary)
        self.assertIsNotNone(self.make()._canary)

    def test_no_groups_are_refused(self) -> None:
        error = self.assertRaises(
            exceptions.ConfigurationError,
            self.make,
            '[servicegroup_exporter]\ngroups =\n',
        )
        self.assertIn('[servicegroup_exporter] groups', str(error))

    def test_incomplete_tls_is_refused(self) -> None:
        for given, missing in (
            ('cert_file', 'key_file'),
            ('key_file', 'cert_file'),
            ('client_ca_file', 'cert_file'),
        ):
            conf = self.make_conf(f'[servicegroup_exporter]\n{given} = /x\n')
            error = self.assertRaises(
                exceptions.ConfigurationError, server.start, conf, None
            )
            self.assertIn(f'[servicegroup_exporter] {missing}', str(error))

    def test_where_it_serves_can_be_opened_as_it_is_logged(self) -> None:
        for text, url in (
            ('', 'http://127.0.0.1:33102/metrics'),
            ('listen = ::1', 'http://[::1]:33102/metrics'),
            ('cert_file = /x', 'https://127.0.0.1:33102/metrics'),
        ):
            conf = self.make_conf(f'[servicegroup_exporter]\n{text}\n')
            self.assertEqual(url, server.url(conf, 33102))


class ProgramTest(base.TestCase):
    def test_it_chooses_threads_before_oslo_messaging_asks(self) -> None:
        script = (
            'import sys, nova_servicegroup.cmd.exporter as _;'
            'print(*sys.modules)'
        )
        loaded = subprocess.run(
            [sys.executable, '-c', script],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout.split()
        self.assertNotIn('oslo_messaging', loaded)

    def check_missing(self, library: str, **modules: Any) -> None:
        shown = io.StringIO()
        with (
            mock.patch.dict(sys.modules, modules),
            mock.patch('sys.stderr', shown),
        ):
            self.assertEqual(_daemon.ERROR, program.main())
        self.assertEqual(1, len(shown.getvalue().splitlines()))
        self.assertIn(f' {library}, ', shown.getvalue())
        # From Python's own error, which may name a dependency.
        self.assertIn('halted', shown.getvalue())
        self.assertIn('nova-servicegroup[exporter]', shown.getvalue())

    def test_a_missing_library_is_named_with_its_extra(self) -> None:
        self.check_missing('prometheus-client', prometheus_client=None)

    def test_the_library_of_the_status_page(self) -> None:
        self.check_missing('Jinja2', jinja2=None)

    def test_one_that_only_a_later_oslo_service_needs(self) -> None:
        later = {'oslo_service.backend': types.ModuleType('backend')}
        self.check_missing('cotyledon', cotyledon=None, **later)
