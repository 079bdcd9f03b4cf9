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

"""The releases of OpenStack that are known here, and what each pins.

``releases.csv`` has a column for each release: its Nova and placement, the
modes that its services have (the first one is what they do by themselves),
the microversion that is asked for, and the libraries that matter. A library
without a version is the newest that pip finds.
"""

from collections.abc import Mapping
import csv
import dataclasses
import os
import pathlib

DEFAULT = '34'
_TABLE = pathlib.Path(__file__).with_name('releases.csv')
_ROOT = pathlib.Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Release:
    """One release.

    :param name: of OpenStack's, for instance ``2025.1``.
    :param nova: the version of Nova's package.
    :param placement: the version of placement's package.
    :param modes: see ``settings.MODES``; the first one is the default.
    :param microversion: of Nova's API.
    :param pins: ``{library: version}``.
    """

    name: str
    nova: str
    placement: str
    modes: tuple[str, ...]
    microversion: str
    pins: Mapping[str, str]

    @property
    def series(self) -> str:
        """Nova's series, for instance ``31``."""
        return self.nova.partition('.')[0]


def known() -> dict[str, Release]:
    """Return all releases by Nova's series, oldest first."""
    with _TABLE.open(newline='') as file:
        _, *names = next(rows := csv.reader(file))
        table = {
            row[0]: dict(zip(names, row[1:], strict=True)) for row in rows
        }
    found = [_release(name, table) for name in names]
    return {each.series: each for each in found}


def _release(name: str, table: Mapping[str, Mapping[str, str]]) -> Release:
    column = {what: values[name] for what, values in table.items()}
    return Release(
        name=name,
        nova=column.pop('nova'),
        placement=column.pop('openstack-placement'),
        modes=tuple(column.pop('modes').split()),
        microversion=column.pop('microversion'),
        pins={library: pin for library, pin in column.items() if pin},
    )


def find(nova: str) -> Release:
    """Return the release of a Nova.

    :param nova: a series or a version, for instance ``31`` or ``31.3.1``.
    :raises LookupError: listing those that are known.
    """
    found = known()
    try:
        return found[nova.partition('.')[0]]
    except KeyError:
        names = ', '.join(found)
        raise LookupError(f'Nova is {nova!r}, not one of {names}') from None


def chosen() -> Release:
    """Return the release that the tests are about.

    NOVA_SERVICEGROUP_NOVA says its Nova.
    """
    return find(os.environ.get('NOVA_SERVICEGROUP_NOVA') or DEFAULT)


def constraints(release: Release) -> str:
    """Return constraints for pip, a line each.

    The release's complete list goes over the table's where it lies beside
    this repository, or where NOVA_SERVICEGROUP_CONSTRAINTS says.
    """
    own = os.environ.get('NOVA_SERVICEGROUP_CONSTRAINTS')
    directory = pathlib.Path(own or _ROOT.parent / 'shared' / 'constraints')
    file = directory / f'{release.name}.txt'
    lines = [f'{name}=={pin}' for name, pin in release.pins.items()]
    if not file.exists():
        return '\n'.join(lines)
    text = file.read_text()
    names = {_name(line.partition('=')[0]) for line in text.splitlines()}
    more = [
        each for each in lines if _name(each.partition('=')[0]) not in names
    ]
    return '\n'.join([text, *more])


def _name(name: str) -> str:
    """Return a package's name as pip compares it."""
    return name.strip().lower().replace('_', '-').replace('.', '-')
