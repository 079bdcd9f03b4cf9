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


"""nova-servicegroup-exporter: metrics for Prometheus, as a daemon."""

from importlib import metadata
import sys
import warnings

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils

from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions

PROGRAM = 'nova-servicegroup-exporter'

#: The exit status of a program that could not do its work.
ERROR = 2


def main() -> int:
    """Serve until a signal ends it; return the exit status."""
    # Libraries warn about each other here, which is no news for a log.
    warnings.simplefilter('ignore')
    missing = _missing_library()
    if missing is not None:
        return _fail(
            f'it needs the library {missing}, which is not installed: '
            'pip install nova-servicegroup[exporter]'
        )
    launch_options = _choose_threads()
    conf, problem = _startup.load()
    try:
        _read(conf)
        _run(conf, problem, launch_options)
    except (exceptions.ServiceGroupError, cfg.Error, OSError) as error:
        return _fail(_startup.hide(conf, _line(conf, error)))
    return 0


def _missing_library() -> str | None:
    """Return the name of a library of the extra that is not installed."""
    if importutils.try_import('prometheus_client') is None:
        return 'prometheus-client'
    # What oslo.service needs for native threads, where it has a choice.
    backend = importutils.try_import('oslo_service.backend')
    if backend is not None and importutils.try_import('cotyledon') is None:
        return 'cotyledon'
    return None


def _choose_threads() -> dict[str, bool]:
    """Have oslo.service run on native threads, where it has a choice.

    :returns: how to launch a service in this process itself, so that what
        it sees is what is served. Without the choice, that is the default.
    """
    backend = importutils.try_import('oslo_service.backend')
    if backend is None:
        return {}
    backend.init_backend(backend.BackendType.THREADING)
    return {'no_fork': True}


def _read(conf: cfg.ConfigOpts) -> None:
    """Read the configuration and begin to log."""
    logging.register_options(conf)
    conf(
        sys.argv[1:],
        project='nova',
        prog=PROGRAM,
        version=metadata.version('nova-servicegroup'),
    )
    logging.setup(conf, PROGRAM)


def _run(
    conf: cfg.ConfigOpts, problem: str | None, options: dict[str, bool]
) -> None:
    """Serve until a signal ends it."""
    # Only now: oslo.service must know how it runs before it is imported.
    from oslo_service import service

    from nova_servicegroup.exporter import service as exporter

    made = exporter.Exporter(_startup.make_api(conf, problem))
    made.serve()
    service.launch(conf, made, **options).wait()


def _line(conf: cfg.ConfigOpts, error: Exception) -> str:
    """Return what an error says, in a line."""
    if isinstance(error, OSError):
        options = conf.servicegroup_exporter
        return (
            f'metrics cannot be served on [servicegroup_exporter] listen = '
            f'{options.listen}, port = {options.port}: '
            f'{error.strerror or error}'
        )
    return exceptions.first_line(error)


def _fail(text: str) -> int:
    sys.stderr.write(f'{PROGRAM}: {text}\n')
    return ERROR
