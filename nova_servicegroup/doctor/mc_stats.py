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

"""Reads and judges the statistics of memcached servers."""

from collections.abc import Iterator, Mapping
import dataclasses
import time

from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers
from nova_servicegroup.drivers.mc import storage

#: Seconds within which a restart is recent.
_RECENT = 600

_ROOM = 'Give it more memory (-m), or the services a server of their own.'
_CONNECT = (
    'Raise its limit of connections (-c): each process of Nova takes up to '
    'two.'
)


@dataclasses.dataclass(frozen=True)
class Stats:
    """The statistics of one server.

    :ivar latency: seconds that an answer took
    :ivar uptime: seconds
    :ivar used, memory: bytes
    """

    latency: float
    version: str = 'unknown version'
    uptime: int = 0
    evictions: int = 0
    used: int = 0
    memory: int = 0
    connections: servers.Connections = servers.Connections()


def ask(server: storage.Server) -> Stats:
    """Ask a server.

    :raises BackendError: it does not answer
    """
    # The first question also connects.
    server.stats()
    begun = time.monotonic()
    answer = server.stats()
    return read(answer, time.monotonic() - begun)


def read(answer: Mapping[str, str], latency: float) -> Stats:
    """Return the statistics in the answer to the command stats."""
    return Stats(
        latency,
        answer.get('version', Stats.version),
        _number(answer, 'uptime'),
        _number(answer, 'evictions'),
        _number(answer, 'bytes'),
        _number(answer, 'limit_maxbytes'),
        servers.Connections(
            _number(answer, 'curr_connections'),
            _number(answer, 'max_connections'),
            _number(answer, 'listen_disabled_num'),
        ),
    )


def _number(answer: Mapping[str, str], name: str) -> int:
    value = answer.get(name, '0')
    return int(value) if value.isdigit() else 0


def judge(stats: Mapping[str, Stats]) -> list[finding.Finding]:
    """Judge servers by their statistics, by address."""
    found: list[finding.Finding] = []
    for address, each in stats.items():
        others = [
            other.uptime for name, other in stats.items() if name != address
        ]
        found.append(finding.ok(f'{address}: {_summary(each)}'))
        found += servers.with_address(
            address,
            [
                *servers.judge_latency(each.latency),
                *_memory(each),
                *servers.judge_connections(each.connections, _CONNECT),
                *_restart(each.uptime, others),
            ],
        )
    return found


def _summary(stats: Stats) -> str:
    used = 100 * stats.used / stats.memory if stats.memory else 0.0
    return (
        f'memcached {stats.version}, answered in {1000 * stats.latency:.1f} '
        f'ms, up for {servers.period(stats.uptime)}, {used:.0f} % of '
        f'{stats.memory / 2**20:.0f} MiB used, {stats.connections.now} of '
        f'{stats.connections.most} connections.'
    )


def _memory(stats: Stats) -> Iterator[finding.Finding]:
    if stats.evictions:
        yield servers.evicted(f'{stats.evictions} items', stats.uptime, _ROOM)
    elif stats.memory and stats.used >= servers.NEARLY_FULL * stats.memory:
        yield finding.warning(
            f'uses {100 * stats.used // stats.memory} % of its memory.',
            'When it is full it evicts items, members among them.',
            _ROOM,
        )


def _restart(uptime: int, others: list[int]) -> Iterator[finding.Finding]:
    if others and uptime < _RECENT <= min(others):
        yield finding.warning(
            f'was restarted {servers.period(uptime)} ago, the others were '
            'not.',
            'It came back empty. Members are there again after a heartbeat.',
            'If no operator has restarted it, see why it ended.',
        )
