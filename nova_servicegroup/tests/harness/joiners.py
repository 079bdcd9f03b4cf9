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


"""Many members of one host that join at the same moment.

Run as a program, it makes the members of some hosts and, once its input says
so, has each join in a thread of its own, through the driver as a service does.
``Joiners`` starts several of them.
"""

import argparse
from collections.abc import Sequence
from concurrent import futures
import math
import pathlib
import subprocess
import sys
import time
from typing import Any

PROCESSES = 10
#: Fewer processes are started where each would have less than this.
_SHARE = 10


class Joiners:
    """Hosts that wait for the word to join."""

    def __init__(self, config: pathlib.Path, hosts: Sequence[str]) -> None:
        count = min(PROCESSES, math.ceil(len(hosts) / _SHARE))
        self._processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    '-m',
                    __name__,
                    f'--config={config}',
                    *hosts[number::count],
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                cwd=pathlib.Path(__file__).parents[3],
            )
            for number in range(count)
        ]
        self._read('ready')

    @property
    def pids(self) -> list[int]:
        """Of the processes, each of which leads a session."""
        return [each.pid for each in self._processes]

    def go(self) -> None:
        """Have them join; return when each has beaten once."""
        for each in self._processes:
            assert each.stdin
            each.stdin.write('go\n')
            each.stdin.flush()
        self._read('joined')

    def kill(self) -> None:
        """End the processes; the memberships are left to expire."""
        for each in self._processes:
            each.kill()
            each.communicate()

    def _read(self, word: str) -> None:
        for each in self._processes:
            assert each.stdout
            line = each.stdout.readline().strip()
            if line != word:
                raise RuntimeError(f'a joiner says {line!r}, not {word!r}')


class _Service:
    """Beats when it is told."""

    def __init__(self, report_interval: float) -> None:
        self.report_interval = report_interval
        self.tg = self
        self.ticks: list[Any] = []

    def add_timer_args(self, interval: float, tick: Any, **how: Any) -> None:
        self.ticks.append(tick)

    def on_stop(self, callback: Any) -> None:
        pass

    def save_heartbeat(self) -> None:
        pass


def main() -> None:
    """Join when told, and beat until killed."""
    from oslo_config import cfg

    from nova_servicegroup import api
    from nova_servicegroup import reporter

    parser = argparse.ArgumentParser()
    parser.add_argument('--config', required=True)
    parser.add_argument('hosts', nargs='+')
    args = parser.parse_args()
    conf = cfg.ConfigOpts()
    conf(['--config-file', args.config], project='nova')
    group = api.API(conf)
    print('ready', flush=True)
    sys.stdin.readline()
    service = _Service(conf.report_interval)
    with futures.ThreadPoolExecutor(len(args.hosts)) as threads:
        for done in [
            threads.submit(group.join, host, 'compute', service)
            for host in args.hosts
        ]:
            done.result()
        print('joined', flush=True)
        delay = reporter.INITIAL_DELAY
        while True:
            time.sleep(delay)
            list(threads.map(lambda tick: tick(), service.ticks))
            delay = conf.report_interval


if __name__ == '__main__':
    main()
