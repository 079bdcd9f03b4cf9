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

"""Judges what ZooKeeper servers grant: session timeouts and connections."""

from collections.abc import Iterator, Mapping

from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers.zk import status

#: The share of the allowed connections from which on it is a finding.
_NEARLY_FULL = 0.8
#: What ZooKeeper takes if maxClientCnxns is not set.
_DEFAULT_LIMIT = 60

TURNED_AWAY = 'takes new connections only to end them at once.'
RAISE_LIMIT = (
    'Most likely more sessions come from this address than maxClientCnxns '
    'allows: raise it in zoo.cfg. Each process of Nova takes up to two.'
)
CERTIFICATES = (
    'See that [zookeeper] address names the port for TLS, and each server as '
    'its certificate does, and that ca_file has the authority that has signed '
    'it. check_hostname = false compares no names.'
)
TLS = (
    'Over TLS the four-letter words are not asked: modes and maxClientCnxns '
    'are not known here.'
)


def judge_sessions(
    granted: Mapping[str, float], configured: int, down_time: int
) -> list[finding.Finding]:
    """Return the worst of the session timeouts that servers granted.

    :param granted: seconds, by address
    :param configured: [zookeeper] session_timeout
    """
    found = [
        _judge_session(
            f'{address} grants sessions of {seconds:g} s',
            seconds,
            configured,
            down_time,
        )
        for address, seconds in granted.items()
    ]
    return [max(found, key=lambda each: each.level)] if found else []


def _judge_session(
    what: str, seconds: float, configured: int, down_time: int
) -> finding.Finding:
    if seconds > down_time:
        return common.granted_too_long(
            what,
            down_time,
            'Lower tickTime in zoo.cfg: a session lasts for 2 of them, at '
            'least. Or raise service_down_time.',
        )
    if seconds != configured:
        return common.granted_otherwise(
            what,
            seconds,
            f'[zookeeper] session_timeout = {configured}',
            'A session lasts from 2 to 20 ticks: change tickTime, or '
            'minSessionTimeout and maxSessionTimeout, in zoo.cfg, or '
            'session_timeout.',
        )
    return finding.ok(f'Sessions last {configured} s, as configured.')


def judge_connections(
    servers: Mapping[str, status.ServerStatus | None],
) -> list[finding.Finding]:
    """Judge whether the address with most sessions is near the limit."""
    known = {address: server for address, server in servers.items() if server}
    found = [
        each
        for address, server in known.items()
        for each in _nearly_full(address, server)
    ]
    if found or not known:
        return found
    return [
        finding.ok(_allowance({server.limit for server in known.values()}))
    ]


def _nearly_full(
    address: str, server: status.ServerStatus
) -> Iterator[finding.Finding]:
    if not server.limit or server.busiest is None:
        return
    client, sessions = server.busiest
    if sessions < _NEARLY_FULL * server.limit:
        return
    what = f'{address}: {sessions} sessions come from {client}, '
    if sessions >= server.limit:
        what += f'and maxClientCnxns = {server.limit} allows no more.'
    else:
        what += f'of {server.limit} that maxClientCnxns allows.'
    yield finding.warning(
        what,
        'A service that starts there gets no session, and is down.',
        'Raise maxClientCnxns in zoo.cfg. Each process of Nova takes up to '
        'two sessions.',
    )


def _allowance(limits: set[int | None]) -> str:
    """Return how many sessions may come from one address."""
    if None in limits:
        return (
            'maxClientCnxns is not known: the servers do not answer the '
            f'four-letter word conf. Its default is {_DEFAULT_LIMIT} sessions '
            'from one address; each process of Nova takes up to two.'
        )
    if limits == {0}:
        return 'Any number of sessions may come from one address.'
    least = min(each for each in limits if each)
    return f'{least} sessions may come from one address (maxClientCnxns).'
