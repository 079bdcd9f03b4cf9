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

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from nova_servicegroup.doctor import finding
from nova_servicegroup import escaping

#: The share of memory or connections from which on it is a finding.
_NEARLY_FULL = 0.9
#: The policy that drops no key that has not expired.
_KEEPS = 'noeviction'

_Trouble = tuple[finding.Level, str, str, str]

#: What a server may say in one word, and what it means.
_STATES: dict[tuple[str, object], _Trouble] = {
    ('cluster_enabled', 1): (
        finding.Level.ERROR,
        'is part of a Redis Cluster.',
        'The driver does not know those: it is told to ask another server, '
        'and does not.',
        'Give Nova a server of its own, or one that Sentinels watch.',
    ),
    ('loading', 1): (
        finding.Level.WARNING,
        'is still loading its data.',
        'Until it has, nobody can report to it.',
        'Wait for it.',
    ),
    ('master_link_status', 'down'): (
        finding.Level.WARNING,
        'is a replica that has lost its master.',
        'When it is promoted it may lack members; those are held up until '
        'they have joined again.',
        'See that it reaches the master, and knows its password.',
    ),
    **{
        (name, 'err'): (
            finding.Level.WARNING,
            f'cannot save its data: {name} is err.',
            'With stop-writes-on-bgsave-error, its default, it takes no '
            'writes meanwhile, and nobody can report.',
            'See its log and its disc. For members, nothing needs to be '
            'saved.',
        )
        for name in ('rdb_last_bgsave_status', 'aof_last_write_status')
    },
}
_ROOM = (
    'Set maxmemory-policy to noeviction, give it more memory (maxmemory), or '
    'the services a server of their own.'
)
_CONNECT = 'Raise maxclients: each process of Nova takes up to two.'


@dataclasses.dataclass(frozen=True)
class Memory:
    """The memory of a server.

    :ivar policy: what the server does when it is full
    :ivar evictions: how many keys it has dropped that had not expired
    :ivar used, limit: bytes; limit is 0 where there is none
    """

    policy: str
    evictions: int
    used: int
    limit: int

    @property
    def nearly_full(self) -> bool:
        """Whether it has a limit, and is near to it."""
        return bool(self.limit) and self.used >= _NEARLY_FULL * self.limit


@dataclasses.dataclass(frozen=True)
class Connections:
    """The connections of a server.

    :ivar refused: those that it had no room for
    """

    now: int
    most: int
    refused: int


@dataclasses.dataclass(frozen=True)
class Stats:
    """One server.

    :ivar latency: seconds that a question took
    :ivar role: ``master`` or ``slave``
    :ivar uptime: seconds since it was started
    :ivar states: what is wrong with it, of _STATES
    """

    latency: float
    version: str
    role: str
    uptime: int
    memory: Memory
    connections: Connections
    states: tuple[tuple[str, object], ...]


def read(said: Mapping[str, Any], latency: float) -> Stats:
    """Read an answer to INFO."""
    version = said.get('valkey_version') or said.get('redis_version')
    return Stats(
        latency,
        _text(version or 'unknown version'),
        _text(said.get('role')),
        _number(said, 'uptime_in_seconds'),
        Memory(
            _text(said.get('maxmemory_policy', _KEEPS)),
            _number(said, 'evicted_keys'),
            _number(said, 'used_memory'),
            _number(said, 'maxmemory'),
        ),
        Connections(
            _number(said, 'connected_clients'),
            _number(said, 'maxclients'),
            _number(said, 'rejected_connections'),
        ),
        tuple(each for each in _STATES if said.get(each[0]) == each[1]),
    )


def _text(value: object) -> str:
    return '' if value is None else escaping.printable(value, 50)


def _number(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    return int(value) if isinstance(value, int | float) else 0


def judge(check: str, address: str, stats: Stats) -> list[finding.Finding]:
    """Judge what a server said of itself."""
    troubles = (
        *(_STATES[each] for each in stats.states),
        *_latency(stats),
        *_memory(stats.memory, stats.uptime),
        *_connections(stats.connections),
    )
    return [
        finding.Finding(
            finding.Level.OK, check, f'{address}: {_summary(stats)}'
        ),
        *(
            finding.Finding(level, check, f'{address} {what}', why, advice)
            for level, what, why, advice in troubles
        ),
    ]


def _summary(stats: Stats) -> str:
    memory, connections = stats.memory, stats.connections
    limit = f' of {memory.limit / 2**20:.0f}' if memory.limit else ''
    role = 'replica' if stats.role == 'slave' else stats.role
    return (
        f'{role}, {stats.version}, answered in {1000 * stats.latency:.1f} '
        f'ms, up for {finding.period(stats.uptime)}, '
        f'{memory.used / 2**20:.0f}{limit} MiB used, {memory.policy}, '
        f'{connections.now} of {connections.most} connections.'
    )


def _latency(stats: Stats) -> Iterator[_Trouble]:
    if stats.latency >= finding.SLOW:
        yield (
            finding.Level.WARNING,
            f'answers slowly, in {1000 * stats.latency:.0f} ms.',
            'Heartbeats and verdicts wait for it.',
            'Look at the load of the server and of this host, at what its '
            'SLOWLOG has, and at the network.',
        )


def _memory(memory: Memory, uptime: int) -> Iterator[_Trouble]:
    """Return what is wrong with the memory; what has happened comes first."""
    if memory.evictions:
        yield (
            finding.Level.WARNING,
            f'has evicted {memory.evictions} keys for lack of memory since it '
            f'was started, {finding.period(uptime)} ago.',
            'Members that it may have lost are held up: a host that dies may '
            'be down hold_time later.',
            _ROOM,
        )
    elif memory.limit:
        yield from _limited(memory)


def _limited(memory: Memory) -> Iterator[_Trouble]:
    used = f'uses {100 * memory.used // memory.limit} % of its memory'
    full = memory.nearly_full
    if memory.policy != _KEEPS:
        yield (
            finding.Level.ERROR if full else finding.Level.WARNING,
            f'{used}, and evicts keys when that is full: maxmemory-policy is '
            f'{memory.policy}.',
            'The keys of members are among those that it evicts.',
            _ROOM,
        )
    elif full:
        yield (
            finding.Level.WARNING,
            f'{used}.',
            'While it is full it takes no writes, and nobody can report.',
            _ROOM,
        )


def _connections(connections: Connections) -> Iterator[_Trouble]:
    now, most = connections.now, connections.most
    if connections.refused:
        yield (
            finding.Level.WARNING,
            f'had no connection left {connections.refused} times since it was '
            'started.',
            'Services could not report to it meanwhile.',
            _CONNECT,
        )
    elif most and now >= _NEARLY_FULL * most:
        yield (
            finding.Level.WARNING,
            f'has {now} of {most} connections in use.',
            'Services that find none left cannot report to it.',
            _CONNECT,
        )
