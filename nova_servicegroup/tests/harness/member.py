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


"""A member: a process that runs a real oslo.service service which joins.

Run as a program, it is that process. ``Member`` starts and harms one.
"""

from collections.abc import Callable, Mapping, Sequence
import argparse
import os
import pathlib
import time
from typing import Any

from oslo_utils import importutils

from nova_servicegroup.tests.harness import process

#: Seconds within which a process tells that it has joined, at most.
_TELLS = 10.0

#: How the service runs, as Nova's services do.
MODES = ('threading', 'eventlet')

#: The timers of a member stand still while its directory has this file.
_WEDGE = 'wedge'

#: What a member says of itself, as a mark; none while it is not there.
_MARK = 'mark'


class Member(process.Program):
    """One member process of a host.

    :param config: the configuration file
    :param records: the database of harness.records, for the db driver
    :param prefix: what to put before the command line
    :param env: more for the environment
    :param workers: 0 runs the service in the process itself, as nova-compute
        does; more are forked, as by nova-conductor
    """

    def __init__(
        self,
        directory: pathlib.Path,
        config: pathlib.Path,
        host: str,
        group: str = 'compute',
        records: pathlib.Path | None = None,
        mode: str = 'threading',
        workers: int = 0,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.group = group
        super().__init__(
            directory,
            __name__,
            f'--config={config}',
            f'--host={host}',
            f'--group={group}',
            f'--records={records or ""}',
            f'--mode={mode}',
            f'--workers={workers}',
            prefix=prefix,
            env=env,
            forks=mode == 'threading',
        )

    def wedge(self) -> None:
        """Let the service's timers stand still, and nothing else."""
        (self.directory / _WEDGE).touch()

    def unwedge(self) -> None:
        """Let them go on."""
        (self.directory / _WEDGE).unlink()

    def mark(self, mark: str | None) -> None:
        """Have it report that it is unfit; None: it is fit again."""
        path = self.directory / _MARK
        if mark is None:
            path.unlink()
        else:
            (self.directory / 'new').write_text(mark)
            (self.directory / 'new').rename(path)

    def workers(self) -> list[int]:
        """Return the ids of the processes that have joined."""
        return [int(pid) for pid, _ in self._joined()]

    def incarnations(self) -> list[str]:
        """Return the incarnations of these processes; see naming.

        Others may see the first before it tells that it has joined.
        """
        process.wait_until(self._joined, _TELLS, 0.01, 'it has joined')
        return [incarnation for _, incarnation in self._joined()]

    def _joined(self) -> list[list[str]]:
        return [
            line.split()[1:]
            for line in self.log.read_text().splitlines(keepends=True)
            if line.startswith('joined ') and line.endswith('\n')
        ]


def main() -> None:
    """Run the service until a signal ends it."""
    args = _parse()
    backend = importutils.try_import('oslo_service.backend')
    # Before 4.0, oslo.service has nothing but eventlet.
    if args.mode == 'eventlet' or backend is None:
        import eventlet

        eventlet.monkey_patch()
    if backend is not None:
        backend.init_backend(backend.BackendType[args.mode.upper()])
    _serve(args, {} if backend is None else {'no_fork': not args.workers})


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('--config', required=True)
    parser.add_argument('--host', required=True)
    parser.add_argument('--group', required=True)
    parser.add_argument('--records', default='')
    parser.add_argument('--mode', choices=MODES, required=True)
    parser.add_argument('--workers', type=int, required=True)
    return parser.parse_args()


def _serve(args: argparse.Namespace, options: Mapping[str, Any]) -> None:
    # Only now: oslo.service must know how it runs before it is imported.
    from oslo_config import cfg
    from oslo_log import log as logging
    from oslo_service import service

    conf = cfg.ConfigOpts()
    logging.register_options(conf)
    conf(['--config-file', args.config], project='nova')
    logging.setup(conf, 'member')
    launcher = service.launch(
        conf,
        _make_service(conf, args),
        workers=args.workers or 1,
        **options,
    )
    launcher.wait()


def _make_service(conf: Any, args: argparse.Namespace) -> Any:
    from oslo_service import service

    from nova_servicegroup import api
    from nova_servicegroup import condition
    from nova_servicegroup.drivers.common import naming
    from nova_servicegroup import services
    from nova_servicegroup.tests.harness import records

    class Recorded(services.Unrecorded):
        """Has a record after all, for the db driver."""

        def save_heartbeat(self) -> None:
            table = records.Records(pathlib.Path(args.records))
            table.save_heartbeat(args.host, args.group)

        def save_departure(self) -> None:
            table = records.Records(pathlib.Path(args.records))
            table.save_departure(args.host, args.group)

    class MemberService(service.Service):  # type: ignore[misc]
        """Does nothing but join."""

        def __init__(self) -> None:
            super().__init__()
            self.api = api.API(conf)
            self.marked = ''
            self.joins = Recorded(
                args.host, args.group, conf.report_interval, self.tg
            )
            add_timer_args = self.tg.add_timer_args
            self.tg.add_timer_args = lambda interval, callback, **options: (
                add_timer_args(interval, _wedgeable(callback), **options)
            )

        def start(self) -> None:
            super().start()
            self.api.join(args.host, args.group, self.joins)
            self.tg.add_timer_args(0.05, self._look)
            # All at once: workers share the log.
            incarnation = naming.incarnation()
            os.write(1, f'joined {os.getpid()} {incarnation}\n'.encode())

        def _look(self) -> None:
            """Say of itself what it is told to."""
            text = _read(_MARK)
            if text != self.marked:
                self.marked = text
                found = condition.parse(text)
                self.api.mark(args.host, args.group, found)

        def stop(self, graceful: bool = False) -> None:
            super().stop(graceful)
            self.joins.stop()

    return MemberService()


def _read(name: str) -> str:
    try:
        return pathlib.Path(name).read_text()
    except FileNotFoundError:
        return ''


def _wedgeable(callback: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        while os.path.exists(_WEDGE):
            time.sleep(0.05)
        callback()

    return call


if __name__ == '__main__':
    main()
