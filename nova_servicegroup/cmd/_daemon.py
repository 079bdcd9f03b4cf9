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

"""The start and the errors of the daemons."""

from importlib import metadata
import sys
import warnings

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup import diagnostics

#: The exit status of a daemon that could not do its work.
ERROR = 2


def quieten() -> None:
    """Suppress the warnings of libraries about each other."""
    warnings.simplefilter('ignore')


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


def start(program: str, conf: cfg.ConfigOpts, problem: str | None) -> api.API:
    """Read the configuration, set up logging, and return an API.

    :param program: the name of the daemon
    :param problem: why Nova could not be imported, or None
    :raises ServiceGroupError: see api.API; or the driver has no servers
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
    made = _startup.make_api(conf, problem)
    _startup.require_servers(conf.servicegroup_driver, made.driver)
    diagnostics.set_up(program, made)
    return made


def fail(program: str, line: str) -> int:
    """Report why a daemon cannot do its work; return its exit status."""
    sys.stderr.write(f'{program}: {line}\n')
    return ERROR
