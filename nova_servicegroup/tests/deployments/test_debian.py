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

"""The Debian packages build, and contain what they should."""

import configparser
import gzip
import pathlib
import re
import shutil
from typing import ClassVar

from nova_servicegroup.tests.deployments import example

DEBIAN = example.CONTRIB / 'debian'
DAEMONS = 'exporter', 'monitor', 'collector', 'agent'
MODULE = 'python3-nova-servicegroup'
#: Without this environment: Debian's tools use Debian's Python.
_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'


class PackagesTest(example.ExampleTest):
    #: Where the packages are.
    built: ClassVar[pathlib.Path]

    @classmethod
    def setUpClass(cls) -> None:
        """Build the packages as a packager does, from the distribution."""
        super().setUpClass()
        cls.built = cls.make_root()
        example.run(
            *('python', '-m', 'build', '--sdist', '--outdir', cls.built),
            cwd=example.ROOT,
        )
        (archive,) = cls.built.glob('*.tar.gz')
        example.run('tar', '-xzf', archive, cwd=cls.built)
        (source,) = (each for each in cls.built.iterdir() if each.is_dir())
        shutil.copytree(DEBIAN, source / 'debian')
        # A packager has Sphinx, and what the pages import, as packages.
        own = f'env PATH={example.PROGRAMS}:{_PATH}'
        example.run(
            *('dpkg-buildpackage', '-b', '-d', '-us', '-uc'),
            cwd=source,
            PATH=_PATH,
            SPHINXBUILD=f'{own} sphinx-build',
        )

    def contents(self, package: str) -> list[str]:
        """Return the paths in a package."""
        listed = example.run('dpkg-deb', '--contents', self.file(package))
        return [
            line.split()[5].removeprefix('.') for line in listed.splitlines()
        ]

    def file(self, package: str) -> pathlib.Path:
        (file,) = self.built.glob(f'{package}_*.deb')
        return file

    def test_nova_finds_the_drivers(self) -> None:
        unpacked = self.root / 'unpacked'
        example.run('dpkg-deb', '-x', self.file(MODULE), unpacked)
        (points,) = unpacked.glob('usr/lib/python3/**/entry_points.txt')
        found = configparser.ConfigParser(delimiters='=')
        found.read(points)
        ours = configparser.ConfigParser()
        ours.read(example.ROOT / 'setup.cfg')
        for group, text in ours['entry_points'].items():
            names = {
                line.partition('=')[0].strip()
                for line in text.strip().splitlines()
            }
            self.assertEqual(names, set(found[group]), group)

    def test_the_module_has_commands_pages_and_completion(self) -> None:
        found = set(self.contents(MODULE))
        self.assertLessEqual(
            {
                '/usr/bin/nova-servicegroup',
                '/usr/bin/nova-servicegroup-status',
                '/usr/share/bash-completion/completions/nova-servicegroup',
                '/usr/share/man/man1/nova-servicegroup.1.gz',
                '/usr/share/man/man1/nova-servicegroup-status.1.gz',
                '/usr/share/nova_servicegroup/nova_servicegroup.conf.sample',
            },
            found,
        )
        self.assertIn(
            '/usr/lib/python3/dist-packages/nova_servicegroup/api.py', found
        )

    def test_a_daemon_has_its_unit_and_page(self) -> None:
        for daemon in DAEMONS:
            name = f'nova-servicegroup-{daemon}'
            found = set(self.contents(name))
            self.assertLessEqual(
                {
                    f'/usr/bin/{name}',
                    f'/lib/systemd/system/{name}.service',
                    f'/usr/share/man/man8/{name}.8.gz',
                },
                found,
            )

    def test_a_daemon_that_runs_outlives_an_upgrade_and_no_removal(
        self,
    ) -> None:
        for daemon in DAEMONS:
            name = f'nova-servicegroup-{daemon}'
            scripts = self.root / name
            example.run('dpkg-deb', '-e', self.file(name), scripts)
            self.assertFalse((scripts / 'preinst').exists())
            after = (scripts / 'postinst').read_text()
            self.assertIn('_dh_action=restart', after)
            # Only what is enabled is started.
            self.assertIn(f"deb-systemd-invoke $_dh_action '{name}.", after)
            self.assertIn(f"was-enabled '{name}.service'", after)
            before = (scripts / 'prerm').read_text()
            self.assertIn(f"deb-systemd-invoke stop '{name}.service'", before)

    def test_a_page_shows_the_options(self) -> None:
        for daemon in DAEMONS:
            name = f'nova-servicegroup-{daemon}'
            unpacked = self.root / name
            example.run('dpkg-deb', '-x', self.file(name), unpacked)
            page = unpacked / f'usr/share/man/man8/{name}.8.gz'
            text = gzip.decompress(page.read_bytes()).decode()
            self.assertIn(r'\-\-config\-file', text)

    def test_debians_own_linter(self) -> None:
        (changes,) = self.built.glob('*.changes')
        # There is no bug about a package that Debian has not.
        example.run(
            *('lintian', '--fail-on', 'error,warning', '--suppress-tags'),
            *('initial-upload-closes-no-bugs', changes),
        )


class VersionTest(example.ExampleTest):
    def test_the_changelog_has_the_version(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(example.ROOT / 'setup.cfg')
        first, *_ = (DEBIAN / 'changelog').read_text().splitlines()
        found = re.match(r'nova-servicegroup \((.*)-\d+\) ', first)
        assert found is not None
        self.assertEqual(setup['metadata']['version'], found[1])
