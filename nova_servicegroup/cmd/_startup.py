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

"""Set-up that the programs share: configuration, API, and masked output."""

from collections.abc import Sequence
import contextlib
import functools
import os

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.plugin import database
from nova_servicegroup.plugin import driver as nova_driver
from nova_servicegroup.plugin import hook
from nova_servicegroup import services


def load() -> tuple[cfg.ConfigOpts, str | None]:
    """Return the configuration, not yet parsed, with every option registered.

    :returns: Nova's own configuration and None where Nova can be imported,
        else one with our options and why Nova could not be imported
    """
    # No program here starts a service of Nova, so none needs the patches.
    os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', 'true')
    conf, problem = cfg.ConfigOpts(), None
    try:
        conf = database.load_nova()
    except Exception as error:
        problem = f'{type(error).__name__}: {error}'
    opts.register_opts(conf)
    return conf, problem


def make_api(
    conf: cfg.ConfigOpts,
    problem: str | None,
    driver: base.Driver | None = None,
) -> api.API:
    """Return an API that reads Nova's services table if it can be reached.

    :param problem: why Nova could not be imported, or None
    :param driver: see api.API
    :raises: as api.API
    """
    if problem is not None:
        made = api.API(conf, driver)
        problem = f'Nova cannot be imported here ({problem})'
    else:
        made = nova_driver.make_api(conf, driver)
        problem = _open_database(conf)
    if problem is not None:
        made.give_table(services.NoTable(problem))
    return made


def _open_database(conf: cfg.ConfigOpts) -> str | None:
    """Open Nova's databases; return why they cannot be used, or None."""
    try:
        if database.open_database(conf):
            return None
    except Exception as error:
        return exceptions.first_line(error)
    files = ', '.join(conf.config_file or ()) or 'no file'
    return f'[database] connection is not set in what was read: {files}'


def make_subject(
    conf: cfg.ConfigOpts, problem: str | None, towards: Sequence[str] = ()
) -> finding.Subject:
    """Return what the doctor's checks examine.

    :param problem: why Nova could not be imported, or None
    :param towards: see finding.Subject
    """
    return finding.Subject(
        conf,
        problem,
        lambda name: make_api(conf, problem, api.load_driver(conf, name)),
        hook.INSTALLATION.problems,
        _databases(conf) if problem is None else None,
        towards,
    )


def _databases(conf: cfg.ConfigOpts) -> finding.Databases | None:
    with contextlib.suppress(Exception):
        if not database.open_database(conf):
            return None
    # If they cannot be opened, this call raises the reason.
    return functools.partial(database.databases, conf)
