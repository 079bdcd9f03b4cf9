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

"""nova-servicegroup-exporter: a daemon that serves metrics to Prometheus."""

from oslo_config import cfg
from oslo_utils import importutils

from nova_servicegroup import api
from nova_servicegroup.cmd import _daemon
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions
from nova_servicegroup.opts import secrets

PROGRAM = 'nova-servicegroup-exporter'


def main() -> int:
    """Run the exporter until a signal ends it; return the exit status."""
    _daemon.quieten()
    missing = _missing_library()
    if missing is not None:
        return _daemon.fail(PROGRAM, missing)
    chosen = _daemon.choose_threads()
    conf, problem = _startup.load()
    try:
        _run(_daemon.start(PROGRAM, conf, problem), chosen)
    except (exceptions.ServiceGroupError, cfg.Error, OSError) as error:
        line = secrets.hide(conf, _line(conf, error))
        return _daemon.fail(PROGRAM, line)
    return 0


def _missing_library() -> str | None:
    """See _daemon.missing_library."""
    libraries = {'prometheus_client': 'prometheus-client', 'jinja2': 'Jinja2'}
    # An oslo.service that has the choice needs this for native threads.
    if importutils.try_import('oslo_service.backend') is not None:
        libraries['cotyledon'] = 'cotyledon'
    return _daemon.missing_library('exporter', **libraries)


def _run(servicegroup: api.API, threads: bool) -> None:
    """Serve until a signal ends it.

    :param threads: see _daemon.serve
    """
    # This import needs the choice of threads, which has been made by now.
    from nova_servicegroup.exporter import service as exporter

    made = exporter.Exporter(servicegroup)
    made.serve()
    _daemon.serve(servicegroup.driver.conf, made, threads)


def _line(conf: cfg.ConfigOpts, error: Exception) -> str:
    """Return the message of an error in one line."""
    if isinstance(error, OSError):
        options = conf.servicegroup_exporter
        return (
            f'metrics cannot be served on [servicegroup_exporter] listen = '
            f'{options.listen}, port = {options.port}: '
            f'{error.strerror or error}'
        )
    return exceptions.first_line(error)
