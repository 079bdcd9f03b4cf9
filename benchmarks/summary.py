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

"""Tables that combine several parts: a cost for each driver, and the goals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import itertools
import operator
from typing import Any

from benchmarks import report

_COST_HEADERS = [
    'driver',
    'hosts',
    'server CPU, us',
    'member CPU, us',
    'time until down (p50), s',
    'CPU x time, ms',
    'ratio to stock db',
]
_COST_NOTES = """CPU for a host and second, and the time until a killed host is
down, with report_interval = 10, service_down_time = 60 and S = 10 s. Servers
are nova-conductor, MariaDB and RabbitMQ for db, ZooKeeper for zk, etcd, redis,
and memcached for mc. Another interval trades one for the other, so drivers are
compared by the product: less is better.
"""
_SERVERS = ('MariaDB', 'nova-conductor', 'RabbitMQ')
#: zk with its default session timeout, in parts with several of them.
_ZK = 'our zk, S = 10 s'
_FLEET = 10000
_TUNED_HEADERS = [
    'driver',
    'time until down, s',
    'cores for 10,000 hosts',
    'false downs in a bad moment, %',
    'false downs a member and hour, CPU',
    'false downs a member and hour, restart',
    'false downs a member and hour, loss',
]
_TUNED_NOTES = """The stock db driver with the intervals with which it finds a
dead host about as soon as zk does, beside both with their defaults: cores of
the servers, and false downs of the parts dilemma and stress. The heartbeats of
zk do not pass through nova-conductor.
"""
_WANTED_HEADERS = ['what', 'who', 'measured', 'wanted', 'met']
_WANTED_NOTES = """The goals of this package, at each driver's largest size."""

Row = dict[str, Any]

#: Tables of which only the rows with the largest value of a column count.
_LARGEST = {'is_up': 'hosts', 'refresh': 'members', 'renewals': 'hosts'}
# Of each goal: a table, the goal's name, a column and its largest value.
_GOALS = (
    ('is_up', 'service_is_up, ratio to stock db', 'ratio to stock db', 0.6),
    ('is_up', 'service_is_up, ratio to stock mc', 'ratio to stock mc', 0.05),
    ('is_up', 'service_is_up, operations', 'operations per 1,000 calls', 0),
    ('passes', 'pass of {pass}, ratio to stock db', 'ratio to stock db', 1),
    ('refresh', 'refresh, ratio to the bare call', 'ratio', 1.5),
    (
        'renewals',
        'renewal, server CPU, ratio to the floor',
        'server CPU, ratio to the floor',
        1.5,
    ),
    (
        'detection',
        'time until down, max, ratio to the floor',
        'max / floor',
        1.5,
    ),
    (
        'stress',
        'false downs a member and hour, {stress}',
        'false downs a member and hour',
        0,
    ),
)


def run(tables: Sequence[report.Table]) -> list[report.Table]:
    """Return the tables that can be computed from the others."""
    by_name = {each.name: each.dicts() for each in tables}
    found = [
        report.Table(name, title, headers, list(rows(by_name)), notes)
        for name, title, headers, rows, notes in (
            (
                'costs',
                'Cost and time until down, in one figure',
                _COST_HEADERS,
                _cost_rows,
                _COST_NOTES,
            ),
            (
                'tuned',
                'The same time until down',
                _TUNED_HEADERS,
                _tuned_rows,
                _TUNED_NOTES,
            ),
            ('wanted', 'Goals', _WANTED_HEADERS, _wanted_rows, _WANTED_NOTES),
        )
    ]
    return [each for each in found if each.rows]


def _cost_rows(tables: Mapping[str, list[Row]]) -> Iterator[list[Any]]:
    detected = {
        row['driver']: row['p50, s']
        for row in tables.get('detection', ())
        if row['how'] == 'SIGKILL'
    }
    base = None
    for name, hosts, server, member in _costs(tables):
        # Of zk, etcd and redis, the default.
        took = detected.get(name) or detected.get(f'{name}, S = 10 s')
        if took is None:
            continue
        product = (server + member) * took / 1e3
        base = base or product
        yield [name, hosts, server, member, took, product, product / base]


def _costs(
    tables: Mapping[str, list[Row]],
) -> Iterator[tuple[str, int, float, float]]:
    """Yield each driver's CPU for a host and second, stock db first."""
    beats, rounds = (
        _largest(tables.get(f'heartbeat_{each}', []))
        for each in ('costs', 'rounds')
    )
    for way in ('stock', 'ours') if beats else ():
        interval = rounds[0]['hosts'] / rounds[0]['due a second']
        cpu = {row['per heartbeat']: row[way] / interval for row in beats}
        server = sum(cpu[f'CPU of {each}, us'] for each in _SERVERS)
        name = 'stock db' if way == 'stock' else 'our db'
        yield name, beats[0]['hosts'], server, cpu['CPU of the senders, us']
    renewals = tables.get('renewals', [])
    real = [row for row in renewals if row['driver'] == 'our zk, real']
    for row in _largest_of_each([row for row in renewals if row not in real]):
        if 'floor' not in row['driver']:
            member = row['member CPU, us'] or real[0]['member CPU, us'] or 0.0
            yield row['driver'], row['hosts'], row['server CPU, us'], member


def _tuned_rows(tables: Mapping[str, list[Row]]) -> Iterator[list[Any]]:
    zk = next((row for row in _cost_rows(tables) if row[0] == 'our zk'), None)
    stock = [row for row in tables.get('dilemma', ()) if row['way'] == 'stock']
    if zk is None or not stock:
        return
    _, _, server, _, took, *_ = zk
    cores = server * _FLEET / 1e6
    yield [_ZK, took, cores, 0.0, *_stress(tables, _ZK)]
    time = 'time until down, s'
    tuned = min(stock, key=lambda row: abs(row[time] - took))
    default = max(stock, key=lambda row: row[time])
    for name, row in (('stock db, tuned', tuned), ('stock db', default)):
        yield [
            name,
            row[time],
            row['cores for 10,000 hosts'],
            row['false downs in a bad moment, %'],
            *_stress(tables, name),
        ]


def _stress(tables: Mapping[str, list[Row]], name: str) -> list[float | None]:
    found = {
        row['stress']: row['false downs a member and hour']
        for row in tables.get('stress', ())
        if row['driver'] == name
    }
    return [found.get(each) for each in ('CPU', 'restart', 'loss')]


def _largest(rows: list[Row], column: str = 'hosts') -> list[Row]:
    """Return the rows with the most hosts."""
    most = max((row[column] for row in rows), default=0)
    return [row for row in rows if row[column] == most]


def _largest_of_each(rows: list[Row], column: str = 'hosts') -> Iterator[Row]:
    """Yield each driver's rows with the most hosts."""
    for name in dict.fromkeys(map(_who, rows)):
        yield from _largest([row for row in rows if _who(row) == name], column)


def _wanted_rows(tables: Mapping[str, list[Row]]) -> Iterator[list[Any]]:
    for what, who, measured, wanted in _goals(tables):
        if measured is not None:
            met = 'yes' if measured <= wanted else 'no'
            yield [what, who, measured, f'<= {wanted:g}', met]


def _goals(
    tables: Mapping[str, list[Row]],
) -> Iterator[tuple[str, str, float | None, float]]:
    for name, group in itertools.groupby(_GOALS, operator.itemgetter(0)):
        goals = list(group)
        for row in _judged_rows(tables, name):
            for _, what, column, wanted in goals:
                yield what.format(**row), _who(row), row[column], wanted
    for row in _largest(tables.get('heartbeat_costs', [])):
        if row['wanted']:
            wanted = float(row['wanted'].split()[-1])
            what = f'heartbeat, {row["per heartbeat"]}, ratio to stock db'
            yield what, 'our db', row['ours / stock'], wanted


def _judged_rows(tables: Mapping[str, list[Row]], name: str) -> list[Row]:
    """Return the rows of a table that the goals are about."""
    rows: Iterable[Row] = tables.get(name, [])
    if name in _LARGEST:
        rows = _largest_of_each(list(rows), _LARGEST[name])
    if name == 'is_up':
        return [row for row in rows if row['driver'] in ('our zk', 'our mc')]
    return [
        row
        for row in rows
        if str(row.get('driver', 'our')).startswith('our')
        and row.get('how', 'SIGKILL') == 'SIGKILL'
    ]


def _who(row: Row) -> str:
    return str(row.get('driver') or f'our {row["backend"]}')
