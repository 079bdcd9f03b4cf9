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


"""How the readings of a group go."""

from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.watch import health


class HealthTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.conf = self.make_conf(
            '[zookeeper]\nusername = nova\npassword = HUSH\n'
        )
        self.health = health.Health(self.conf, 'compute')

    def read(
        self,
        error: str | None = None,
        age: float | None = 0.0,
        seconds: float = 1.0,
    ) -> None:
        """Let time pass and read, with this result."""
        self.clock.advance(seconds)
        with self.health.reading():
            pass
        found = error and exceptions.BackendError('zk', error)
        self.health.update(views.View((), age, found or None))

    def test_before_the_first_reading(self) -> None:
        self.clock.advance(3)
        self.assertEqual(
            'blind for 3 s: it has not been read yet', self.health.unready()
        )
        self.assertIsNone(self.health.stuck())
        self.assertEqual(3, self.health.age())
        self.assertFalse(self.health.is_confirmed())

    def test_ready_once_the_backend_has_confirmed_it(self) -> None:
        self.read(age=None)
        self.assertEqual('not confirmed yet', self.health.unready())
        self.read(age=2.0)
        self.assertIsNone(self.health.unready())
        self.assertEqual(2, self.health.age())

    def test_an_outage_is_blindness_and_no_reason_to_restart(self) -> None:
        self.read()
        for _ in range(200):
            self.read('mute', age=self.health.age() + 1)
        self.assertEqual('blind for 200 s: zk: mute', self.health.unready())
        self.assertEqual((200, 'zk: mute'), self.health.blindness())
        self.assertEqual(200, self.health.age())
        self.assertIsNone(self.health.stuck())
        self.read()
        self.assertIsNone(self.health.unready())

    def test_a_second_outage_begins_anew(self) -> None:
        for error in ('mute', None, 'mute', 'away'):
            self.read(error)
        self.clock.advance(1)
        self.assertEqual((3, 'zk: away'), self.health.blindness())

    def test_a_reading_that_hangs(self) -> None:
        self.read()
        with self.health.reading():
            self.clock.advance(10)
            self.assertIsNone(self.health.unready())
            self.clock.advance(1)
            self.assertEqual(
                'blind for 11 s: a reading has not ended',
                self.health.unready(),
            )
            self.assertIsNone(self.health.stuck())
            self.clock.advance(51)
            self.assertEqual(
                'the thread has hung in a reading for 62 s',
                self.health.stuck(),
            )
        self.assertIsNone(self.health.stuck())

    def test_a_thread_that_has_ended(self) -> None:
        self.read()
        self.clock.advance(11)
        self.assertIsNone(self.health.unready())
        self.clock.advance(1)
        self.assertEqual(
            'blind for 12 s: it is not read any more', self.health.unready()
        )
        self.assertIsNone(self.health.stuck())
        self.clock.advance(50)
        self.assertEqual(
            'the thread has not read for 62 s', self.health.stuck()
        )

    def test_readings_that_have_no_error_and_nothing_new(self) -> None:
        """As while another thread of the driver hangs in a reading."""
        self.read()
        for age in range(1, 12):
            self.read(age=age)
            self.assertIsNone(self.health.unready())
        self.read(age=12)
        self.assertEqual(
            'blind for 12 s: the last readings had nothing new',
            self.health.unready(),
        )
        self.read()
        self.assertIsNone(self.health.unready())

    def test_a_long_interval_is_no_hang(self) -> None:
        self.conf.set_override('refresh_interval', 60, 'servicegroup')
        self.read()
        self.clock.advance(69)
        self.assertIsNone(self.health.unready())
        self.clock.advance(50)
        self.assertIsNone(self.health.stuck())

    def test_an_unexpected_error(self) -> None:
        self.read()

        def fail() -> None:
            with self.health.reading():
                raise KeyError('x')

        self.assertRaises(KeyError, fail)
        self.clock.advance(1)
        self.assertEqual(
            'blind for 1 s: it cannot be read; see the log',
            self.health.unready(),
        )

    def test_foreign_text_stays_in_its_line_and_secrets_hidden(self) -> None:
        self.read('a\nb\x1b[2J HUSH http://u:p@h')
        self.assertEqual(
            'blind for 1 s: zk: a b\\x1b[2J *** http://***@h',
            self.health.unready(),
        )
        self.read('x' * 1000)
        self.assertLess(len(self.health.unready()), 330)
        odd = health.Health(self.conf, 'a\nb')
        self.assertEqual('a\\nb', odd.name)
