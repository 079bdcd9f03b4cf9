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

"""All errors that this package raises."""

from collections.abc import Collection, Iterable
from typing import Any

from nova_servicegroup import escaping
from nova_servicegroup import masking

#: The option that names the driver, by default.
DRIVER_OPTION = '[DEFAULT] servicegroup_driver'

#: The characters of a foreign error that are shown, and those that are read:
#: a URL that begins in the former must end in the latter.
_SHOWN = 500
_READ = 4096


class ServiceGroupError(Exception):
    """The base of every error that this package raises."""


class ConfigurationError(ServiceGroupError):
    """The value of an option cannot be used.

    :ivar option: as written in the file: ``[group] name``
    :ivar value: the refused value, or None if it must not be shown
    """

    def __init__(self, option: str, value: object, accepted: str) -> None:
        shown = '' if value is None else f' = {value!r}'
        super().__init__(
            f'{option}{shown} cannot be used. Accepted: {accepted}'
        )
        self.option = option
        self.value = value


class ConfigurationFileError(ServiceGroupError):
    """A configuration file cannot be read."""


class ArgumentError(ServiceGroupError, ValueError):
    """A caller passed an argument that cannot be used."""

    def __init__(self, argument: str, value: object, accepted: str) -> None:
        super().__init__(
            f'{argument} = {value!r} cannot be used. Accepted: {accepted}'
        )
        self.argument = argument


class ServiceMissing(ArgumentError, RuntimeError):
    """The service that joins was not passed.

    A RuntimeError, like that of Nova's own drivers.
    """

    def __init__(self) -> None:
        super().__init__('service', None, "Nova's service object")


class DriverNotFound(ConfigurationError):
    """No installed driver has the chosen name."""

    def __init__(
        self, name: str, installed: Iterable[str], option: str = DRIVER_OPTION
    ) -> None:
        names = ', '.join(sorted(installed)) or 'none is installed'
        super().__init__(option, name, names)


class DriverAmbiguous(ConfigurationError):
    """Several installed drivers have the chosen name."""

    def __init__(
        self, name: str, providers: Iterable[str], option: str = DRIVER_OPTION
    ) -> None:
        super().__init__(
            option,
            name,
            'a name that one package provides; this one comes from '
            + ', '.join(sorted(providers)),
        )


class LibraryMissing(ServiceGroupError):
    """The client library of the chosen driver is not installed."""

    def __init__(self, driver: str, library: str, extra: str) -> None:
        super().__init__(
            f'The {driver} driver needs the library {library}, which is not '
            f'installed: pip install nova-servicegroup[{extra}]'
        )
        self.driver = driver
        self.library = library
        self.extra = extra


class LibraryUnusable(ServiceGroupError):
    """A library of the chosen driver is installed but cannot be imported.

    :ivar module: what cannot be imported
    """

    def __init__(self, driver: str, module: str, error: BaseException) -> None:
        super().__init__(
            f'The {driver} driver cannot import {module}: '
            f'{type(error).__name__}: {first_line(error)}. Its libraries do '
            'not fit each other or this Python: see what "pip check" says'
        )
        self.driver = driver
        self.module = module


class BackendError(ServiceGroupError):
    """The backend cannot be asked, or answers with an error."""

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f'{backend}: {reason}')
        self.backend = backend
        self.reason = reason


class BackendTimeout(BackendError):
    """The backend did not answer within the bound of the call."""


class BackendUnreachable(BackendError):
    """Nothing can be sent to the backend."""


class NoAccess(BackendError):
    """This process has no access to the backend and will not get any."""


class PartialRecords(BackendError):
    """The services table of some cells cannot be read.

    :ivar records: those of the other cells
    :ivar cells: the cells that did not answer
    """

    def __init__(
        self,
        backend: str,
        records: list[Any],
        cells: Collection[str],
        reason: str | None = None,
    ) -> None:
        names = ', '.join(sorted(cells))
        super().__init__(backend, reason or f'no answer from cell {names}')
        self.records = records
        self.cells = cells


class RecordDeleted(ServiceGroupError):
    """The services table has no record of the service any more."""

    def __init__(self, binary: str, host: str) -> None:
        super().__init__(
            f'The services table record for the {binary} service on host '
            f'{host} is gone. Either stop this service, if it should be '
            f'deleted, or restart it to create a new record.'
        )
        self.binary = binary
        self.host = host


class SimulationError(ServiceGroupError):
    """A simulation cannot go on."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or else its class name.

    Printable, of limited length, and without the credentials of URLs: errors
    of databases may contain them.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    return escaping.printable(masking.urls(lines[0][:_READ]), _SHOWN)
