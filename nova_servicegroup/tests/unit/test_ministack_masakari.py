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
"""The files of ministack's keystone and Masakari, and the demo's lines."""

import configparser
import json
import pathlib

import fixtures
from oslotest import base

from nova_servicegroup.tests.ministack import config as nova
from nova_servicegroup.tests.ministack.masakari import config
from nova_servicegroup.tests.ministack.masakari import recovery
from nova_servicegroup.tests.ministack.masakari import stack
from nova_servicegroup.tests.ministack.masakari import venv
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import settings
from nova_servicegroup.tests.ministack import stack as plain
from tools._ministack import __main__ as cli
from tools._ministack import masakari as demo


class MasakariTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.place = config.Place(
            self.directory / 'masakari', 'http://k/v3', 1234, 'k://', 'm://'
        )
        self.place.files.mkdir(parents=True)
        urls = {
            each: f'{each}://'
            for each in nova.Endpoints.__dataclass_fields__
            if each != 'state'
        }
        self.at = nova.Endpoints(**urls, state=self.directory / 'state')

    def written(self, choice: str) -> dict[str, configparser.ConfigParser]:
        """Write all files; return those of keystone and Masakari."""
        files = self.directory / 'conf'
        chosen = settings.Settings(masakari=choice)
        config.write_all(self.place, chosen, self.at, files)
        found = {}
        for file in self.place.files.glob('*.conf'):
            found[file.stem] = configparser.ConfigParser(interpolation=None)
            found[file.stem].read_string(file.read_text())
        return found

    def test_each_choice_is_written_into_its_file(self) -> None:
        for choice in config.choices():
            files = self.written(choice)
            for row in config.table():
                group, _, key = row['option'].rpartition('.')
                self.assertEqual(row[choice], files[row['file']][group][key])

    def test_the_choices_differ_in_every_row(self) -> None:
        for row in config.table():
            self.assertNotEqual(row['stock'], row['ours'], row)

    def test_each_host_looks_for_processes_in_its_own_directory(self) -> None:
        given = settings.Settings(
            masakari='ours', own={'compute1': {'DEFAULT.debug': 'true'}}
        )
        found = config.nova(given, self.place, self.at).own
        directories = {
            found[host]['servicegroup.process_directory']
            for host in given.hosts
        }
        self.assertEqual(len(given.hosts), len(directories))
        self.assertEqual('true', found['compute1']['DEFAULT.debug'])

    def test_what_a_user_sets_goes_over_it(self) -> None:
        given = settings.Settings(
            masakari='ours', overrides={'servicegroup.agents': 'false'}
        )
        found = config.nova(given, self.place, self.at).overrides
        self.assertEqual('false', found['servicegroup.agents'])
        self.assertEqual('password', found['placement.auth_type'])

    def test_the_clients_file_is_read_as_yaml_and_json(self) -> None:
        self.written('ours')
        text = (self.place.directory / 'clouds.yaml').read_text()
        cloud = json.loads(text)['clouds'][config.CLOUD]
        self.assertEqual('http://k/v3', cloud['auth']['auth_url'])

    def test_every_program_is_pinned(self) -> None:
        lines = releases.constraints(venv.Venv().release).splitlines()
        names = [each.partition('=')[0] for each in lines]
        for each in ('keystone', 'masakari', 'masakari-monitors'):
            self.assertEqual(1, names.count(each), each)

    def test_only_a_stack_that_was_made_so_has_masakari(self) -> None:
        for choice, kind in (('', plain.Stack), ('ours', stack.Stack)):
            directory = self.directory / f'stack{choice}'
            made = stack.open_stack(
                directory, settings.Settings(masakari=choice)
            )
            again = stack.open_stack(directory)
            self.assertEqual([kind, kind], [type(made), type(again)])

    def test_the_option_is_off_unless_it_is_given(self) -> None:
        parser = cli.build_parser()
        for words, choice in (
            (['up'], ''),
            (['up', '--masakari'], 'ours'),
            (['demo', '--masakari', 'stock'], 'stock'),
        ):
            self.assertEqual(choice, parser.parse_args(words).masakari)

    def test_the_time_line_is_in_the_order_of_time(self) -> None:
        marks = {each: 9.0 - n for n, each in enumerate(recovery.MARKS)}
        title, killed, *lines = demo.timeline(
            'ours', 'compute1', marks
        ).splitlines()
        self.assertIn('wait_period_after_service_update 1 s', title)
        self.assertIn('0.0 s  killed', killed)
        self.assertEqual(
            list(reversed(recovery.MARKS)),
            [each.split()[-1] for each in lines],
        )

    def test_only_what_is_shown_later_counts_as_silent(self) -> None:
        made = stack.Stack(
            self.directory / 'new', settings.Settings(masakari='ours')
        )
        watch = recovery.Watch(made)
        log = made.directory / 'masakari' / 'watch' / 'log'
        log.parent.mkdir(parents=True)
        event = json.dumps({'host': 'compute1', 'evidence': 'silent'})
        log.write_text(f'a warning\n{event}\n')
        self.assertTrue(watch.is_silent('compute1', 0))
        self.assertFalse(watch.is_silent('compute2', 0))
        self.assertFalse(watch.is_silent('compute1', 1))

    def test_the_backend_is_frozen_for_less_than_it_is_held(self) -> None:
        for overrides in ({}, {'servicegroup.hold_time': '40'}):
            given = settings.Settings(overrides=overrides)
            held = float(overrides.get('servicegroup.hold_time', 15))
            self.assertLess(demo.freeze(given), held)
            self.assertGreater(demo.freeze(given), held / 2)
