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

"""The entry point for a Nova that loads servicegroup drivers from them.

It is ``nova.servicegroup.drivers``, one for each driver; contrib/nova has the
change to Nova. Importing this module imports neither Nova nor the drivers.
"""

import collections
from collections.abc import Iterable, Mapping
from importlib import metadata
import typing

from nova_servicegroup.plugin import compat

if typing.TYPE_CHECKING:
    from nova_servicegroup.plugin import driver


def load(*args: object, **kwargs: object) -> 'driver.Driver':
    """Return the driver that Nova uses.

    :raises UnexpectedNova: Nova's code differs from what is supported
    :raises: as plugin.driver.Driver
    """
    check()
    from nova_servicegroup.plugin import driver

    return driver.Driver(*args, **kwargs)


def check(used: Mapping[str, Iterable[str]] = compat.NAMES) -> None:
    """Check that Nova has what is used, and that its drivers are as ours.

    :param used: names by module
    :raises UnexpectedNova: Nova's code differs from what is supported
    """
    compat.check_names(used)
    from nova_servicegroup.plugin import driver

    from nova.servicegroup.drivers import base

    compat.check_interface(base.Driver, driver.Driver)


def problems() -> list[str]:
    """Return why Nova cannot load the drivers; empty if it can.

    Never raises.
    """
    try:
        check()
    except compat.UnexpectedNova as error:
        return [str(error)]
    except Exception as error:
        return [f'{type(error).__name__}: {error}']
    return _unregistered()


def _unregistered() -> list[str]:
    """Return which of the drivers Nova does not find, or finds twice."""
    from nova_servicegroup import api

    found = collections.Counter(
        point.name for point in metadata.entry_points(group=compat.NAMESPACE)
    )
    names = api.installed_drivers()
    return [
        f'{name} is not registered as {compat.NAMESPACE}'
        for name in names
        if not found[name]
    ] + [
        f'several packages register {name} as {compat.NAMESPACE}'
        for name in names
        if found[name] > 1
    ]
