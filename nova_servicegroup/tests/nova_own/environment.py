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

"""An environment with Nova and what its tests need, and the package or not.

There are two, but the second has nothing of its own except the package: all
else it takes from the first. So the libraries are the same.
"""

import hashlib
import os
import pathlib
import subprocess

from nova_servicegroup.tests.ministack import progress
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import venv

#: What Nova's test-requirements.txt has and its package does not say, and the
#: libraries of our drivers.
_REQUIREMENTS = (
    'ddt',
    'fixtures',
    'osprofiler',
    'oslotest',
    'python-barbicanclient',
    'requests-mock',
    # Nova's tests take warnings of the next one for errors.
    'SQLAlchemy<2.1',
    'stestr',
    'testresources',
    'testscenarios',
    'testtools',
    'tooz[zookeeper,memcached,etcd3gw,redis]',
    'wsgi-intercept',
)


_INSTALL = ('-m', 'pip', 'install')


class _Stock(venv.Venv):
    """Nova and the libraries, and never the package."""

    def _package(self) -> str:
        return ''


class Environment:
    """Nova of one release, with and without the package.

    Both are built once and kept.

    :ivar without: the Python that has Nova
    :ivar package: the Python that has Nova and the package
    """

    def __init__(self, release: releases.Release) -> None:
        name = f'venv-nova-own-{release.nova}'
        directory = venv.CACHE / name
        self._stock = _Stock(release.nova, directory)
        self._over = directory.with_name(f'{name}-package')
        self._log = directory.with_name(f'{name}-tests.log')
        self.without = self._stock.program('python')
        self.package = str(self._over / 'bin' / 'python')

    def ensure(self) -> None:
        """Build what is missing or out of date.

        :raises CalledProcessError: it cannot be installed; the log says why
        """
        self._stock.ensure(progress.Progress())
        # Within it: Nova may be installed anew, and this goes with it.
        stamp = self._stock.directory / 'tests'
        wanted = ' '.join((*_REQUIREMENTS, _digest()))
        done = stamp.exists() and self._over.exists()
        if not done or stamp.read_text() != wanted:
            self._install_tests()
            self._install_package()
            stamp.write_text(wanted)

    def has(self, name: str) -> bool:
        """Tell whether its Nova has a module, or a class of tests."""
        path = self._packages().joinpath(*name.split('.'))
        module = path.parent.with_suffix('.py')
        if module.is_file():
            return f'\nclass {path.name}(' in module.read_text()
        return path.with_suffix('.py').is_file()

    def _install_tests(self) -> None:
        pins = self._stock.directory / 'constraints.txt'
        pinned = ('-c', str(pins)) if pins.exists() else ()
        self._run(self.without, *_INSTALL, *pinned, *_REQUIREMENTS)
        # Nova's tests look for its files as a checkout has them.
        etc = self._packages() / 'etc'
        if not etc.is_symlink():
            etc.symlink_to(os.path.relpath(self._stock.etc.parent, etc.parent))

    def _install_package(self) -> None:
        make = ('-m', 'venv', '--clear', '--without-pip', str(self._over))
        self._run(venv.base_python(), *make)
        (path,) = self._over.glob('lib/python*/site-packages')
        (path / 'nova.pth').write_text(f'{self._packages()}\n')
        pip = ('-m', 'pip', '--python', self.package, 'install', '--no-deps')
        self._run(self.without, *pip, '-e', str(venv.ROOT))

    def _packages(self) -> pathlib.Path:
        (path,) = self._stock.directory.glob('lib/python*/site-packages')
        return path

    def _run(self, *command: str) -> None:
        with self._log.open('ab') as log:
            subprocess.run(
                command, stdout=log, stderr=log, cwd='/', check=True
            )


def _digest() -> str:
    """Return what the installed package depends on."""
    parts = (venv.ROOT / 'setup.cfg').read_bytes(), str(venv.ROOT).encode()
    return hashlib.sha256(b''.join(parts)).hexdigest()
