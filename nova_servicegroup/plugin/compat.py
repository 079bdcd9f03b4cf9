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


"""The names of Nova that are used, their checks, and changes to Nova."""

import collections
from collections.abc import Iterable, Mapping, MutableMapping
import importlib
import operator
from typing import Protocol

from oslo_config import cfg
from oslo_config import types

OPTION = 'servicegroup_driver'

#: Where a Nova that loads drivers from entry points looks for them, and the
#: name by which nova.conf.servicegroup says that it does.
NAMESPACE = 'nova.servicegroup.drivers'
_SAYS_SO = 'SERVICEGROUP_DRIVER_NAMESPACE'

#: The class that Nova constructs for each of our names.
DRIVER = 'nova_servicegroup.plugin.driver.Driver'

#: The classes that Nova constructs for the names that it knows by itself.
STOCK = {
    'db': 'nova.servicegroup.drivers.db.DbDriver',
    'mc': 'nova.servicegroup.drivers.mc.MemcachedDriver',
}

#: Every name of Nova that this package uses, by module. The attributes of its
#: services and records are in services.Service and ServiceRef.
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
    'nova.servicegroup.drivers.base': ('Driver',),
}

#: More names that are used in a Nova that has a table of its drivers.
TABLE = {'nova.servicegroup.api': ('_driver_name_class_mapping',)}

#: More names that a check uses, by check: if one is missing, only that
#: check is disabled.
CHECK_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    'rpc': {
        'nova.baserpc': ('BaseAPI', 'BaseRPCAPI.ping'),
        'nova.context': ('get_admin_context',),
    },
    'virt': {'nova.virt.driver': ('ComputeDriver.get_num_instances',)},
}


class UnexpectedNova(Exception):
    """Nova's code differs from what this release supports."""


class Installation(Protocol):
    """The part of hook.Installation that Choices uses."""

    def connect(self, names: list[str]) -> bool:
        """Make Nova construct our class for names; return whether it does."""


class Choices(types.String):
    """The type of Nova's option: its own choices and the installed drivers.

    The first read of the option makes Nova construct our class for the
    installed drivers; if that fails, the option has Nova's own choices again.
    It cannot be done when the option is registered, since Nova's servicegroup
    code cannot be imported at that time.
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

        :raises ValueError: it is not one of the choices
        """
        self.connect()
        return super().__call__(value)

    def connect(self) -> None:
        """Make Nova construct our class, once."""
        if self._connected:
            return
        if not self._installation.connect(self._names):
            self.choices = collections.OrderedDict(self._stock)
        self._connected = True


def loads_entry_points(module: object) -> bool:
    """Return whether Nova loads drivers from entry points.

    :param module: nova.conf.servicegroup
    """
    return getattr(module, _SAYS_SO, None) == NAMESPACE


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
    """Map names to our class in Nova's mapping.

    :raises UnexpectedNova: the mapping is of another kind, or maps one of the
        names to an unknown class
    """
    names = list(names)
    for name in {'db', *names}:
        _check_entry(name, mapping.get(name))
    mapping.update(dict.fromkeys(names, DRIVER))


def _check_entry(name: str, found: str | None) -> None:
    accepted: set[str | None] = {STOCK.get(name), DRIVER}
    if name != 'db':
        # Every Nova has db; other names may be missing.
        accepted.add(None)
    if found not in accepted:
        raise UnexpectedNova(f'its servicegroup driver {name} is {found}')


def check_names(used: Mapping[str, Iterable[str]] = NAMES) -> None:
    """Check that Nova has all names that are used.

    :param used: names by module
    :raises UnexpectedNova: a name is missing, or a module cannot be imported
    """
    missing = [
        f'{module}.{name}'
        for module, names in used.items()
        for name in _missing(module, names)
    ]
    if missing:
        raise UnexpectedNova('it has no ' + ', '.join(missing))


def _missing(module: str, names: Iterable[str]) -> list[str]:
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
    """Check that our driver has every method that Nova's drivers have.

    :raises UnexpectedNova: a method is missing
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
