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


"""Collectors of heartbeats in processes of their own.

Run as a program, this is a collector as a nova-conductor has one;
``Collector`` starts and harms it. ``Daemon`` is a nova-servicegroup-collector.
"""

import argparse
import pathlib
import signal
import threading

from nova_servicegroup.tests.harness import daemon
from nova_servicegroup.tests.harness import process


class Collector(process.Program):
    """One process that collects heartbeats.

    :param transport: the URL of the message queue
    :param database: the SQLAlchemy URL of the database
    """

    def __init__(
        self,
        directory: pathlib.Path,
        transport: str,
        database: str,
        host: str = 'conductor',
    ) -> None:
        super().__init__(
            directory,
            __name__,
            f'--transport={transport}',
            f'--database={database}',
            f'--host={host}',
        )

    def wait(self, timeout: float = 30.0) -> None:
        """Wait until it collects."""
        process.wait_until(
            lambda: 'collects' in self.log.read_text(),
            timeout,
            what=f'no collector; see {self.log}',
        )


#: What a daemon logs when it begins to read, also after an outage.
READS = 'The collector reads heartbeats.'


class Daemon(daemon.Daemon):
    """One nova-servicegroup-collector."""

    name = 'collector'

    def wait(self, times: int = 1, timeout: float = 60.0) -> None:
        """Wait until it has begun to read so many times."""
        process.wait_until(
            lambda: self.count(READS) >= times,
            timeout,
            what=f'it does not read; see {self.log}',
        )


def main() -> None:
    """Collect until a signal ends it."""
    args = _parse()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    _collect(args, ended)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('--transport', required=True)
    parser.add_argument('--database', required=True)
    parser.add_argument('--host', required=True)
    return parser.parse_args()


def _collect(args: argparse.Namespace, ended: threading.Event) -> None:
    from oslo_config import cfg
    from oslo_db.sqlalchemy import engines
    import oslo_messaging as messaging

    from nova_servicegroup.drivers.db import collector
    from nova_servicegroup.drivers.db import intake
    from nova_servicegroup.drivers.db import store

    cfg.CONF([], default_config_files=[])
    engine = engines.create_engine(args.database)
    url = messaging.TransportURL.parse(cfg.CONF, args.transport)
    url.query = intake.CONDUCTOR.transport_options
    collects = collector.Collector(
        messaging.get_rpc_transport(cfg.CONF, url),
        store.Store(lambda: engine),
        args.host,
        'threading',
    )
    collects.start()
    print('collects', flush=True)
    ended.wait()
    collects.stop()


if __name__ == '__main__':
    main()
