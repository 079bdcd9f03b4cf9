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

"""Reads and judges the statistics of redis servers."""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers
from nova_servicegroup import escaping

#: The policy that evicts no key that has not expired.
_KEEPS = 'noeviction'

#: Findings by a name in the answer to INFO, and its value.
_STATES: dict[tuple[str, object], finding.Finding] = {
    ('cluster_enabled', 1): finding.error(
        'is part of a Redis Cluster.',
        'The driver does not support those: it follows no redirection to '
        'another server.',
        'Give Nova a server of its own, or one that Sentinels watch.',
    ),
    ('loading', 1): finding.warning(
        'is still loading its data.',
        'Until it has, no service can report to it.',
        'Wait for it.',
    ),
    ('master_link_status', 'down'): finding.warning(
        'is a replica that has lost its master.',
        'When it is promoted it may lack members; those are held up until '
        'they have joined again.',
        'See that it reaches the master, and knows its password.',
    ),
    **{
        (name, 'err'): finding.warning(
            f'cannot save its data: {name} is err.',
            'With stop-writes-on-bgsave-error, its default, it takes no '
            'writes meanwhile, and no service can report.',
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
    """The memory of one server.

    :ivar policy: what the server does when it is full
    :ivar evictions: how many keys it has evicted that had not expired
    :ivar used, limit: bytes; limit is 0 if there is none
    """

    policy: str
    evictions: int
    used: int
    limit: int


@dataclasses.dataclass(frozen=True)
class Stats:
    """The statistics of one server.

    :ivar latency: seconds that an answer took
    :ivar role: ``master`` or ``slave``
    :ivar uptime: seconds
    :ivar states: the keys of _STATES that apply
    """

    latency: float
    version: str
    role: str
    uptime: int
    memory: Memory
    connections: servers.Connections
    states: tuple[tuple[str, object], ...]


def read(info: Mapping[str, Any], latency: float) -> Stats:
    """Return the statistics in the answer to INFO."""
    version = info.get('valkey_version') or info.get('redis_version')
    return Stats(
        latency,
        _text(version or 'unknown version'),
        _text(info.get('role')),
        _number(info, 'uptime_in_seconds'),
        Memory(
            _text(info.get('maxmemory_policy', _KEEPS)),
            _number(info, 'evicted_keys'),
            _number(info, 'used_memory'),
            _number(info, 'maxmemory'),
        ),
        servers.Connections(
            _number(info, 'connected_clients'),
            _number(info, 'maxclients'),
            _number(info, 'rejected_connections'),
        ),
        tuple(each for each in _STATES if info.get(each[0]) == each[1]),
    )


def _text(value: object) -> str:
    return '' if value is None else escaping.printable(value, 50)


def _number(info: Mapping[str, Any], name: str) -> int:
    value = info.get(name)
    return int(value) if isinstance(value, int | float) else 0


def judge(address: str, stats: Stats) -> list[finding.Finding]:
    """Judge a server by its statistics."""
    found = [
        *(_STATES[each] for each in stats.states),
        *servers.judge_latency(stats.latency, 'what its SLOWLOG has'),
        *_memory(stats.memory, stats.uptime),
        *servers.judge_connections(stats.connections, _CONNECT),
    ]
    return [
        finding.ok(f'{address}: {_summary(stats)}'),
        *servers.with_address(address, found),
    ]


def _summary(stats: Stats) -> str:
    memory, connections = stats.memory, stats.connections
    limit = f' of {memory.limit / 2**20:.0f}' if memory.limit else ''
    role = 'replica' if stats.role == 'slave' else stats.role
    return (
        f'{role}, {stats.version}, answered in {1000 * stats.latency:.1f} '
        f'ms, up for {servers.period(stats.uptime)}, '
        f'{memory.used / 2**20:.0f}{limit} MiB used, {memory.policy}, '
        f'{connections.now} of {connections.most} connections.'
    )


def _memory(memory: Memory, uptime: int) -> Iterator[finding.Finding]:
    """Judge the memory; what has happened comes first."""
    if memory.evictions:
        yield servers.evicted(f'{memory.evictions} keys', uptime, _ROOM)
    elif memory.limit:
        yield from _limited(memory)


def _limited(memory: Memory) -> Iterator[finding.Finding]:
    used = f'uses {100 * memory.used // memory.limit} % of its memory'
    is_nearly_full = memory.used >= servers.NEARLY_FULL * memory.limit
    if memory.policy != _KEEPS:
        report = finding.error if is_nearly_full else finding.warning
        yield report(
            f'{used}, and evicts keys when that is full: maxmemory-policy is '
            f'{memory.policy}.',
            'The keys of members are among those that it evicts.',
            _ROOM,
        )
    elif is_nearly_full:
        yield finding.warning(
            f'{used}.',
            'While it is full it takes no writes, and no service can report.',
            _ROOM,
        )
