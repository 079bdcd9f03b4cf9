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

"""Puts virtual time, threads and servers in the place of the real ones.

For a whole process, which is good for nothing else afterwards: ``begin``
comes before the package is imported, whose functions take clocks as defaults,
``finish`` after it.
"""

import datetime
import importlib
import logging
import pkgutil
import random
import sys
import time
import types
from typing import Any

from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import threads

#: The real clock.
monotonic = time.monotonic

_SKIPPED = (
    'tests',
    'monitor',
    'masakari',
    'exporter',
    'cmd',
    'plugin',
    'doctor',
)


class Servers:
    """Makes the coordinators of the history that runs.

    :ivar make: takes the scheme of the address and the member id, and the
        rest of what tooz is given
    """

    make: Any = None


class Log(logging.Handler):
    """Keeps what the package logs.

    :ivar records: the process, the time, and the record
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[
            tuple[kernel.Process, float, logging.LogRecord]
        ] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        current = kernel.current()
        if current.process.strange:
            return
        self.records.append((current.process, current.now, record))


LOG = Log()


def begin() -> None:
    """Put virtual time in the place of the real one."""
    time.monotonic, time.time, time.sleep = (
        kernel.now,
        kernel.wall,
        kernel.sleep,
    )


def finish() -> None:
    """Import the package, and put the rest in its place."""
    package = importlib.import_module('nova_servicegroup')
    _import_all(package)
    for name, module in list(sys.modules.items()):
        if name.startswith('nova_servicegroup.') and '.tests.' not in name:
            _adopt(module)
    _adopt_libraries()
    _adopt_log()


def _import_all(package: Any) -> None:
    for found in pkgutil.iter_modules(package.__path__):
        if found.name in _SKIPPED:
            continue
        module = importlib.import_module(f'{package.__name__}.{found.name}')
        if found.ispkg:
            _import_all(module)


def _adopt(module: Any) -> None:
    if hasattr(module, 'threading'):
        module.threading = threads
    if hasattr(module, 'socket'):
        module.socket = types.SimpleNamespace(
            create_connection=_refuse, gethostname=lambda: 'machine'
        )
    if hasattr(module, 'os') and module.__name__.endswith('.process'):
        module.os = types.SimpleNamespace(getpid=kernel.getpid)
    if hasattr(module, 'secrets'):
        module.secrets = types.SimpleNamespace(
            token_bytes=_token_bytes,
            token_hex=lambda size: _token_bytes(size).hex(),
        )


def _token_bytes(size: int) -> bytes:
    return random.randbytes(size)


def _refuse(*args: Any, **options: Any) -> Any:
    raise ConnectionRefusedError('there is no network here')


def _adopt_libraries() -> None:
    from oslo_utils import timeutils
    from tooz import coordination
    from tooz.drivers import zookeeper

    coordination.get_coordinator = _get_coordinator
    timeutils.utcnow = _utcnow
    handlers = zookeeper.KazooDriver.HANDLERS
    handlers.setdefault('eventlet', handlers['threading'])
    sys.modules['eventlet.patcher'] = types.SimpleNamespace(
        is_monkey_patched=lambda what: kernel.current().process.green
    )


def _get_coordinator(url: str, member_id: bytes, **options: Any) -> Any:
    scheme, _, place = url.partition('://')
    return Servers.make(scheme, place, member_id, options)


def _utcnow(with_timezone: bool = False) -> datetime.datetime:
    zone = datetime.timezone.utc
    found = datetime.datetime.fromtimestamp(kernel.wall(), zone)
    return found if with_timezone else found.replace(tzinfo=None)


def _adopt_log() -> None:
    logger = logging.getLogger('nova_servicegroup')
    logger.addHandler(LOG)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def forget() -> None:
    """Forget what was made for the processes of a history."""
    for name, module in sys.modules.items():
        if name.startswith('nova_servicegroup.') and '.tests.' not in name:
            for each in vars(module).values():
                made = getattr(each, '_made', None)
                if isinstance(made, dict):
                    made.clear()
