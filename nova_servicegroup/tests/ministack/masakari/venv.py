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
"""The virtual environment of keystone, Masakari and OpenStack's client."""

import dataclasses
import pathlib

from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import venv as venv_

_PINS = pathlib.Path(__file__).with_name('constraints.txt')
_PACKAGES = (
    'masakari',
    'masakari-monitors',
    'keystone',
    'python-openstackclient',
    'python-masakariclient',
    'PyMySQL',
    'python-memcached',
    'uWSGI',
)


class Venv(venv_.Venv):
    """One release of all of them with this package, built once and kept.

    It has the libraries of the newest release that is known, whichever Nova
    runs beside it.
    """

    def __init__(self) -> None:
        pins = dict(
            line.split('==') for line in _PINS.read_text().splitlines()
        )
        name = f'masakari-{pins["masakari"]}'
        super().__init__(releases.DEFAULT, venv_.CACHE / f'venv-{name}')
        self.name = f'keystone and {name}'
        more = {**self.release.pins, **pins}
        self.release = dataclasses.replace(self.release, pins=more)

    def _packages(self) -> list[str]:
        return list(_PACKAGES)
