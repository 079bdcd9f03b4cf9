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

"""What redis servers say of themselves, and what it means."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from nova_servicegroup.doctor import finding
from nova_servicegroup import escaping

#: The share of memory or connections from which on it is a finding.
_NEARLY_FULL = 0.9
#: The policy that drops no key that has not expired.
_KEEPS = 'noeviction'


@dataclasses.dataclass(frozen=True)
class Stats:
    """One server.

    :ivar latency: seconds that a question took
    :ivar role: ``master`` or ``slave``
    :ivar link: of a replica to its master: ``up`` or ``down``
    :ivar uptime: seconds since it was started
    :ivar policy: what it does when its memory is full
    :ivar used, memory: bytes; memory is 0 where it has no limit
    :ivar refused: connections that it had no room for
    :ivar unsaved: why its data could not be saved; empty: they could
    """

    latency: float
    version: str = 'unknown version'
    role: str = 'master'
    link: str = ''
    uptime: int = 0
    policy: str = _KEEPS
    evictions: int = 0
    used: int = 0
    memory: int = 0
    connections: int = 0
    most_connections: int = 0
    refused: int = 0
    unsaved: str = ''
    clustered: bool = False
    loading: bool = False


def read(said: Mapping[str, Any], latency: float) -> Stats:
    """Read an answer to INFO."""
    version = said.get('valkey_version') or said.get('redis_version')
    return Stats(
        latency,
        _text(version) or Stats.version,
        _text(said.get('role')),
        _text(said.get('master_link_status')),
        _number(said, 'uptime_in_seconds'),
        _text(said.get('maxmemory_policy')) or _KEEPS,
        _number(said, 'evicted_keys'),
        _number(said, 'used_memory'),
        _number(said, 'maxmemory'),
        _number(said, 'connected_clients'),
        _number(said, 'maxclients'),
        _number(said, 'rejected_connections'),
        ', '.join(
            name
            for name in ('rdb_last_bgsave_status', 'aof_last_write_status')
            if said.get(name, 'ok') != 'ok'
        ),
        bool(_number(said, 'cluster_enabled')),
        bool(_number(said, 'loading')),
    )


def _text(value: object) -> str:
    return '' if value is None else escaping.printable(value, 50)


def _number(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    return int(value) if isinstance(value, int | float) else 0


def judge(check: str, address: str, stats: Stats) -> list[finding.Finding]:
    """Judge what a server said of itself."""
    return [
        finding.Finding(
            finding.Level.OK, check, f'{address}: {_summary(stats)}'
        ),
        *(
            finding.Finding(level, check, f'{address} {what}', why, advice)
            for level, what, why, advice in (
                *_state(stats),
                *_latency(stats),
                *_memory(stats),
                *_connections(stats),
                *_saving(stats),
            )
        ),
    ]


def _summary(stats: Stats) -> str:
    memory = f' of {stats.memory / 2**20:.0f}' if stats.memory else ''
    role = 'replica' if stats.role == 'slave' else stats.role
    return (
        f'{role}, {stats.version}, answered in {1000 * stats.latency:.1f} '
        f'ms, up for {finding.period(stats.uptime)}, '
        f'{stats.used / 2**20:.0f}{memory} MiB used, {stats.policy}, '
        f'{stats.connections} of {stats.most_connections} connections.'
    )


_Trouble = tuple[finding.Level, str, str, str]


def _state(stats: Stats) -> list[_Trouble]:
    found = []
    if stats.clustered:
        found.append(
            (
                finding.Level.ERROR,
                'is part of a Redis Cluster.',
                'The driver does not know those: it is told to ask another '
                'server, and does not.',
                'Give Nova a server of its own, or one that Sentinels watch.',
            )
        )
    if stats.loading:
        found.append(
            (
                finding.Level.WARNING,
                'is still loading its data.',
                'Until it has, nobody can report to it.',
                'Wait for it.',
            )
        )
    if stats.link == 'down':
        found.append(
            (
                finding.Level.WARNING,
                'is a replica that has lost its master.',
                'When it is promoted it may lack members; those are held up '
                'until they have joined again.',
                'See that it reaches the master, and knows its password.',
            )
        )
    return found


def _latency(stats: Stats) -> list[_Trouble]:
    if stats.latency < finding.SLOW:
        return []
    return [
        (
            finding.Level.WARNING,
            f'answers slowly, in {1000 * stats.latency:.0f} ms.',
            'Heartbeats and verdicts wait for it.',
            'Look at the load of the server and of this host, at what its '
            'SLOWLOG has, and at the network.',
        )
    ]


def _memory(stats: Stats) -> list[_Trouble]:
    advice = (
        'Set maxmemory-policy to noeviction, give it more memory '
        '(maxmemory), or the services a server of their own.'
    )
    if stats.evictions:
        return [
            (
                finding.Level.WARNING,
                f'has evicted {stats.evictions} keys for lack of memory since '
                f'it was started, {finding.period(stats.uptime)} ago.',
                'Members that it may have lost are held up: a host that dies '
                'may be down hold_time later.',
                advice,
            )
        ]
    if not stats.memory:
        return []
    full = stats.used >= _NEARLY_FULL * stats.memory
    used = f'uses {100 * stats.used // stats.memory} % of its memory'
    if stats.policy != _KEEPS:
        return [
            (
                finding.Level.ERROR if full else finding.Level.WARNING,
                f'{used}, and evicts keys when that is full: '
                f'maxmemory-policy is {stats.policy}.',
                'The keys of members are among those that it evicts.',
                advice,
            )
        ]
    if not full:
        return []
    return [
        (
            finding.Level.WARNING,
            f'{used}.',
            'While it is full it takes no writes, and nobody can report.',
            advice,
        )
    ]


def _connections(stats: Stats) -> list[_Trouble]:
    advice = 'Raise maxclients: each process of Nova takes up to two.'
    if stats.refused:
        return [
            (
                finding.Level.WARNING,
                f'had no connection left {stats.refused} times since it was '
                'started.',
                'Services could not report to it meanwhile.',
                advice,
            )
        ]
    most = stats.most_connections
    if most and stats.connections >= _NEARLY_FULL * most:
        return [
            (
                finding.Level.WARNING,
                f'has {stats.connections} of {most} connections in use.',
                'Services that find none left cannot report to it.',
                advice,
            )
        ]
    return []


def _saving(stats: Stats) -> list[_Trouble]:
    if not stats.unsaved:
        return []
    return [
        (
            finding.Level.WARNING,
            f'cannot save its data: {stats.unsaved} is not ok.',
            'With stop-writes-on-bgsave-error, its default, it takes no '
            'writes meanwhile, and nobody can report.',
            'See its log and its disc. For members, nothing needs to be '
            'saved.',
        )
    ]
