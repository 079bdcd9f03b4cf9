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

"""What the checks of zk, etcd, mc and redis share: judging of servers."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses

from nova_servicegroup.doctor import finding

#: Seconds from which on an answer is slow.
SLOW = 0.5
#: The share of memory or connections from which on it is a finding.
NEARLY_FULL = 0.9

#: Why it matters that no server answers.
NOBODY = (
    'No service can report or see which members are alive: all members are '
    'held up until hold_time is over, and down then.'
)
#: Why it matters that servers do not belong together.
APART = (
    'Members that join by one of them are not seen by the others: live hosts '
    'are down for some.'
)
#: Why it matters that a membership outlasts service_down_time.
TOO_LATE = 'Dead services cannot be found within service_down_time.'


@dataclasses.dataclass(frozen=True)
class Connections:
    """The connections of one server.

    :ivar most: the limit; 0 if unknown
    :ivar refused: the number refused at the limit since the server's start
    """

    now: int = 0
    most: int = 0
    refused: int = 0


def with_address(
    address: str, found: Iterable[finding.Finding]
) -> Iterator[finding.Finding]:
    """Put the address of a server before each finding."""
    for each in found:
        yield dataclasses.replace(each, what=f'{address} {each.what}')


def not_serving(
    what: str, others: bool, why: str, advice: str
) -> finding.Finding:
    """Return the finding that a server does not serve.

    :param others: whether another server serves; it is an error if not
    :param why: why it matters although others serve
    """
    if others:
        return finding.warning(what, why, advice)
    return finding.error(what, NOBODY, advice)


def reach_advice(options: str) -> str:
    """Return what to do about a server that does not answer."""
    return (
        'See that the server runs, that this host may reach it, and that '
        f'{options} is right.'
    )


def judge_answer(
    address: str, summary: str, latency: float, also: str
) -> finding.Finding:
    """Judge a server that serves by the latency of an answer, in seconds.

    :param also: see judge_latency
    """
    what = f'{address}: {summary}, answered in {1000 * latency:.1f} ms.'
    if latency < SLOW:
        return finding.ok(what)
    return finding.warning(
        what,
        'That is slow: heartbeats and verdicts wait for it.',
        _load_advice(also),
    )


def judge_latency(latency: float, also: str = '') -> Iterator[finding.Finding]:
    """Judge the latency of an answer, in seconds.

    :param also: what to look at besides load and network
    """
    if latency >= SLOW:
        yield finding.warning(
            f'answers slowly, in {1000 * latency:.0f} ms.',
            'Heartbeats and verdicts wait for it.',
            _load_advice(also),
        )


def _load_advice(also: str) -> str:
    more = f' at {also},' if also else ''
    return (
        f'Look at the load of the server and of this host,{more} and at the '
        'network.'
    )


def judge_connections(
    connections: Connections, advice: str
) -> Iterator[finding.Finding]:
    """Judge whether a server has connections left."""
    now, most = connections.now, connections.most
    if connections.refused:
        yield finding.warning(
            f'had no connection left {connections.refused} times since it was '
            'started.',
            'Services could not report to it meanwhile.',
            advice,
        )
    elif most and now >= NEARLY_FULL * most:
        yield finding.warning(
            f'has {now} of {most} connections in use.',
            'Services that find none left cannot report to it.',
            advice,
        )


def evicted(what: str, uptime: int, advice: str) -> finding.Finding:
    """Return the finding that a server has evicted data.

    :param what: its number and kind
    :param uptime: seconds
    """
    return finding.warning(
        f'has evicted {what} for lack of memory since it was started, '
        f'{period(uptime)} ago.',
        'Members that it may have lost are held up: a host that dies may be '
        'down hold_time later.',
        advice,
    )


def granted_too_long(
    granted: str, down_time: int, advice: str
) -> finding.Finding:
    """Return the finding that a membership outlasts service_down_time.

    :param granted: what was granted by which server
    """
    return finding.error(
        f'{granted}, more than service_down_time = {down_time}.',
        TOO_LATE,
        advice,
    )


def granted_otherwise(
    granted: str, seconds: float, configured: str, advice: str
) -> finding.Finding:
    """Return the finding that a membership lasts not as configured.

    :param granted: what was granted by which server
    :param configured: the option and its value
    """
    return finding.warning(
        f'{granted} instead of {configured}.',
        f'A dead service is found after {seconds:g} s.',
        advice,
    )


def judge_number(
    what: str, count: int, more: str = ''
) -> Iterator[finding.Finding]:
    """Judge whether servers that need a majority are an odd number.

    :param what: the cluster or the option that has the servers
    :param more: appended to the advice
    """
    if count and count % 2 == 0:
        yield finding.warning(
            f'{what} has {count} servers, an even number.',
            f'{count} servers outlive the failure of {(count - 1) // 2}, as '
            f'{count - 1} would do.',
            f'Run {count + 1} servers, or {count - 1}{more}.',
        )


def access(user: str | None, secure: bool, password: bool = False) -> str:
    """Return as which user servers are asked, and whether over TLS.

    :param password: whether there is one for the default user
    """
    who = 'as the default user, with a password'
    if user:
        who = f'as user {user}'
    elif not password:
        who = 'without a user'
    return f'{who}, {"with" if secure else "without"} TLS'


def period(seconds: int) -> str:
    """Return a time in a unit that suits it."""
    for name, size in (('days', 86400), ('hours', 3600), ('minutes', 60)):
        if seconds >= 2 * size:
            return f'{seconds // size} {name}'
    return f'{seconds} s'


def counted(modes: Sequence[str]) -> str:
    """Return how many servers have each mode, the leader first."""
    return ', '.join(
        f'{modes.count(mode)} {mode}{"s" if modes.count(mode) > 1 else ""}'
        for mode in sorted(
            set(modes), key=lambda each: (each != 'leader', each)
        )
    )
