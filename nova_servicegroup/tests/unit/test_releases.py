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

"""The releases of OpenStack that are known to the tools, and their table."""

import pathlib
import subprocess
import sys

import fixtures
from oslotest import base
from packaging import requirements

from nova_servicegroup.tests.ministack import progress
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import settings
from nova_servicegroup.tests.ministack import venv
from tools._ministack import __main__ as cli
from tools._ministack import options
from tools import _releases


def _requirements(text: str) -> list[requirements.Requirement]:
    """Return what a list for pip says, without comments."""
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return [requirements.Requirement(line) for line in lines if line]


class ReleasesTest(base.BaseTestCase):
    def test_every_nova_from_29_to_34_is_known(self) -> None:
        found = releases.known()
        self.assertEqual(['29', '30', '31', '32', '33', '34'], list(found))
        for series, release in found.items():
            self.assertEqual(release, releases.find(release.nova))
            self.assertEqual(series, release.series)
            self.assertLessEqual(set(release.modes), set(settings.MODES))

    def test_an_unknown_nova_names_the_known(self) -> None:
        error = self.assertRaises(LookupError, releases.find, '28')
        self.assertIn("'28', not one of 29, 30", str(error))

    def test_the_complete_list_goes_over_the_table(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (directory / '2024.1.txt').write_text('tooz===0.1\n')
        self.constraints_in(directory)
        lines = releases.constraints(releases.find('29')).splitlines()
        self.assertEqual(
            ['tooz===0.1'], [each for each in lines if 'tooz' in each]
        )
        # What no such list has, since it is part of no release.
        self.assertIn('setuptools==79.0.1', lines)

    def test_the_table_is_enough(self) -> None:
        self.constraints_in(pathlib.Path('/nowhere'))
        lines = releases.constraints(releases.find('29')).splitlines()
        self.assertIn('tooz==6.2.0', lines)
        self.assertEqual('', releases.constraints(releases.find('34')))

    def test_what_the_tests_require_suits_every_release(self) -> None:
        file = pathlib.Path(_releases.venv_.ROOT, 'test-requirements.txt')
        required = {
            each.name: each.specifier
            for each in _requirements(file.read_text())
        }
        for release in releases.known().values():
            for pin in _requirements(releases.constraints(release)):
                (exact,) = pin.specifier
                allowed = required.get(pin.name, pin.specifier)
                self.assertIn(exact.version, allowed, f'{release.name}: {pin}')

    def constraints_in(self, directory: pathlib.Path) -> None:
        self.useFixture(
            fixtures.EnvironmentVariable(
                'NOVA_SERVICEGROUP_CONSTRAINTS', str(directory)
            )
        )


class MinistackTest(base.BaseTestCase):
    def test_it_needs_the_standard_library_alone(self) -> None:
        code = 'import sys; sys.path.insert(0, sys.argv[1])'
        code += '; import tools._ministack.__main__'
        root = str(_releases.venv_.ROOT)
        done = subprocess.run(
            [sys.executable, '-I', '-S', '-c', code, root],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.assertEqual(0, done.returncode, done.stderr)


class ModeTest(base.BaseTestCase):
    def test_the_default_is_what_the_release_has(self) -> None:
        for nova, mode in (
            ('29', 'eventlet'),
            ('32', 'eventlet'),
            ('33', 'mixed'),
            ('34', 'threading'),
        ):
            arguments = cli.build_parser().parse_args(['up', '--nova', nova])
            self.assertEqual(mode, options.mode_of(arguments))

    def test_a_mode_that_the_release_has_not(self) -> None:
        arguments = cli.build_parser().parse_args(
            ['up', '--nova', '31', '--mode', 'threading']
        )
        error = self.assertRaises(
            progress.StepFailed, options.mode_of, arguments
        )
        self.assertEqual(
            'Nova 31 has no mode threading, only eventlet', str(error)
        )

    def test_a_process_of_another_release_runs_as_that_one_does(self) -> None:
        mixed = settings.Settings(
            nova='34', mode='threading', novas={'compute1': '33'}
        )
        self.assertTrue(mixed.threading('conductor'))
        self.assertTrue(mixed.threading('compute2'))
        self.assertFalse(mixed.threading('compute1'))


PASSED = """
{0} n.tests.releases.test_live.X.test(eventlet,zk) [9.1s] ... ok
{0} n.tests.releases.test_stack.Mixed_zk_Test.test [9.1s] ... ok
{0} n.tests.releases.test_stack.Mixed_db_Test.test [9.1s] ... ok
{0} n.tests.releases.test_stack.Eventlet_mc_Test.test [9.163986s] ... FAILED
"""


class RunsTest(base.BaseTestCase):
    def test_only_what_has_passed_is_told(self) -> None:
        row = _releases.row(releases.find('33'), '3.11', PASSED)
        self.assertEqual(
            ('2026.1', '33.0.2', '3.11', 'mixed', 'db, zk', '3'), row[:-1]
        )

    def test_a_run_without_a_real_nova(self) -> None:
        self.assertRaises(
            LookupError, _releases.row, releases.find('33'), '3.11', ''
        )


class CacheTest(base.BaseTestCase):
    def test_it_outlives_the_home_of_a_test(self) -> None:
        self.assertFalse(venv.CACHE.is_relative_to(pathlib.Path.home()))


class TableTest(base.BaseTestCase):
    def test_a_row_takes_the_place_of_an_older_one(self) -> None:
        text = _releases.README.read_text()
        first, *others = self.rows(text)
        self.assertEqual(text, _releases.replaced(text, first))
        new = (*first[:3], 'eventlet, threading', *first[4:])
        changed = _releases.replaced(text, new)
        self.assertEqual([new, *others], self.rows(changed))
        self.assertEqual(text, _releases.replaced(changed, first))

    def rows(self, text: str) -> list[_releases.Row]:
        table = text.partition(_releases.BEGIN)[2].partition(_releases.END)[0]
        return _releases.rows(table)

    def test_a_readme_without_a_place_for_it(self) -> None:
        self.assertRaises(ValueError, _releases.replaced, 'text', ())
