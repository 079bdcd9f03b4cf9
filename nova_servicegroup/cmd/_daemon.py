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

"""The start, the run and the errors of the daemons."""

from collections.abc import Callable
import importlib
from importlib import metadata
import logging as std_logging
import signal
import sys
import threading
from typing import Any
import warnings

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup import diagnostics
from nova_servicegroup import exceptions
from nova_servicegroup.opts import secrets
from nova_servicegroup import process
from nova_servicegroup import startup

#: The exit status of a daemon that could not do its work.
ERROR = 2

_LAUNCHER = 'oslo_service.backend._threading.service'


def quieten() -> None:
    """Suppress the warnings of libraries about each other."""
    warnings.simplefilter('ignore')


def missing_library(extra: str, **libraries: str) -> str | None:
    """Return what to report if a library cannot be imported, or None.

    :param extra: the extra of the package that the daemon needs
    :param libraries: by module, besides those that all daemons need
    """
    for module, library in {'sdnotify': 'sdnotify', **libraries}.items():
        try:
            importlib.import_module(module)
        except Exception as error:
            return (
                f'it needs the library {library}, which cannot be imported '
                f'({exceptions.first_line(error)}): pip install '
                f'nova-servicegroup[{extra}]'
            )
    return None


def choose_threads() -> bool:
    """Make oslo.service use native threads, if it has the choice.

    Must be called before oslo.messaging is imported, which makes the choice
    otherwise.

    :returns: whether it has
    """
    backend = importutils.try_import('oslo_service.backend')
    if backend is None:
        return False
    try:
        backend.init_backend(backend.BackendType.THREADING)
    except (ImportError, ValueError):
        return False
    return True


def prepare(extra: str) -> str | None:
    """Prepare to run on native threads; return why that fails, or None.

    :param extra: see missing_library
    """
    missing = missing_library(extra)
    if missing is not None or choose_threads():
        return missing
    return (
        'it needs oslo.service 4.5 or later with threads: pip install '
        f'nova-servicegroup[{extra}], next to an older Nova in an '
        'environment of its own'
    )


def configure(program: str, conf: cfg.ConfigOpts) -> None:
    """Read the configuration and set up logging.

    :param program: the name of the daemon
    :raises cfg.Error: the configuration cannot be read
    """
    if 'log_file' not in conf:
        logging.register_options(conf)
    conf(
        sys.argv[1:],
        project='nova',
        prog=program,
        version=metadata.version('nova-servicegroup'),
    )
    logging.setup(conf, program)
    diagnostics.set_up(program, conf)


def start(program: str, conf: cfg.ConfigOpts, problem: str | None) -> api.API:
    """Read the configuration, set up logging, and return an API.

    :param program: the name of the daemon
    :param problem: why Nova could not be imported, or None
    :raises ServiceGroupError: see api.API; or the driver has no servers
    :raises cfg.Error: the configuration cannot be read
    """
    configure(program, conf)
    made = _startup.make_api(conf, problem)
    startup.require_servers(conf.servicegroup_driver, made.driver)
    diagnostics.register(lambda: [made])
    return made


class _Awaited:
    """A service whose end is awaited, with all that comes meanwhile.

    :param service: see serve
    """

    def __init__(self, service: Any) -> None:
        self._service = service
        self._ended = threading.Event()

    def start(self) -> None:
        """Start the service."""
        self._service.start()

    def reset(self) -> None:
        """Have the service read its options again."""
        self._service.reset()

    def stop(self, graceful: bool = False) -> None:
        """Stop the service."""
        try:
            self._service.stop(graceful)
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Wait until the service has stopped; signals are handled."""
        process.wait(self._ended)
        self._service.wait()


def serve(
    conf: cfg.ConfigOpts,
    service: Any,
    threads: bool = True,
    is_started: Callable[[], bool] = lambda: True,
) -> None:
    """Run a service in this process, until a signal.

    SIGTERM stops it and ends the process; SIGHUP does nothing on threads.

    :param service: with the methods of oslo.service's ServiceBase, and parts,
        which returns what systemd is told about
    :param threads: whether oslo.service uses native threads. One that has not
        the choice stays in this process by itself
    :param is_started: returns whether systemd may start what comes after it
    """
    # These imports need the choice of threads, which has been made by now, and
    # a library that missing_library looks for.
    from oslo_service import service as oslo_service

    from nova_servicegroup import supervision

    if not threads:
        supervision.start(service.parts(), is_started)
        oslo_service.launch(conf, service).wait()
        return
    # It warns that nothing is forked, which is intended here.
    std_logging.getLogger(_LAUNCHER).setLevel(std_logging.ERROR)
    oslo_service.ServiceBase.register(_Awaited)
    launcher = oslo_service.ProcessLauncher(conf, no_fork=True)
    # It would end the process in the midst of a stop. Each service bounds its
    # own, and the one of a guarded host takes longer.
    if 'graceful_shutdown_timeout' in conf:
        conf.set_override('graceful_shutdown_timeout', 0)
    # oslo.service would end the process on SIGHUP.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # One that is ready can be sent any signal.
    supervision.start(service.parts(), is_started)
    launcher.launch_service(_Awaited(service))


def refuse(program: str, conf: cfg.ConfigOpts, error: Exception) -> int:
    """Report an error of the configuration; return the exit status."""
    ours = isinstance(error, exceptions.ServiceGroupError)
    line = str(error) if ours else exceptions.first_line(error)
    return fail(program, secrets.hide(conf, line))


def fail(program: str, line: str) -> int:
    """Report why a daemon cannot do its work; return its exit status."""
    sys.stderr.write(f'{program}: {line}\n')
    return ERROR
