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


"""What memcached servers say of themselves, and what it means."""

from collections.abc import Mapping
import dataclasses
import time
from typing import Protocol

from nova_servicegroup.doctor import finding

#: The share of memory or connections from which on it is a finding.
_NEARLY_FULL = 0.9
#: Seconds for which a server was restarted recently.
_RECENT = 600


class Server(Protocol):
    """What is asked; see drivers.mc."""

    def stats(self) -> dict[str, str]: ...


@dataclasses.dataclass(frozen=True)
class Stats:
    """One server.

    :ivar latency: seconds that a question took
    :ivar uptime: seconds since it was started
    :ivar used, memory: bytes
    :ivar refused: connections that it had no room for
    """

    latency: float
    version: str = 'unknown version'
    uptime: int = 0
    evictions: int = 0
    used: int = 0
    memory: int = 0
    connections: int = 0
    most_connections: int = 0
    refused: int = 0


def ask(server: Server) -> Stats:
    """Ask a server.

    :raises BackendError: it does not answer
    """
    # The first question also connects.
    server.stats()
    begun = time.monotonic()
    answer = server.stats()
    return read(answer, time.monotonic() - begun)


def read(answer: Mapping[str, str], latency: float) -> Stats:
    """Read an answer to stats."""
    return Stats(
        latency,
        answer.get('version', Stats.version),
        _number(answer, 'uptime'),
        _number(answer, 'evictions'),
        _number(answer, 'bytes'),
        _number(answer, 'limit_maxbytes'),
        _number(answer, 'curr_connections'),
        _number(answer, 'max_connections'),
        _number(answer, 'listen_disabled_num'),
    )


def _number(answer: Mapping[str, str], name: str) -> int:
    value = answer.get(name, '0')
    return int(value) if value.isdigit() else 0


def judge(check: str, servers: Mapping[str, Stats]) -> list[finding.Finding]:
    """Judge what servers said of themselves, by address."""
    found: list[finding.Finding] = []
    for address, stats in servers.items():
        others = [
            each.uptime for name, each in servers.items() if name != address
        ]
        troubles = [
            finding.Finding(
                finding.Level.WARNING, check, f'{address} {what}', why, advice
            )
            for what, why, advice in (
                *_latency(stats),
                *_memory(stats),
                *_connections(stats),
                *_restart(stats.uptime, others),
            )
        ]
        ok = finding.Finding(
            finding.Level.OK, check, f'{address}: {_summary(stats)}'
        )
        found += [ok, *troubles]
    return found


def _summary(stats: Stats) -> str:
    used = 100 * stats.used / stats.memory if stats.memory else 0.0
    return (
        f'memcached {stats.version}, answered in {1000 * stats.latency:.1f} '
        f'ms, up for {finding.period(stats.uptime)}, {used:.0f} % of '
        f'{stats.memory / 2**20:.0f} MiB used, {stats.connections} of '
        f'{stats.most_connections} connections.'
    )


_Trouble = tuple[str, str, str]


def _latency(stats: Stats) -> list[_Trouble]:
    if stats.latency < finding.SLOW:
        return []
    return [
        (
            f'answers slowly, in {1000 * stats.latency:.0f} ms.',
            'Heartbeats and verdicts wait for it.',
            'Look at the load of the server and of this host, and at the '
            'network.',
        )
    ]


def _memory(stats: Stats) -> list[_Trouble]:
    advice = 'Give it more memory (-m), or the services a server of their own.'
    if stats.evictions:
        return [
            (
                f'has evicted {stats.evictions} items for lack of memory '
                f'since it was started, {finding.period(stats.uptime)} ago.',
                'Members that it may have lost are held up: a host that dies '
                'may be down hold_time later.',
                advice,
            )
        ]
    if stats.memory and stats.used >= _NEARLY_FULL * stats.memory:
        return [
            (
                f'uses {100 * stats.used // stats.memory} % of its memory.',
                'When it is full it evicts items, members among them.',
                advice,
            )
        ]
    return []


def _connections(stats: Stats) -> list[_Trouble]:
    advice = (
        'Raise its limit of connections (-c): each process of Nova takes up '
        'to two.'
    )
    if stats.refused:
        return [
            (
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
                f'has {stats.connections} of {most} connections in use.',
                'Services that find none left cannot report to it.',
                advice,
            )
        ]
    return []


def _restart(uptime: int, others: list[int]) -> list[_Trouble]:
    if uptime >= _RECENT or not others or min(others) < _RECENT:
        return []
    return [
        (
            f'was restarted {finding.period(uptime)} ago, the others were '
            'not.',
            'It came back empty. Members are there again after a heartbeat.',
            'If nobody has restarted it, see why it ended.',
        )
    ]
