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

"""The hook that castellan calls in every process that uses it, Nova's or not.

So importing this module imports neither Nova nor the rest of this package, and
the hook does nothing unless Nova's configuration is loaded.
"""

from importlib import metadata

# Not oslo.log: processes other than Nova's load this module, too.
import logging
import sys
from typing import Any

from nova_servicegroup.plugin import compat
from nova_servicegroup.plugin import entry_point

LOG = logging.getLogger(__name__)

#: The module of Nova's option.
_CONFIGURATION = 'nova.conf.servicegroup'


class Hook:
    """The entry point: castellan constructs it when nova.conf is imported."""

    def __init__(self, conf: object = None) -> None:
        """Install the drivers into Nova, if this is Nova. Never raises."""
        install()

    def list_options_for_discovery(self) -> list[Any]:
        """Return the options for castellan to register: none."""
        return []


def install() -> None:
    """Install the drivers into Nova, if this is Nova. Never raises."""
    module = sys.modules.get(_CONFIGURATION)
    if module is not None:
        INSTALLATION.install(module)


class Installation:
    """The installation of our drivers into Nova, in this process."""

    def __init__(self) -> None:
        self._installed: list[compat.Choices] = []
        self._problems: list[str] = []

    def install(self, module: Any) -> None:
        """Make Nova accept the names of the installed drivers.

        A Nova that loads drivers from entry points accepts them by itself.

        Idempotent. Never raises: a problem is logged, and Nova keeps its own
        drivers.

        :param module: nova.conf.servicegroup
        """
        if compat.loads_entry_points(module):
            return
        try:
            self._widen(module)
        except Exception as error:
            self._stand_aside(error)

    def connect(self, names: list[str]) -> bool:
        """Make Nova construct our class for names; return whether it does.

        Never raises, like install.
        """
        try:
            _connect(names)
        except Exception as error:
            self._stand_aside(error)
            return False
        return True

    def problems(self) -> list[str]:
        """Return why Nova does not use our drivers; empty if it does.

        Valid once Nova's configuration is imported. Never raises.
        """
        # Such a Nova needs no hook, so none may have been loaded.
        if compat.loads_entry_points(sys.modules.get(_CONFIGURATION)):
            return entry_point.problems()
        for choices in self._installed:
            choices.connect()
        if not self._installed and not self._problems:
            return ['neither castellan nor oslo.policy has loaded the hook']
        return list(self._problems)

    def _widen(self, module: Any) -> None:
        option = compat.find_option(module.SERVICEGROUP_OPTS)
        stock: Any = option.type
        if not isinstance(stock, compat.Choices):
            option.type = compat.Choices(stock, _installed_drivers(), self)
            self._installed.append(option.type)

    def _stand_aside(self, error: Exception) -> None:
        problem = str(error)
        if not isinstance(error, compat.UnexpectedNova):
            problem = f'{type(error).__name__}: {error}'
        # castellan and oslo.policy may both lead here.
        if problem in self._problems:
            return
        self._problems.append(problem)
        # Before logging is set up, this goes to standard error.
        LOG.error(
            'nova-servicegroup does not know this Nova (%s) and stands '
            'aside: %s. Nova runs with its own servicegroup drivers and '
            'refuses a servicegroup_driver other than theirs. Install a '
            'release of nova-servicegroup for this Nova.',
            nova_version(),
            problem,
        )


def nova_version() -> str:
    """Return the version of the installed Nova."""
    try:
        return metadata.version('nova')
    except metadata.PackageNotFoundError:
        return 'of an unknown version'


def _installed_drivers() -> list[str]:
    from nova_servicegroup import api

    names = api.installed_drivers()
    if not names:
        raise compat.UnexpectedNova(
            f'no driver is registered as {api.NAMESPACE}'
        )
    return names


def _connect(names: list[str]) -> None:
    entry_point.check({**compat.NAMES, **compat.TABLE})
    from nova.servicegroup import api

    compat.point(api._driver_name_class_mapping, names)


#: The installation of this process.
INSTALLATION = Installation()
