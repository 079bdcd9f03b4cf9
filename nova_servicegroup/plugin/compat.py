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


"""What the adapter expects of Nova's code, and how it changes it."""

import collections
from collections.abc import Iterable, Mapping, MutableMapping
import importlib
import operator
from typing import Protocol

from oslo_config import cfg
from oslo_config import types

OPTION = 'servicegroup_driver'

#: The class that Nova constructs for each of our names.
DRIVER = 'nova_servicegroup.plugin.driver.Driver'

#: What Nova constructs for the names that it knows by itself.
STOCK = {
    'db': 'nova.servicegroup.drivers.db.DbDriver',
    'mc': 'nova.servicegroup.drivers.mc.MemcachedDriver',
}


#: What is used of Nova, by module; all that this package calls of it by name.
#: What its services and records have is in services.Service and ServiceRef.
NAMES = {
    'nova.conf': ('CONF',),
    'nova.context': ('get_admin_context', 'target_cell'),
    'nova.db.api.api': ('configure',),
    'nova.db.main.api': ('configure', 'get_engine'),
    'nova.exception': ('ServiceNotFound',),
    'nova.objects': ('register_all',),
    'nova.objects.base': ('NovaObject.indirection_api',),
    'nova.objects.cell_mapping': ('CellMappingList.get_all',),
    'nova.objects.service': (
        'Service.obj_clone',
        'Service.obj_reset_changes',
        'Service.save',
        'ServiceList.get_all',
    ),
    'nova.rpc': ('TRANSPORT', 'create_transport', 'get_transport_url', 'init'),
    'nova.servicegroup.api': ('_driver_name_class_mapping',),
    'nova.servicegroup.drivers.base': ('Driver',),
}

#: What a check uses of Nova beyond that, by the check: where some of it is
#: missing, that check alone stands aside.
CHECK_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    'rpc': {
        'nova.baserpc': ('BaseAPI', 'BaseRPCAPI.ping'),
        'nova.context': ('get_admin_context',),
    },
    'virt': {'nova.virt.driver': ('ComputeDriver.get_num_instances',)},
}


class UnexpectedNova(Exception):
    """Nova's code does not look as this release knows it."""


class Installation(Protocol):
    """What has Nova construct our class; see hook."""

    def connect(self, names: list[str]) -> bool:
        """Do so for some names; tell whether Nova does."""


class Choices(types.String):
    """The type of Nova's option: its own choices and the installed drivers.

    The first read of the option makes Nova construct our class for them, or
    else the option is Nova's own again. Reading is the moment because Nova's
    servicegroup code cannot be imported yet when the option is registered.
    """

    def __init__(
        self,
        stock: types.String,
        names: list[str],
        installation: Installation,
    ) -> None:
        self._stock = dict(stock.choices or {})
        added = dict.fromkeys(names, 'Driver of nova-servicegroup')
        super().__init__(choices=list({**added, **self._stock}.items()))
        self._names = names
        self._installation = installation
        self._connected = False

    def __call__(self, value: object) -> str:
        """Return value as a string.

        :raises ValueError: it is none of the choices
        """
        self.connect()
        return super().__call__(value)

    def connect(self) -> None:
        """Make Nova construct our class, unless that is done."""
        if self._connected:
            return
        if not self._installation.connect(self._names):
            self.choices = collections.OrderedDict(self._stock)
        self._connected = True


def find_option(options: Iterable[cfg.Opt]) -> cfg.Opt:
    """Return Nova's option among options.

    :raises UnexpectedNova: it is missing or of another kind
    """
    for option in options:
        if option.name == OPTION:
            _check_option(option)
            return option
    raise UnexpectedNova(f'nova.conf.servicegroup has no option {OPTION}')


def _check_option(option: cfg.Opt) -> None:
    kind = option.type
    if (
        not isinstance(kind, types.String)
        or type(kind) not in (types.String, Choices)
        or 'db' not in (kind.choices or ())
    ):
        raise UnexpectedNova(f'the option {OPTION} has the type {kind!r}')


def point(mapping: MutableMapping[str, str], names: Iterable[str]) -> None:
    """Make names stand for our class in Nova's mapping.

    :raises UnexpectedNova: it is not the mapping that we know, or somebody
        else has given one of the names a meaning
    """
    names = list(names)
    for name in {'db', *names}:
        _check_entry(name, mapping.get(name))
    mapping.update(dict.fromkeys(names, DRIVER))


def _check_entry(name: str, found: str | None) -> None:
    accepted: set[str | None] = {STOCK.get(name), DRIVER}
    if name != 'db':
        # db is in every Nova; others need not be.
        accepted.add(None)
    if found not in accepted:
        raise UnexpectedNova(f'its servicegroup driver {name} is {found}')


def check_names(
    used: Mapping[str, Iterable[str]] = NAMES,
) -> None:
    """Check that Nova has all that is used of it.

    :param used: names by module
    :raises UnexpectedNova: it lacks something, or cannot be imported
    """
    missing = [
        f'{module}.{name}'
        for module, names in used.items()
        for name in _lacks(module, names)
    ]
    if missing:
        raise UnexpectedNova('it has no ' + ', '.join(missing))


def _lacks(module: str, names: Iterable[str]) -> list[str]:
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise UnexpectedNova(f'ImportError: {error}') from error
    return [each for each in names if not _has(found, each)]


def _has(found: object, name: str) -> bool:
    try:
        operator.attrgetter(name)(found)
    except AttributeError:
        return False
    return True


def check_interface(expected: type, ours: type) -> None:
    """Check that Nova asks nothing of a driver that ours lacks.

    :raises UnexpectedNova: it does
    """
    missing = sorted(
        name
        for name in vars(expected)
        if not name.startswith('_') and not hasattr(ours, name)
    )
    if missing:
        raise UnexpectedNova(
            'its servicegroup drivers have the methods ' + ', '.join(missing)
        )
