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


"""What ZooKeeper's servers grant: session timeouts, and connections."""

from collections.abc import Mapping

from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers.zk import status

#: The share of the allowed connections from which on it is a finding.
_CROWDED = 0.8
#: What ZooKeeper takes where maxClientCnxns is not set.
_DEFAULT_LIMIT = 60

TURNED_AWAY = 'takes new connections only to end them at once.'
RAISE_IT = (
    'Most likely more sessions come from this address than maxClientCnxns '
    'allows: raise it in zoo.cfg. Each process of Nova takes up to two.'
)
TRUST_IT = (
    'See that [zookeeper] address names the port for TLS, and each server as '
    'its certificate does, and that ca_file has the authority that has signed '
    'it. check_hostname = false compares no names.'
)
TLS = (
    'Over TLS the four-letter words are not asked: modes and maxClientCnxns '
    'are not known here.'
)


def judge_sessions(
    check: str, granted: Mapping[str, float], wish: int, down_time: int
) -> list[finding.Finding]:
    """Compare the session timeouts, in seconds, that servers granted.

    :param granted: by server
    :param wish: [zookeeper] session_timeout
    """
    # Whoever grants more than service_down_time is told first.
    for address, seconds in granted.items():
        if seconds > down_time:
            return [
                finding.Finding(
                    finding.Level.ERROR,
                    check,
                    f'{address} grants sessions of {seconds:g} s, more than '
                    f'service_down_time = {down_time}.',
                    'Dead services cannot be found within service_down_time.',
                    'Lower tickTime in zoo.cfg: a session lasts for 2 of '
                    'them, at least. Or raise service_down_time.',
                )
            ]
    for address, seconds in granted.items():
        if seconds != wish:
            return [
                finding.Finding(
                    finding.Level.WARNING,
                    check,
                    f'{address} grants sessions of {seconds:g} s instead of '
                    f'[zookeeper] session_timeout = {wish}.',
                    f'A dead service is found after {seconds:g} s.',
                    'A session lasts from 2 to 20 ticks: change tickTime, '
                    'or minSessionTimeout and maxSessionTimeout, in zoo.cfg, '
                    'or session_timeout.',
                )
            ]
    if not granted:
        return []
    return [
        finding.Finding(
            finding.Level.OK, check, f'Sessions last {wish} s, as configured.'
        )
    ]


def judge_connections(
    check: str, servers: Mapping[str, status.Words | None]
) -> list[finding.Finding]:
    """Compare the sessions of the busiest address with what is allowed."""
    known = {address: words for address, words in servers.items() if words}
    found = [
        each
        for address, words in known.items()
        if (each := _full(check, address, words)) is not None
    ]
    if found or not known:
        return found
    return [finding.Finding(finding.Level.OK, check, _allowance(known))]


def _full(
    check: str, address: str, words: status.Words
) -> finding.Finding | None:
    if not words.limit or words.busiest is None:
        return None
    client, sessions = words.busiest
    if sessions < _CROWDED * words.limit:
        return None
    return finding.Finding(
        finding.Level.WARNING,
        check,
        f'{address}: {sessions} sessions come from {client}, and '
        f'maxClientCnxns = {words.limit} allows no more.'
        if sessions >= words.limit
        else f'{address}: {sessions} sessions come from {client}, of '
        f'{words.limit} that maxClientCnxns allows.',
        'A service that starts there gets no session, and is down.',
        'Raise maxClientCnxns in zoo.cfg. Each process of Nova takes up to '
        'two sessions.',
    )


def _allowance(known: Mapping[str, status.Words]) -> str:
    limits = {words.limit for words in known.values()}
    if None in limits:
        return (
            'maxClientCnxns cannot be told: the servers do not answer the '
            f'four-letter word conf. Its default is {_DEFAULT_LIMIT} sessions '
            'from one address; each process of Nova takes up to two.'
        )
    if limits == {0}:
        return 'Any number of sessions may come from one address.'
    least = min(each for each in limits if each)
    return f'{least} sessions may come from one address (maxClientCnxns).'
