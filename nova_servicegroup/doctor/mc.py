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

"""Checks the memcached servers, and whether they hold the same members."""

from collections.abc import Collection, Iterator, Mapping, Sequence
import ipaddress
import secrets
import time

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import mc_stats
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup import exceptions
from nova_servicegroup import services

#: Seconds that the servers may take to answer, together.
_WAIT = 3.0
#: Seconds after which an expired member has expired on every server.
_SETTLED = 1.5

#: The group and host of each.
_Members = frozenset[tuple[str, str]]


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.MEMCACHED:
        return []
    settings = configuration.Settings(subject.conf)
    if not settings.addresses:
        return [_no_servers()]
    local = all(map(_is_local, settings.addresses))
    hosts = _registered(subject) if local else None
    servers = _Servers(settings)
    try:
        return [
            *judge_addresses(settings.addresses, hosts),
            *judge_servers(servers.stats()),
            *judge_members(servers.missing()),
        ]
    finally:
        servers.close()


class _Servers:
    """The connections to all servers, which are asked at once."""

    def __init__(self, settings: configuration.Settings) -> None:
        self._keys = settings.keys
        self._servers = {
            each.name.removeprefix('memcached '): each
            for each in settings.servers(f'reader:{secrets.token_hex(8)}')
        }

    def stats(self) -> dict[str, asking.Answer[mc_stats.Stats]]:
        """Return the statistics of each server, by address."""
        return asking.ask_each(
            lambda address: mc_stats.ask(self._servers[address]),
            self._servers,
            _WAIT,
        )

    def missing(self) -> dict[str, _Members]:
        """Return the members that each server misses and another has."""
        missing = self._missing(self._listed())
        if not any(missing.values()):
            return missing
        # One that just joined or died is not on all of them for a moment.
        time.sleep(_SETTLED)
        again = self._missing(frozenset().union(*missing.values()))
        return {
            address: again[address] & missing[address]
            for address in missing.keys() & again.keys()
        }

    def close(self) -> None:
        """Close the connections."""
        for each in self._servers.values():
            each.close()

    def _listed(self) -> _Members:
        """Return the members on the lists of all servers, alive or not."""
        answers = asking.ask_each(self._listing, self._servers, _WAIT)
        return frozenset().union(
            *(answer.value or () for answer in answers.values())
        )

    def _listing(self, address: str) -> _Members:
        # One group after the other: they share a connection.
        return frozenset(
            (group, host)
            for group in services.GROUPS
            for host in self._servers[address].hosts(group)
        )

    def _missing(self, members: _Members) -> dict[str, _Members]:
        ids = {self._keys.member(*each): each for each in members}
        answers = asking.ask_each(
            lambda address: self._servers[address].read(list(ids)),
            self._servers,
            _WAIT,
        )
        held = {
            address: frozenset(ids[each] for each in answer.value.values)
            for address, answer in answers.items()
            if answer.value is not None
        }
        alive = frozenset[tuple[str, str]]().union(*held.values())
        return {address: alive - has for address, has in held.items()}


def _no_servers() -> finding.Finding:
    return finding.error(
        'The mc driver has no servers: [DEFAULT] memcached_servers and '
        '[cache] memcache_servers are unset.',
        'Every process sees only itself: all other services are down.',
        'Name the servers in [DEFAULT] memcached_servers, on every host.',
    )


def _registered(subject: finding.Subject) -> set[str] | None:
    """Return the hosts on which Nova has services, or None if unknown."""
    read = subject.api(subject.driver).driver.read_records
    wait = _WAIT / len(services.GROUPS)
    try:
        return {
            record['host']
            for group in services.GROUPS
            for record in read(group, wait)
        }
    except exceptions.BackendError:
        return None


def judge_addresses(
    addresses: Sequence[str], hosts: Collection[str] | None
) -> Iterator[finding.Finding]:
    """Judge the list of servers, each host:port.

    :param hosts: on which Nova has services, or None if unknown
    """
    local = [each for each in addresses if _is_local(each)]
    if local and len(local) < len(addresses):
        yield finding.warning(
            f'{", ".join(local)} is one of several servers, and is another '
            'one on each host.',
            'Members that report to it are seen by their own host only.',
            'Name it by an address that is the same for all hosts.',
        )
    elif local and (hosts is None or len(hosts) > 1):
        yield _all_local(local, hosts)


def _all_local(
    addresses: Sequence[str], hosts: Collection[str] | None
) -> finding.Finding:
    where = 'hosts that are not known here'
    if hosts is not None:
        where = f'{len(hosts)} hosts: {finding.names(hosts)}'
    return finding.warning(
        f'Every server is another one on each host: '
        f'{", ".join(addresses)}. Nova has services on {where}.',
        'Each host sees only itself, and takes all others for down.',
        'Name the servers by addresses that are the same for all hosts, '
        'unless all of Nova runs on this machine.',
    )


def _is_local(address: str) -> bool:
    host = address.rpartition(':')[0].strip('[]')
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.partition('.')[0] == 'localhost'


def judge_servers(
    answers: Mapping[str, asking.Answer[mc_stats.Stats]],
) -> list[finding.Finding]:
    """Judge each server by its statistics, those without an answer first."""
    stats = {
        address: answer.value
        for address, answer in answers.items()
        if answer.value is not None
    }
    silent = [
        common.not_serving(
            f'{address} does not answer: {asking.reason(answer.error)}.',
            bool(stats),
            'The other servers have all members, and show which have died.',
            common.reach_advice('memcached_servers'),
        )
        for address, answer in answers.items()
        if answer.error is not None
    ]
    return [*silent, *mc_stats.judge(stats)]


def judge_members(missing: Mapping[str, _Members]) -> list[finding.Finding]:
    """Judge whether the servers hold the same members.

    :param missing: the members that a server misses, by its address
    """
    return [
        finding.warning(
            f'{address} misses members that another server has: '
            f'{finding.names({host for _, host in members})}.',
            'These hosts cannot reach it, or their memcached_servers do not '
            'name it. They are up for as long as the other server is there.',
            'Compare memcached_servers on these hosts and here, and see that '
            'they reach the server.',
        )
        for address, members in missing.items()
        if members
    ]
