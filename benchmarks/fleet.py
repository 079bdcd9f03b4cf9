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

"""Hosts that join as Nova's services do, and do nothing else.

Run as a program, it forks processes, each with a share of the hosts. A host
has a real service of oslo.service, and so a timer and a thread of its own, and
joins through Nova's API. ``Fleet`` starts the program and ends its processes.
"""

import argparse
from collections.abc import Sequence
from concurrent import futures
import functools
import itertools
import os
import pathlib
import signal
import sys
import threading
import time
from typing import Any

from benchmarks import bare as bare_
from benchmarks import contestants
from benchmarks import forks
from benchmarks import records as records_
from benchmarks import remote
from nova_servicegroup.simulation import timers as timers_

#: Seconds until a host's first heartbeat, as in Nova.
FIRST_BEAT = 5.0
#: Hosts that can join in a second beside thousands of members.
_JOINS = 100


class Fleet(remote.Program):
    """The hosts of one contestant.

    :param file: its nova.conf
    :param first: the number of the first host
    :param shares: the number of hosts of each process
    :param prefix: put before the command line
    :param bare: if set, the hosts do not join: each keeps a key or a lease on
        the server with this address, by the bare client
    :param shared: the hosts of a process share a few threads instead of having
        a timer each: thousands of these would contend for the interpreter,
        which real hosts do not share
    :param at_once: all hosts join at the same moment, when ``wait`` is called
    """

    def __init__(
        self,
        contestant: contestants.Contestant,
        file: pathlib.Path,
        first: int,
        shares: Sequence[int],
        prefix: Sequence[str] = (),
        bare: str = '',
        shared: bool = False,
        at_once: bool = False,
    ) -> None:
        self.hosts = records_.hosts(sum(shares), first)
        rest = iter(self.hosts)
        self.shares = [[*itertools.islice(rest, each)] for each in shares]
        arguments = [str(file), f'--bare={bare}']
        arguments += self._options(contestant, shared or at_once, at_once)
        arguments += map(str, (first, contestant.interval, *shares))
        log = file.with_suffix('.log')
        super().__init__(__name__, arguments, log, contestant.stock, prefix)
        if at_once:
            # Wait until it has forked.
            self.ask('ready')

    def _options(
        self, contestant: contestants.Contestant, shared: bool, at_once: bool
    ) -> list[str]:
        spread = contestant.interval
        if shared:
            spread = max(spread, len(self.hosts) // _JOINS)
        return [
            f'--driver={contestant.driver}',
            f'--beat={contestant.beat}',
            f'--spread={0 if at_once else spread}',
            *(['--shared'] if shared else []),
            *(['--records'] if contestant.in_cell else []),
        ]

    def wait(self) -> None:
        """Wait until all hosts have joined."""
        self.ask('wait')

    def kill(self, number: int) -> float:
        """Kill a process with its hosts; return the time."""
        return float(self.ask(f'kill {number}'))

    def stop(self, number: int) -> float:
        """Stop the hosts of a process cleanly; return the time."""
        return float(self.ask(f'stop {number}'))

    def revive(self, number: int) -> None:
        """Start a process with its hosts again, without waiting for them."""
        self.ask(f'revive {number}')


class _Child:
    """One process of hosts.

    :param args: those of the command line
    """

    def __init__(self, args: argparse.Namespace, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._args = args
        self._ended = threading.Event()

    def run(self, begun: int, joined: int) -> None:
        """See forks.Child."""
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        remote.log_stalls(' '.join(self._hosts))
        try:
            services = [] if self._args.bare else self._join(begun)
            os.write(joined, b'j')
        except BaseException:
            os.write(joined, b'x')
            raise
        if self._args.bare:
            bare_.keep(self._args, self._hosts)
        while not self._ended.wait(3600):
            continue
        with futures.ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(lambda each: each.stop(), services))
        # Do not wait for threads of the client libraries.
        os._exit(0)

    def _join(self, begun: int) -> list[Any]:
        """Join the hosts, one after the other or at the same moment."""
        records = (
            records_.read(self._hosts)
            if self._args.records
            else records_.make('compute', self._hosts)
        )
        timers = _share_threads(len(records)) if self._args.shared else None
        services = [
            _service(each, self._args.interval, timers) for each in records
        ]
        if self._args.spread:
            _join_in_turn(services, self._args.spread)
        else:
            # A service has its API long before it joins.
            _api()
            os.read(begun, 1)
            with futures.ThreadPoolExecutor(len(services)) as pool:
                list(pool.map(_join, services))
        return services


def _join_in_turn(services: Sequence[Any], seconds: float) -> None:
    step, begun = seconds / len(services), time.monotonic()
    for number, each in enumerate(services):
        time.sleep(max(0.0, begun + number * step - time.monotonic()))
        _join(each)


def _share_threads(hosts: int) -> timers_.Timers:
    """Return timers that so many hosts share."""
    # Client libraries still have many threads. Let those that wait for the
    # interpreter request it less often.
    sys.setswitchinterval(0.1)
    timers = timers_.Timers()
    timers.start(timers_.threads_for(hosts))
    return timers


def _join(service: Any) -> None:
    _api().join(service.host, service.topic, service)


@functools.cache
def _api() -> Any:
    from nova import servicegroup

    return servicegroup.API()


def _service(record: Any, interval: float, timers: Any) -> Any:
    from oslo_service import service

    made = service.Service()
    if timers is not None:
        made.tg = timers
    made.service_ref = record
    made.host, made.binary = record.host, record.binary
    made.topic = record.topic
    made.report_interval = interval
    return made


def main() -> None:
    """Fork the processes, then obey commands."""
    args = _parse()
    from nova import monkey_patch

    # This must come before any import of oslo.service: a timer is a native
    # thread.
    monkey_patch.patch(backend='threading')
    remote.become_nova(args.file)
    import nova.service  # noqa: F401

    parent = forks.Parent(
        args.first, args.shares, functools.partial(_Child, args)
    )
    remote.obey(
        {
            'ready': lambda: True,
            'wait': parent.wait,
            'kill': functools.partial(parent.end, signal.SIGKILL),
            'stop': functools.partial(parent.end, signal.SIGTERM),
            'revive': parent.revive,
        }
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    parser.add_argument('--records', action='store_true')
    parser.add_argument('--bare', default='')
    parser.add_argument('--driver')
    parser.add_argument('--beat', type=float, help='seconds')
    parser.add_argument('--spread', type=int, help='seconds; 0: at once')
    parser.add_argument('--shared', action='store_true')
    parser.add_argument('first', type=int)
    parser.add_argument('interval', type=int)
    parser.add_argument('shares', type=int, nargs='+')
    return parser.parse_args()


if __name__ == '__main__':
    main()
