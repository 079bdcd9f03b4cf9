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

"""The collector in a process of its own: nova-servicegroup-collector.

It needs no Nova. While one runs, nova-conductors get no heartbeats: see
intake.
"""

import inspect
from typing import Any

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_db.sqlalchemy import engines

from nova_servicegroup.drivers.db import collector
from nova_servicegroup.drivers.db import intake as intake_
from nova_servicegroup.drivers.db import store
from nova_servicegroup.drivers.db import transports
from nova_servicegroup import exceptions
from nova_servicegroup import opts

_DRIVER = 'db'


class Daemon:
    """The collector as a service of oslo.service.

    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        _check(conf)
        engine = _make_engine(conf)
        intake = intake_.DAEMON.paced(conf.report_interval)
        self._collector = collector.Collector(
            transports.make(conf, intake.transport_options),
            store.Store(lambda: engine),
            conf.host,
            'threading',
            intake,
        )

    def start(self) -> None:
        """Begin to collect, as soon as the database answers."""
        self._collector.start_paused()

    def parts(self) -> list['Probed']:
        """Return what systemd is told about: whether it collects."""
        return [Probed(self._collector)]

    def stop(self, graceful: bool = False) -> None:
        """Write what was received, and end; bounded in time."""
        self._collector.stop()

    def wait(self) -> None:
        """Do nothing: stop returns when all has stopped."""

    def reset(self) -> None:
        """Do nothing: a collector must be restarted to read its options."""


class Probed:
    """Whether a collector collects; see web.probes.Probed."""

    name = 'collector'

    def __init__(self, probed: collector.Collector) -> None:
        self._collector = probed

    def stuck(self) -> str | None:
        """Return None: a restart does not help."""
        return None

    def unready(self) -> str | None:
        """Return why nothing is collected, or None."""
        if self._collector.receives:
            return None
        return 'the database does not answer; others collect meanwhile'


def _check(conf: cfg.ConfigOpts) -> None:
    if _DRIVER not in (
        conf.servicegroup_driver,
        *opts.secondary_drivers(conf),
    ):
        raise exceptions.ConfigurationError(
            exceptions.DRIVER_OPTION,
            conf.servicegroup_driver,
            f'{_DRIVER}, or another one with {_DRIVER} in '
            f'{opts.ALSO_REPORT_TO}: no other driver has collectors',
        )
    if not conf.report_interval:
        raise exceptions.ConfigurationError(
            'report_interval',
            conf.report_interval,
            'a number of seconds: with 0, no service reports',
        )


def _make_engine(conf: cfg.ConfigOpts) -> Any:
    """Return the engine of the services table, as Nova's own is configured.

    It does not connect yet.
    """
    if 'database' not in conf or 'connection' not in conf.database:
        conf.register_opts(db_options.database_opts, group='database')
    accepted = inspect.signature(engines.create_engine).parameters
    configured = {
        name: conf.database[name] for name in accepted if name in conf.database
    }
    try:
        return engines.create_engine(
            conf.database.connection, **{**configured, 'max_retries': 0}
        )
    except Exception as error:
        # The URL is not shown: it contains a password.
        raise exceptions.ConfigurationError(
            '[database] connection',
            None,
            'a URL of SQLAlchemy, as mysql+pymysql://user@host/nova, whose '
            'library is installed',
        ) from error
