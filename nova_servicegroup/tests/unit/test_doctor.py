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


"""The examination as a whole, and how it is shown."""

import io
import json
import logging
import threading
import types

import fixtures

from nova_servicegroup.cmd import doctor
from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import checks
from nova_servicegroup.doctor import etcd
from nova_servicegroup.doctor import examination
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import mc
from nova_servicegroup.doctor import redis
from nova_servicegroup.doctor import zk
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

OK, WARNING, ERROR = finding.Level
SECRET = 'c0rrect-horse'


def subject(conf, make_api=None):
    return finding.Subject(conf, None, make_api)


class ExaminationTest(base.TestCase):
    def examine(self, **made):
        return examination.examine(subject(self.make_conf()), made, 0.2)

    def broken(self, error):
        def check(subject):
            raise error

        return check

    def test_the_order_of_checks_is_kept(self):
        late = threading.Event()

        def slow(subject):
            late.wait(0.05)
            yield finding.Finding(OK, 'slow', 'a')

        found = self.examine(
            slow=slow, quick=lambda p: [finding.Finding(WARNING, 'quick', 'b')]
        )
        self.assertEqual(['slow', 'quick'], [each.check for each in found])

    def test_a_check_that_finds_nothing(self):
        self.assertEqual([], self.examine(none=lambda subject: []))

    def test_a_check_that_breaks(self):
        (found,) = self.examine(one=self.broken(KeyError('x')))
        self.assertEqual((ERROR, 'one'), (found.level, found.check))
        self.assertIn("is broken: KeyError: 'x'", found.what)

    def test_a_check_that_gets_no_answer(self):
        error = exceptions.BackendError('ZooKeeper', 'refused')
        (found,) = self.examine(one=self.broken(error))
        self.assertEqual((ERROR, 'ZooKeeper: refused'), found_as(found))

    def test_a_check_that_does_not_end(self):
        ended = threading.Event()
        self.addCleanup(ended.set)
        (found,) = self.examine(one=lambda subject: [ended.wait()])
        self.assertEqual(
            (ERROR, 'The check one did not come to an end in 0.2 s.'),
            found_as(found),
        )

    def test_what_several_checks_meet_is_told_once(self):
        error = exceptions.ConfigurationError('[zookeeper] address', '', 'x')
        found = self.examine(one=self.broken(error), other=self.broken(error))
        self.assertEqual(['one'], [each.check for each in found])

    def test_every_check_is_called_by_its_name(self):
        for name, check in checks.CHECKS.items():
            self.assertTrue(
                check.__module__.startswith('nova_servicegroup.doctor.'), name
            )


def found_as(found):
    return found.level, found.what


class AskingTest(base.TestCase):
    def test_one_that_is_mute_does_not_hide_the_others(self):
        ended = threading.Event()
        self.addCleanup(ended.set)
        answers = asking.ask_all({'mute': ended.wait, 'quick': lambda: 7}, 0.1)
        self.assertEqual(7, answers['quick'].value)
        self.assertIsInstance(answers['mute'].error, exceptions.BackendTimeout)


class PatientTest(base.TestCase):
    def test_an_api_is_made_once_for_each_driver_and_closed(self):
        made = []

        def make(name):
            made.append(name)
            return types.SimpleNamespace(close=lambda: made.append('closed'))

        one = subject(self.make_conf(), make)
        self.assertIs(one.api('zk'), one.api('zk'))
        one.api('mc')
        one.close()
        self.assertEqual(['zk', 'mc', 'closed', 'closed'], made)

    def test_names_of_many_hosts(self):
        hosts = [f'host{number:02}' for number in range(12)]
        self.assertEqual('a, b', finding.names({'b', 'a'}))
        self.assertTrue(finding.names(hosts).endswith('host09 and 2 more'))


class BackendTest(base.TestCase):
    def check(self, check=None, kind=drivers.DATABASE, databases=dict):
        conf = self.make_conf()
        asked = types.SimpleNamespace(
            driver=types.SimpleNamespace(check=check, backend=kind)
        )
        return backend.check(
            finding.Subject(
                conf,
                None,
                lambda name: asked,
                databases=databases,
            )
        )

    def test_answers(self):
        (found,) = self.check(lambda: 'the table answers.')
        self.assertEqual(OK, found.level)
        self.assertIn('the table answers. It took', found.what)

    def test_does_not_answer(self):
        def refuse():
            raise exceptions.BackendError('table', 'refused')

        (found,) = self.check(refuse)
        self.assertEqual((ERROR, 'table: refused'), found_as(found))

    def test_a_host_without_a_database(self):
        (found,) = self.check(databases=None)
        self.assertEqual((OK, backend.NO_DATABASE), found_as(found))

    def test_a_driver_that_cannot_be_asked(self):
        def none():
            raise NotImplementedError

        (found,) = self.check(none, '')
        self.assertEqual(OK, found.level)

    def test_others_have_a_check_of_their_own(self):
        for kind, module in (
            (drivers.ETCD, etcd),
            (drivers.MEMCACHED, mc),
            (drivers.REDIS, redis),
            (drivers.ZOOKEEPER, zk),
        ):
            self.assertEqual([], self.check(kind=kind))
            self.assertIs(module.check, checks.CHECKS[module.NAME])
            # It has nothing to say of others.
            asked = types.SimpleNamespace(backend='another')
            self.assertEqual([], module.check(asked))


class CommandTest(base.TestCase):
    def run_doctor(self, *words, found=(), text=''):
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_servicegroup.doctor.checks.CHECKS',
                {'one': lambda subject: found, 'two': lambda subject: []},
            )
        )
        self.useFixture(fixtures.EnvironmentVariable('COLUMNS', '60'))
        app = types.SimpleNamespace(
            conf=self.make_conf(text),
            nova_error='not here',
            options=types.SimpleNamespace(debug=False, verbose_level=1),
            stdout=io.StringIO(),
        )
        command = doctor.Doctor(app, None)
        status = command.run(command.get_parser('doctor').parse_args(words))
        return status, app.stdout.getvalue()

    def test_all_is_well(self):
        found = [finding.Finding(OK, 'one', 'Good.')]
        self.assertEqual(
            (0, 'one\n  OK       Good.\nAll is well.\n'),
            self.run_doctor(found=found),
        )

    def test_the_worst_is_the_exit_status(self):
        found = [
            finding.Finding(WARNING, 'one', 'Bad.', 'It is.', 'Mend it.'),
            finding.Finding(ERROR, 'one', 'Worse.', 'It is.', 'Run.'),
        ]
        self.assertEqual(1, self.run_doctor(found=found[:1])[0])
        status, shown = self.run_doctor(found=found)
        self.assertEqual(2, status)
        self.assertIn('    Why    It is.\n    Do     Mend it.\n', shown)
        self.assertTrue(shown.endswith('1 error, 1 warning\n'))

    def test_long_lines_are_wrapped(self):
        found = [finding.Finding(OK, 'one', 'word ' * 20)]
        _, shown = self.run_doctor(found=found)
        self.assertLessEqual(max(map(len, shown.splitlines())), 60)

    def test_json(self):
        found = [finding.Finding(WARNING, 'one', 'Bad.', 'It is.', 'Mend it.')]
        _, shown = self.run_doctor('--json', found=found)
        self.assertEqual(
            [
                {
                    'level': 'warning',
                    'check': 'one',
                    'what': 'Bad.',
                    'why': 'It is.',
                    'advice': 'Mend it.',
                }
            ],
            json.loads(shown),
        )

    def test_names_that_others_have_written_are_shown_as_escapes(self):
        name = 'x\x1b[2J\x07\x7f\udcff'
        found = [finding.Finding(WARNING, 'one', name, name, name)]
        _, shown = self.run_doctor(found=found)
        self.assertEqual(3, shown.count(r'x\x1b[2J\x07\x7f\udcff'))
        _, shown_as_json = self.run_doctor('--json', found=found)
        self.assertEqual(name, json.loads(shown_as_json)[0]['what'])
        for line in [*shown.splitlines(), *shown_as_json.splitlines()]:
            self.assertTrue(line.isprintable(), line)

    def test_nothing_found_is_an_empty_list(self):
        self.assertEqual((0, '[]\n'), self.run_doctor('--json'))

    def test_only_some_checks(self):
        found = [finding.Finding(ERROR, 'one', 'Bad.')]
        self.assertEqual(0, self.run_doctor('--check', 'two', found=found)[0])
        self.assertEqual(2, self.run_doctor('--check', 'one', found=found)[0])

    def test_no_secret_is_shown(self):
        text = f'[zookeeper]\npassword = {SECRET}\n'
        found = [finding.Finding(ERROR, 'one', SECRET, SECRET, SECRET)]
        for words in ((), ('--json',)):
            _, shown = self.run_doctor(*words, found=found, text=text)
            self.assertNotIn(SECRET, shown)
            self.assertEqual(3, shown.count('***'))

    def test_the_log_is_silent_only_meanwhile(self):
        with doctor._quiet(False):
            logging.getLogger('x').critical('meanwhile')
        logging.getLogger('x').critical('afterwards')
        self.assertEqual(['afterwards'], self.log_lines('CRITICAL'))
        with doctor._quiet(True):
            logging.getLogger('x').critical('wanted')
        self.assertIn('wanted', self.log_lines('CRITICAL'))
