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

"""The notifier, with a masakari that fails as a test says."""

from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.masakari import client
from nova_servicegroup.masakari import decisions
from nova_servicegroup.masakari import notifier
from nova_servicegroup.opts import masakari as options
from nova_servicegroup.tests import base
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory

HOSTS = 'host1', 'host2', 'host3', 'host4'


class FakeReader:
    """A group that is as a test says."""

    def __init__(self) -> None:
        self.states = dict.fromkeys(HOSTS, (views.UP, None))
        self.view = views.View((), 0.0)
        self.unread: exceptions.BackendError | None = None

    def read(self) -> inventory.Inventory:
        entries = {
            host: inventory.Entry(host, 'compute', state, evidence=evidence)
            for host, (state, evidence) in self.states.items()
        }
        return inventory.Inventory(entries, self.view, self.unread)

    def proof_age(self, host: str) -> float | None:
        return 7.0


class FakeMasakari:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.attempts = 0
        self.known: set[str] = set()
        self.error: Exception | None = None
        self.refuses = False
        self.reason: str | None = None
        self.lived: list[float | None] = []
        self.unknown: set[str] = set()
        self.error_of_unknown: Exception = Exception()

    def knows(self, host: str, lived_at: float | None) -> bool:
        if host in self.unknown:
            raise self.error_of_unknown
        self.lived.append(lived_at)
        self.attempts += 1
        if self.error is not None:
            raise self.error
        return host in self.known

    def objection(self, host: str) -> str | None:
        return self.reason

    def send(self, host: str, event: str) -> bool:
        if self.refuses:
            return False
        self.sent.append((host, event))
        return True


class NotifierTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wall = base.Clock(50_000.0)
        self.set_time(self.wall)
        self.reader = FakeReader()
        self.masakari = FakeMasakari()
        policy = decisions.Policy(
            decisions.accepted(options.SILENT), True, 0.0
        )
        cases = decisions.Cases(policy, lambda: 0.0)
        self.notifier = notifier.Notifier(
            self.reader, cases, self.masakari, 1.0
        )

    def die(self, *hosts: str) -> None:
        for host in hosts:
            self.reader.states[host] = views.DOWN, deaths.SILENT

    def work(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.notifier.work()
            self.clock.advance(1.0)

    def test_one_notification_and_one_return(self) -> None:
        self.die('host1')
        self.work(100)
        self.assertEqual([('host1', 'STOPPED')], self.masakari.sent)
        self.assertEqual([49_993.0], self.masakari.lived)
        self.reader.states['host1'] = views.UP, None
        self.work(100)
        self.assertEqual(('host1', 'STARTED'), self.masakari.sent[-1])
        self.assertEqual(2, len(self.masakari.sent))

    def test_a_reading_that_fails_is_no_news(self) -> None:
        self.die('host1')
        error = exceptions.BackendError('zk', 'away')
        for view in (
            views.View((), 5.0, error),
            views.View((), None),
            views.View((), 11.1),
        ):
            self.reader.view = view
            self.work(10)
        self.assertEqual(0, self.masakari.attempts)

    def test_hosts_that_cannot_be_read_are_logged_once(self) -> None:
        for _ in range(2):
            self.reader.unread = exceptions.BackendError('masakari-api', '404')
            self.work(10)
            self.reader.unread = None
            self.work(10)
        (first, second) = self.log_lines('WARNING')
        self.assertEqual(first, second)
        self.assertIn('masakari-api: 404', first)

    def test_hosts_in_no_segment_delay_no_other(self) -> None:
        unknown = client.UnknownHost('masakari-api', 'no segment')
        self.masakari.unknown = {'host1'}
        self.masakari.error_of_unknown = unknown
        self.die('host1', 'host2')
        self.work(1)
        self.assertEqual([('host2', 'STOPPED')], self.masakari.sent)

    def test_masakari_knows_already(self) -> None:
        self.masakari.known = {'host1'}
        self.die('host1')
        self.work(100)
        self.assertEqual((1, []), (self.masakari.attempts, self.masakari.sent))

    def test_failures_are_tried_again_less_and_less_often(self) -> None:
        self.masakari.error = exceptions.BackendError('masakari-api', '500')
        self.die('host1')
        self.work(600)
        self.assertIn(self.masakari.attempts, range(12, 40))
        self.assertEqual(1, len(self.log_lines('WARNING')))
        self.masakari.error = None
        self.work(61)
        self.assertEqual([('host1', 'STOPPED')], self.masakari.sent)

    def test_a_failure_of_one_host_keeps_no_other_from_being_told(
        self,
    ) -> None:
        self.masakari.error = exceptions.BackendError('masakari-api', '500')
        self.die('host1', 'host2')
        self.work()
        self.masakari.error = None
        self.work(5)
        self.assertEqual(
            {('host1', 'STOPPED'), ('host2', 'STOPPED')},
            set(self.masakari.sent),
        )

    def test_what_is_refused_is_asked_about(self) -> None:
        self.masakari.refuses = True
        self.die('host1')
        self.work(2)
        self.masakari.known = {'host1'}
        self.work(10)
        attempts = self.masakari.attempts
        self.work(100)
        self.assertEqual(attempts, self.masakari.attempts)

    def test_an_earlier_death_is_no_reason_to_give_up(self) -> None:
        self.masakari.refuses = True
        self.die('host1')
        self.work(180)
        self.masakari.refuses = False
        self.work(61)
        self.assertEqual([('host1', 'STOPPED')], self.masakari.sent)

    def test_nova_objects(self) -> None:
        self.masakari.reason = 'an operator has forced it down'
        self.die('host1')
        self.work(100)
        self.assertEqual([], self.masakari.sent)
        self.assertEqual(
            ['Host host1: an operator has forced it down. Trying again.'],
            self.log_lines('WARNING'),
        )

    def test_a_lost_domain_is_logged_once(self) -> None:
        self.die('host1', 'host2', 'host3')
        self.work(100)
        self.assertEqual([], self.masakari.sent)
        (line,) = self.log_lines('ERROR')
        self.assertIn('3 silent hosts', line)
        self.assertIn('host1, host2, host3', line)
        self.reader.states['host1'] = views.UP, None
        self.work(10)
        self.assertEqual(
            [('host2', 'STOPPED'), ('host3', 'STOPPED')],
            sorted(self.masakari.sent),
        )
        self.assertIn('not lost any more', '\n'.join(self.log_lines('INFO')))

    def test_names_are_printed(self) -> None:
        self.die('bad\x1b')
        self.work()
        self.assertNotIn('\x1b', self.log.output)
        self.assertIn('bad', self.log.output)

    def test_run_ends_when_it_is_stopped(self) -> None:
        self.notifier.stop()
        self.notifier.run()
        self.assertEqual(0, self.masakari.attempts)
