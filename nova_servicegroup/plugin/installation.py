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


"""Making Nova use our drivers, in one process, or saying why it does not."""

from collections.abc import Callable
import functools
from importlib import metadata

# Not oslo.log: also processes that are not Nova's load this module.
import logging
from typing import Any

from nova_servicegroup.plugin import compat

LOG = logging.getLogger(__name__)


class Installation:
    """Whether Nova uses our drivers in this process.

    :param connect: makes Nova construct our class for a list of names.
        :raises UnexpectedNova: it does not know this Nova
    """

    def __init__(self, connect: Callable[[list[str]], None]) -> None:
        self._connect = connect
        self._installed: list[compat.Choices] = []
        self._problems: list[str] = []

    def install(self, module: Any) -> None:
        """Have Nova accept the names of the installed drivers.

        Does nothing more the second time. Never raises: what is in the way
        is logged, and Nova's own drivers stay.

        :param module: nova.conf.servicegroup
        """
        self._guarded(self._widen, module)

    def problems(self) -> list[str]:
        """Tell why Nova does not use our drivers; empty when it does.

        True once Nova's configuration is imported. Never raises.
        """
        for choices in self._installed:
            choices.connect()
        if not self._installed and not self._problems:
            return ['neither castellan nor oslo.policy has loaded the hook']
        return list(self._problems)

    def _widen(self, module: Any) -> None:
        option = compat.find_option(module.SERVICEGROUP_OPTS)
        stock: Any = option.type
        if isinstance(stock, compat.Choices):
            return
        names = _installed_drivers()
        choices = compat.Choices(
            stock,
            names,
            functools.partial(self._guarded, self._connect, names),
        )
        option.type = choices
        self._installed.append(choices)

    def _guarded(self, step: Callable[[Any], None], argument: Any) -> bool:
        try:
            step(argument)
        except compat.UnexpectedNova as error:
            self._stand_aside(str(error))
        except Exception as error:
            self._stand_aside(f'{type(error).__name__}: {error}')
        else:
            return True
        return False

    def _stand_aside(self, problem: str) -> None:
        # castellan and oslo.policy may both bring us here.
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
