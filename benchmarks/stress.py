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

"""How often live hosts are called down under stress."""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import dataclasses
import os
import time
from typing import Any

from benchmarks import arena as arena_
from benchmarks import busy
from benchmarks import contestants
from benchmarks import detection
from benchmarks import nova
from benchmarks import report
from nova_servicegroup.tests.harness import network
from nova_servicegroup.tests.harness import proxy
from nova_servicegroup.tests.harness import server

_LOSS = 10.0
_TITLE = 'False downs under stress'
_HEADERS = [
    'stress',
    'driver',
    'seconds',
    'hosts',
    'false downs',
    'false downs a member and hour',
    'time down, %',
    'hosts called down',
    'passes',
    'passes without an answer',
]
_NOTES = """No host is dead, so each verdict of down is false; a host that
comes up again and goes down once more counts twice. {hosts} hosts of each
driver, real services on timers of their own, report every {interval} s, and a
reader of each driver asks once a second with service_down_time = {down_time}.
*Tuned* is the stock db driver with report_interval = {tuned_interval} and
service_down_time = {tuned_down}, which finds a dead host about as soon as zk
with S = 10 s.

A reader's pass that ended in an error has no answer, as a request to nova-api
would have none. A reader that had to wait for a server made fewer passes.

CPU: {loops} busy loops compete for {cores} cores with everything else, at the
same priority. Restart: MariaDB, ZooKeeper and memcached are killed and started
again at once; memcached loses all its keys. Loss: the hosts, but not the
readers, are in a network namespace that loses {loss:g} % of the packets to and
from the servers. All drivers are under the same stress at the same time.
"""


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The hosts of each driver, and the seconds of each stress.

    :ivar shares: the hosts of each process
    :ivar window: how long each stress lasts
    :ivar step: measure only each step-th driver
    """

    interval: int = 10
    down_time: int = 60
    tuned_interval: int = 2
    tuned_down: int = 12
    sessions: Sequence[int] = (10, 5)
    shares: Sequence[int] = (50, 50)
    window: float = 75.0
    step: int = 1


_QUICK = _Plan(1, 5, 1, 4, (5,), (3, 3), 2.5, 5)


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    plan = _QUICK if quick else _Plan()
    drivers = _drivers(plan)
    rows: list[list[Any]] = []
    with arena_.Arena(stage, drivers, plan.shares, 1.0) as arena:
        rows += _rows('CPU', arena, plan, busy.loops(plan.window))
        rows += _rows('restart', arena, plan, restart(_servers(stage)))
    with (
        lossy(stage, stage.cell.rabbitmq.address) as (link, places),
        arena_.Arena(
            stage, drivers, plan.shares, 1.0, places, link.prefix
        ) as arena,
    ):
        rows += _rows('loss', arena, plan, lose(link))
    notes = _NOTES.format(
        **dataclasses.asdict(plan),
        hosts=sum(plan.shares),
        loops=busy.LOOPS,
        cores=os.cpu_count(),
        loss=_LOSS,
    )
    return [report.Table('stress', _TITLE, _HEADERS, rows, notes)]


def _drivers(plan: _Plan) -> list[contestants.Contestant]:
    drivers = detection.all_drivers(
        plan.interval, plan.down_time, plan.sessions
    )
    tuned = contestants.Contestant(
        'stock db, tuned', 'db', True, plan.tuned_interval, plan.tuned_down
    )
    return [drivers[0], tuned, *drivers[1:]][:: plan.step]


def _rows(
    stress: str,
    arena: arena_.Arena,
    plan: _Plan,
    fault: contextlib.AbstractContextManager[object],
) -> list[list[Any]]:
    """Return the rows of all drivers for one kind of stress."""
    arena.count()
    begun = time.monotonic()
    with fault:
        time.sleep(max(0.0, begun + plan.window - time.monotonic()))
        seconds = time.monotonic() - begun
        found = arena.count()
    return [
        _row(stress, name, seconds, sum(plan.shares), each)
        for name, each in found.items()
    ]


def _row(
    stress: str, name: str, seconds: float, hosts: int, found: dict[str, Any]
) -> list[Any]:
    downs = sum(not up for _, _, up in found['changes'])
    return [
        stress,
        name,
        seconds,
        hosts,
        downs,
        downs / hosts / (seconds / 3600),
        100 * found['down'] / max(1, found['verdicts']),
        found['hosts'],
        found['reads'],
        found['failed passes'],
    ]


def _servers(stage: nova.Stage) -> list[server.Server]:
    return [
        stage.cell.mariadb,
        stage.zookeeper,
        stage.our_memcached,
        stage.their_memcached,
    ]


@contextlib.contextmanager
def restart(servers: Iterable[server.Server]) -> Iterator[None]:
    """Kill servers, and start them again at once."""
    for each in servers:
        each.kill()
    for each in servers:
        each.launch()
    for each in servers:
        each.wait()
    yield


@contextlib.contextmanager
def lossy(
    stage: nova.Stage, transport: str
) -> Iterator[tuple[network.Namespace, contestants.Places]]:
    """Make a namespace; yield it with the servers' addresses as seen there.

    :param transport: RabbitMQ's host and port; empty: it is not used
    """
    with contextlib.ExitStack() as stack:
        address = network.Address()
        stack.callback(address.remove)
        link = network.Namespace()
        stack.callback(link.remove)
        places = dataclasses.replace(stage.places, transport=transport)
        there = vars(places).copy()
        for name in [name for name, target in there.items() if target]:
            link_proxy = proxy.Proxy(there[name], address.ip)
            stack.callback(link_proxy.close)
            there[name] = link_proxy.address
        yield link, contestants.Places(**there)


@contextlib.contextmanager
def lose(link: network.Namespace) -> Iterator[None]:
    """Lose packets of a namespace."""
    link.lose(_LOSS)
    try:
        yield
    finally:
        link.heal()
