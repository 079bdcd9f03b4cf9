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

"""The virtual environment that Nova runs in."""

import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from nova_servicegroup.tests.ministack import progress
from nova_servicegroup.tests.ministack import releases

NOVA_VERSION = releases.find(releases.DEFAULT).nova
ROOT = pathlib.Path(__file__).resolve().parents[3]
_CONSTRAINTS = 'constraints.txt'
_REQUIREMENTS = ('PyMySQL', 'python-memcached', 'pymemcache', 'uWSGI')


def _cache() -> pathlib.Path:
    own = os.environ.get('NOVA_SERVICEGROUP_CACHE')
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(own or pathlib.Path(base) / 'nova-servicegroup')


#: Where everything lives that may be deleted at any time. A test has a home
#: directory of its own, so this is settled before it begins.
CACHE = _cache()


@functools.cache
def base_python() -> str:
    """Return the Python to build upon, whichever runs this.

    Debian's own goes first, like in tools/_bootstrap.sh.
    """
    code = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'
    debian = '/usr/bin/python3'
    if pathlib.Path(debian).exists():
        done = subprocess.run([debian, '-c', code], capture_output=True)
        if done.returncode == 0:
            return debian
    return os.path.join(sys.base_prefix, 'bin', 'python3')


class Venv:
    """Nova of one release with this package, built once and kept.

    It has the libraries that the release pins.

    :param nova: a version or a series, for instance ``31``.
    :raises LookupError: when it is none that is known here.
    """

    def __init__(
        self, nova: str = NOVA_VERSION, directory: pathlib.Path | None = None
    ) -> None:
        self.release = releases.find(nova)
        self.nova_version = self.release.nova
        self.name = f'nova {self.nova_version}'
        name = f'venv-nova-{self.nova_version}'
        self.directory = directory or CACHE / name
        self.log = self.directory.with_suffix('.log')

    def program(self, name: str) -> str:
        """Return the path of a program in it."""
        return str(self.directory / 'bin' / name)

    def python_version(self) -> str:
        """Return its Python's version, for instance ``3.11``."""
        code = 'import sys; print("%d.%d" % sys.version_info[:2])'
        argv = [self.program('python'), '-c', code]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    @property
    def etc(self) -> pathlib.Path:
        """Where Nova's package puts its sample configuration."""
        return self.directory / 'etc' / 'nova'

    def ensure(self, progress: progress.Progress) -> None:
        """Build what is missing or out of date.

        :raises StepFailed: with pip's log.
        """
        if self._stamp() != self._stock():
            with progress.step(f'installing {self.name}'):
                self._install_stock()
        if self._stamp('package') != self._package():
            with progress.step('installing nova-servicegroup into it'):
                self._install_package()

    def _install_stock(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        self._run(base_python(), '-m', 'venv', str(self.directory))
        self._write(_CONSTRAINTS, releases.constraints(self.release))
        self._pip('--upgrade', 'pip')
        self.install('--upgrade', 'setuptools', 'wheel')
        self._build_uwsgi()
        self.install(*self._packages())
        self._write('stamp', self._stock())

    def _install_package(self) -> None:
        if self._package():
            self.install(self._packages()[0], '-e', f'{ROOT}[all]')
        self._write('package', self._package())

    def install(self, *arguments: str) -> None:
        """Install something, in the versions that the release pins.

        :raises StepFailed: with pip's log.
        """
        pins = str(self.directory / _CONSTRAINTS)
        built = str(self._built())
        self._pip('--constraint', pins, '--find-links', built, *arguments)

    def _build_uwsgi(self) -> None:
        """Build uWSGI once for all releases.

        One from pip's cache may have been built for another Python.
        """
        if not list(self._built().glob('*.whl')):
            python, kept = self.program('python'), str(self._built())
            build = ('wheel', '--no-cache-dir', '--no-deps', '-w', kept)
            self._run(python, '-m', 'pip', *build, 'uWSGI')

    def _built(self) -> pathlib.Path:
        python = hashlib.sha256(base_python().encode()).hexdigest()[:8]
        return CACHE / f'wheels-{python}'

    def _packages(self) -> list[str]:
        placement = f'openstack-placement=={self.release.placement}'
        return [f'nova=={self.nova_version}', placement, *_REQUIREMENTS]

    def _pip(self, *arguments: str) -> None:
        self._run(self.program('python'), '-m', 'pip', 'install', *arguments)

    def _run(self, *command: str) -> None:
        with self.log.open('ab') as log:
            done = subprocess.run(command, stdout=log, stderr=log, cwd='/')
        if done.returncode:
            what = f'{" ".join(command)} failed'
            raise progress.StepFailed(what, self.log)

    def _stock(self) -> str:
        pins = releases.constraints(self.release).encode()
        digest = hashlib.sha256(pins).hexdigest()
        return ' '.join((base_python(), digest, *self._packages()))

    def _package(self) -> str:
        """Return what the installation depends on, empty without package."""
        files = [ROOT / 'setup.cfg', ROOT / 'requirements.txt']
        parts = [file.read_bytes() for file in files if file.exists()]
        digest = hashlib.sha256(b''.join(parts)).hexdigest()
        return f'{ROOT} {digest}' if files[0].exists() else ''

    def _stamp(self, name: str = 'stamp') -> str:
        file = self.directory / name
        return file.read_text() if file.exists() else ''

    def _write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)
