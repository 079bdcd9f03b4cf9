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
"""The drivers of also_report_to."""

import os
from typing import Any

import fixtures

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

STOPS = condition.Condition(condition.DRAINING, condition.STOPPING, 1.0)
CONF = """
[DEFAULT]
servicegroup_driver = main
[servicegroup]
also_report_to = {secondary}
"""


class FakeDriver(drivers.Driver):
    """A driver that records its calls."""

    def __init__(self, conf: Any, name: str, events: list[Any]) -> None:
        super().__init__(conf)
        self.name = name
        self.events = events
        self.error: Exception | None = None

    def _do(self, what: str, *where: str) -> None:
        self.events.append((what, self.name, *where))
        if self.error is not None:
            raise self.error

    def join(self, member: str, group: str, service: Any) -> None:
        self._do('join', member, group)
        service.on_stop(lambda: self._do('stop', member, group))

    def leave(self, member: str, group: str) -> None:
        self._do('leave', member, group)

    def mark(self, member: str, group: str, condition: Any) -> None:
        self._do('mark', member, group, condition)

    def close(self) -> None:
        self._do('close')

    def is_up(self, service_ref: Any) -> bool:
        self._do('ask')
        return True

    def updated_time(self, service_ref: Any) -> None:
        self._do('ask')

    def view(self, group: str, detailed: bool = False) -> views.View:
        self._do('ask')
        return views.View((), 0.0)


class SecondaryDriversTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[Any] = []
        self.made: dict[str, FakeDriver] = {}
        self.patch('nova_servicegroup.api.load_driver', self._load)
        self.service = base.FakeService()

    def patch(self, name: str, value: Any) -> None:
        self.useFixture(fixtures.MonkeyPatch(name, value))

    def _load(self, conf: Any, name: str, option: str = '') -> FakeDriver:
        return self.made.setdefault(name, FakeDriver(conf, name, self.events))

    def api_with(self, secondary: str) -> api.API:
        return api.API(self.make_conf(CONF.format(secondary=secondary)))

    def joined(self, secondary: str = 'one,two') -> api.API:
        made = self.api_with(secondary)
        made.join('a', 'compute', self.service)
        return made

    def test_by_default_there_is_none(self) -> None:
        api.API(self.make_conf()).join('a', 'compute', self.service)
        self.assertEqual([('join', 'db', 'a', 'compute')], self.events)

    def test_a_service_joins_with_the_main_driver_first(self) -> None:
        self.joined()
        self.assertEqual(
            [
                ('join', name, 'a', 'compute')
                for name in ('main', 'one', 'two')
            ],
            self.events,
        )
        self.assertIn(
            'Member a of group compute also joins with one, two; '
            'verdicts come from main.',
            self.log_lines('INFO'),
        )

    def test_only_the_main_driver_is_asked(self) -> None:
        made = self.api_with('one,two')
        made.service_is_up({'host': 'a'})
        made.get_updated_time({'host': 'a'})
        made.view('compute')
        self.assertEqual([('ask', 'main')] * 3, self.events)

    def test_a_service_that_stops_leaves_each(self) -> None:
        self.joined()
        self.events.clear()
        self.service.stop()
        self.assertEqual(
            {
                ('stop', name, 'a', 'compute')
                for name in ('main', 'one', 'two')
            },
            set(self.events),
        )
        self.assertEqual(3, len(self.events))

    def test_each_publishes_that_a_member_is_unfit(self) -> None:
        made = self.joined()
        self.events.clear()
        self.made['main'].error = self.made['one'].error = KeyError('broken')
        for found in (STOPS, None):
            made.mark('a', 'compute', found)
            self.assertEqual(
                [
                    ('mark', name, 'a', 'compute', found)
                    for name in ('main', 'one', 'two')
                ],
                self.events,
            )
            self.events.clear()
        self.made['main'].error = self.made['one'].error = None
        made.leave('a', 'compute')
        self.events.clear()
        made.mark('a', 'compute', STOPS)
        self.assertEqual(
            [('mark', 'main', 'a', 'compute', STOPS)], self.events
        )

    def test_a_driver_that_joins_late_publishes_it_then(self) -> None:
        made = self.api_with('one')
        self.made['one'].error = KeyError('broken')
        made.join('a', 'compute', self.service)
        made.mark('a', 'compute', STOPS)
        self.made['one'].error = None
        self.events.clear()
        self.service.fire()
        self.assertEqual(
            [
                ('join', 'one', 'a', 'compute'),
                ('mark', 'one', 'a', 'compute', STOPS),
            ],
            self.events,
        )

    def test_a_service_leaves_each_though_one_fails(self) -> None:
        made = self.joined()
        made.join('a', 'conductor', self.service)
        self.events.clear()
        self.made['one'].error = KeyError('broken')
        made.leave('a', 'compute')
        self.assertEqual(
            [
                ('leave', name, 'a', 'compute')
                for name in ('main', 'one', 'two')
            ],
            self.events,
        )
        made.leave('b', 'compute')
        self.assertEqual(('leave', 'main', 'b', 'compute'), self.events[-1])

    def test_each_is_closed_though_the_main_driver_fails(self) -> None:
        made = self.joined()
        self.made['main'].error = KeyError('broken')
        self.assertRaises(KeyError, made.close)
        for name in ('main', 'one', 'two'):
            self.assertIn(('close', name), self.events)

    def test_a_driver_is_retried_while_its_backend_is_away(self) -> None:
        self.check_failing(exceptions.BackendError('one', 'away'))

    def test_a_driver_is_retried_while_it_raises(self) -> None:
        self.check_failing(KeyError('broken'))

    def check_failing(self, error: Exception) -> None:
        made = self.api_with('one,two')
        self.made['one'].error = error
        made.join('a', 'compute', self.service)
        self.assertEqual(('join', 'two', 'a', 'compute'), self.events[-1])
        self.assertEqual(1, len(self.service.timers))
        self.service.fire()
        (line,) = self.log_lines('WARNING')
        self.assertIn('Member a of group compute (one)', line)
        self.assertIn(str(error), line)

        self.made['one'].error = None
        self.events.clear()
        self.service.fire()
        self.service.fire()
        self.assertEqual([('join', 'one', 'a', 'compute')], self.events)
        self.assertIn('recovered', self.log.output)

    def test_a_driver_is_not_retried_after_the_stop(
        self,
    ) -> None:
        made = self.api_with('one')
        self.made['one'].error = KeyError('broken')
        for end in (
            self.service.stop,
            lambda: made.leave('a', 'compute'),
        ):
            made.join('a', 'compute', self.service)
            timers = list(self.service.timers)
            end()
            self.events.clear()
            for timer in timers:
                timer['callback']()
            self.assertEqual([], self.events)

    def test_a_service_that_never_reports_has_no_timer(self) -> None:
        made = self.api_with('one')
        self.made['one'].error = KeyError('broken')
        self.service.report_interval = 0
        made.join('a', 'compute', self.service)
        self.assertEqual([], self.service.timers)

    def test_the_main_driver_is_ignored_with_one_warning(self) -> None:
        made = self.api_with('main, one, one,')
        self.assertEqual([], self.log_lines('WARNING'))
        for group in ('compute', 'conductor'):
            made.join('a', group, self.service)
        (line,) = self.log_lines('WARNING')
        self.assertIn('[servicegroup] also_report_to names main', line)
        self.assertEqual(
            [
                ('join', name, 'a', group)
                for group in ('compute', 'conductor')
                for name in ('main', 'one')
            ],
            self.events,
        )

    def test_each_may_read_the_services_table(self) -> None:
        made = self.api_with('one')
        made.give_table(base.Table(lambda group: [{'host': group}]))
        for driver in self.made.values():
            self.assertEqual([{'host': 'x'}], driver.read_records('x'))

    def test_a_forked_child_leaves_nothing_of_its_parent(self) -> None:
        made = self.joined('one')
        child = os.fork()
        if not child:
            self.events.clear()
            made.leave('a', 'compute')
            ours = [('leave', 'main', 'a', 'compute')]
            os._exit(0 if self.events == ours else 1)
        status = os.waitpid(child, 0)[1]
        self.assertEqual(0, os.waitstatus_to_exitcode(status))


class OptionTest(base.TestCase):
    def test_a_name_that_is_not_installed_is_refused(self) -> None:
        conf = self.make_conf('[servicegroup]\nalso_report_to = zoo\n')
        error = self.assertRaises(exceptions.ConfigurationError, api.API, conf)
        self.assertIn("[servicegroup] also_report_to = 'zoo'", str(error))
        self.assertIn(', '.join(api.installed_drivers()), str(error))

    def test_the_options_of_a_secondary_driver_must_be_valid(self) -> None:
        conf = self.make_conf('[servicegroup]\nalso_report_to = zk\n')
        error = self.assertRaises(exceptions.ConfigurationError, api.API, conf)
        self.assertIn('[zookeeper] address', str(error))
