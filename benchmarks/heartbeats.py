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

"""What a heartbeat of the db driver costs, and its verdicts under load.

The hosts of a cell send their heartbeats the stock way and ours in turn.
"""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from benchmarks import beats
from benchmarks import busy
from benchmarks import meters
from benchmarks import nova
from benchmarks import report

_SIZES = (1000, 5000)
# More hosts than two cores can run; their cost is computed from fewer.
_SCALED = 10000
_QUICK = beats.Plan(2, 5, 2.5, 2.0, 1, 3.0)

# The costs of a heartbeat: a meter, its name in the report, a factor, and the
# wanted ratio of ours to stock.
_COSTS = (
    ('statements', 'SQL statements', 1.0, 0.01),
    ('MariaDB CPU', 'CPU of MariaDB, us', 1e6, 0.1),
    ('conductor CPU', 'CPU of nova-conductor, us', 1e6, 0.3),
    ('RabbitMQ CPU', 'CPU of RabbitMQ, us', 1e6, None),
    ('messages', 'messages through RabbitMQ', 1.0, None),
    ('sender CPU', 'CPU of the senders, us', 1e6, None),
)
_COST_NOTES = """One nova-conductor with one worker, MariaDB and RabbitMQ, all
real. Hollow computes send a heartbeat every {interval} s, each at a time of
its own, through nova-conductor: the stock way is Service.save() over Nova's
RPC, as in Nova's driver; ours is what our driver does in nova-compute. The
conductor runs with this package and serves both: what it does for
Service.save() is Nova's own code. Each way has {rounds} rounds of {window:g}
s, in turn, after {warm:g} s to warm up, with the fewest hosts, and one round
with more. Each round begins when the conductor has finished the work of the
one before. Statements are those that MariaDB counts as Questions, with COMMIT
and ROLLBACK; CPU is user and system time of all processes; messages are those
that RabbitMQ has received: a request and an answer each, but most of ours ask
for no answer. The cost of the idle cell in the same time, measured before and
after, is subtracted. All costs, also those of heartbeats that failed, are
divided by the number of heartbeats that were answered or asked for no answer.
"""
_LOAD_NOTES = """The cost of a heartbeat, times the heartbeats of all hosts in
a second, with report_interval = {interval}. Two cores cannot run {scaled}
hosts beside all the servers; for these, the cost measured with fewer hosts is
used.
"""
_ROUND_NOTES = """The rounds from which the costs are computed. CPU is in
cores, including that of an idle cell. The time until a heartbeat is answered,
or is in RabbitMQ if it asks for no answer, counts from the moment at which it
was due. A conductor has one worker, so it can use little more than one core:
when it does, or when all cores are used, fewer heartbeats are answered than
are due. A host that was answered by a collector that is late skips its next
heartbeat. Failed ones were not answered in time; fallbacks are those that our
driver had to send the stock way.
"""
_DOWN_NOTES = """No host is down, so each of these verdicts is false. For
{busy:g} s, {loops} busy loops compete for {cores} cores with the servers and
the reader, at the same priority; the hosts, which really are other machines,
have a higher one. Each way begins with an idle conductor. A reader asks about
all hosts, once a second or as often as it can: by stock Nova's driver when
they send heartbeats the stock way, by ours when they send them our way.
report_interval is {interval} s and service_down_time {down_time} s.
"""
_PROCESSES = ('conductor', 'MariaDB', 'RabbitMQ', 'sender')
_BEATS = [
    'answered a second',
    'failed',
    'fallbacks',
    'median, ms',
    '99 %, ms',
]


def run(
    stage: nova.Stage, quick: bool, sizes: Sequence[int] = ()
) -> list[report.Table]:
    """Return the part's tables.

    :param sizes: numbers of hosts
    """
    plan = _QUICK if quick else beats.Plan()
    wanted = sorted(sizes or ([100] if quick else _SIZES))
    found = []
    for hosts in wanted:
        # Larger sizes take longer, and false verdicts come with many hosts.
        rounds = plan.rounds if hosts == wanted[0] else 1
        busy_for = plan.busy if hosts == wanted[-1] else 0.0
        here = dataclasses.replace(plan, rounds=rounds, busy=busy_for)
        found.append(beats.Size(stage, hosts, here))
        found[-1].measure()
    return [_costs(found), _loads(found), _rounds(found), _downs(found[-1:])]


def _costs(found: list[beats.Size]) -> report.Table:
    plan = found[0].plan
    return report.Table(
        'heartbeat_costs',
        'One heartbeat of nova-compute',
        ['hosts', 'per heartbeat', *beats.WAYS, 'ours / stock', 'wanted'],
        [_cost_row(size, *cost) for size in found for cost in _COSTS],
        _COST_NOTES.format(**vars(plan)),
    )


def _cost_row(
    size: beats.Size,
    meter: str,
    name: str,
    factor: float,
    wanted: float | None,
) -> list[Any]:
    stock, ours = (factor * size.cost(way, meter) for way in beats.WAYS)
    ratio = ours / stock if stock else None
    limit = None if wanted is None else f'<= {wanted:g}'
    return [size.hosts, name, stock, ours, ratio, limit]


def _loads(found: list[beats.Size]) -> report.Table:
    rows = [
        [size.hosts, way, *_load(size, way, size.hosts), 'measured']
        for size in found
        for way in beats.WAYS
    ]
    most = found[-1]
    rows += [
        [_SCALED, way, *_load(most, way, _SCALED), f'from {most.hosts} hosts']
        for way in beats.WAYS
    ]
    return report.Table(
        'heartbeat_loads',
        'Load of a cell by heartbeats',
        ['hosts', 'way', *(f'{each}, cores' for each in _PROCESSES), 'how'],
        rows,
        _LOAD_NOTES.format(interval=most.plan.interval, scaled=_SCALED),
    )


def _load(size: beats.Size, way: str, hosts: int) -> list[float]:
    second = hosts / size.plan.interval
    return [second * size.cost(way, f'{each} CPU') for each in _PROCESSES]


def _rounds(found: list[beats.Size]) -> report.Table:
    cpus = [f'{each} CPU' for each in _PROCESSES]
    return report.Table(
        'heartbeat_rounds',
        'Heartbeats, round by round',
        ['hosts', 'way', 'due a second', *_BEATS, *cpus],
        [
            [size.hosts, way, size.hosts / size.plan.interval, *_round(read)]
            for size in found
            for way, read in size.rounds
        ],
        _ROUND_NOTES,
    )


def _round(read: meters.Reading) -> list[Any]:
    seconds = read['seconds']
    return [
        *_beats(read, seconds),
        *(read[f'{each} CPU'] / seconds for each in _PROCESSES),
    ]


def _beats(read: dict[str, Any], seconds: float) -> list[Any]:
    return [
        read['answered'] / seconds,
        read['failed'],
        read['saved'],
        1e3 * read['median'],
        1e3 * read['99 %'],
    ]


def _downs(found: list[beats.Size]) -> report.Table:
    plan = found[0].plan
    verdicts = ['reads', 'verdicts', 'down', 'down, %', 'hosts called down']
    return report.Table(
        'heartbeat_false_downs',
        'False verdicts while the machine is busy',
        ['hosts', 'way', *verdicts, *_BEATS],
        [
            [size.hosts, way, *_down(read), *_beats(read, plan.busy)]
            for size in found
            for way, read in size.downs
        ],
        _DOWN_NOTES.format(
            loops=busy.LOOPS, cores=os.cpu_count(), **vars(plan)
        ),
    )


def _down(read: dict[str, Any]) -> list[Any]:
    share = 100 * read['down'] / max(1, read['verdicts'])
    numbers = [read[each] for each in ('reads', 'verdicts', 'down')]
    return [*numbers, share, read['hosts']]
