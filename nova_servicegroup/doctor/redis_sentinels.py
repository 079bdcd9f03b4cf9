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

"""Judges whether Sentinels agree and could promote a replica."""

from collections.abc import Iterator, Mapping, Sequence
import itertools

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import redis_refusals
from nova_servicegroup.drivers.redis import status
from nova_servicegroup import escaping

#: Flags of a server with which something is wrong.
_ILL = frozenset({'s_down', 'o_down', 'disconnected', 'master_down'})

#: The number of replicas that are asked, each in a thread. A server that
#: answers as a Sentinel can name any number.
_MOST_REPLICAS = 20

_FEW = '; when most do not, dead services are found later.'
_MOST = ', and most have to: without that, no member is down before hold_time.'
_REACH = (
    'See that it runs, that this host may reach it, and that [redis] '
    'sentinel_addresses and sentinel_password are right.'
)

_Answers = Mapping[str, asking.Answer[status.SentinelStatus]]
_Statuses = Sequence[status.SentinelStatus]


def judge(answers: _Answers, name: str, ttl: int) -> list[finding.Finding]:
    """Judge the answers of Sentinels, by their addresses.

    :param name: what they call the server
    :param ttl: [redis] ttl
    """
    known = _known(answers)
    found = [
        _no_answer(address, answer.error, name, len(known), len(answers))
        if answer.value is None
        else finding.ok(
            f'{address}: Sentinel, names '
            f'{escaping.printable(answer.value.master)}.'
        )
        for address, answer in answers.items()
    ]
    if known:
        found += _masters(known)
        found += _flags(known)
        found += _quorum(known)
        found += _number(known, len(answers))
        found += _replicas(known)
        found += _down_after(known, ttl)
    return found


def servers(answers: _Answers) -> list[str]:
    """Return the masters and the first replicas that Sentinels name."""
    known = _known(answers)
    masters = {each.master: None for each in known}
    replicas = {replica: None for each in known for replica in each.replicas}
    some = itertools.islice(replicas, _MOST_REPLICAS)
    return list(masters | dict.fromkeys(some))


def _known(answers: _Answers) -> list[status.SentinelStatus]:
    return [each.value for each in answers.values() if each.value is not None]


def _no_answer(
    address: str, error: Exception | None, name: str, well: int, named: int
) -> finding.Finding:
    """Return the finding that a Sentinel does not name the master.

    :param well: how many do
    :param named: how many are configured
    """
    reason = redis_refusals.reason(error)
    report, why = finding.warning, _FEW
    if well <= named / 2:
        report, why = finding.error, _MOST
    return report(
        f'The Sentinel {address} does not name the master: {reason}.',
        f'{well} of {named} Sentinels name it{why}',
        f'See that it watches a server that it calls {name}.'
        if 'No such' in reason
        else _REACH,
    )


def _masters(known: _Statuses) -> Iterator[finding.Finding]:
    masters = {each.master for each in known}
    if len(masters) > 1:
        yield finding.error(
            f'The Sentinels name several masters: {finding.names(masters)}.',
            'Services may report to one and ask another.',
            'If they do so for longer than a minute, see whether they watch '
            'the same server and reach each other.',
        )


def _flags(known: _Statuses) -> Iterator[finding.Finding]:
    ill = {flag for each in known for flag in each.flags & _ILL}
    if ill:
        yield finding.warning(
            f'Sentinels say of the master: {", ".join(sorted(ill))}.',
            'They do not reach it, and will promote a replica.',
            'See whether it runs, and the network between them.',
        )


def _quorum(known: _Statuses) -> Iterator[finding.Finding]:
    reasons = [each.quorum for each in known if each.quorum]
    if reasons:
        yield finding.warning(
            f'A Sentinel says: {reasons[0]}.',
            'When the master fails no replica is promoted, and no service can '
            'report until it is back.',
            'See that most of the Sentinels run and reach each other.',
        )


def _number(known: _Statuses, named: int) -> Iterator[finding.Finding]:
    count = 1 + max(each.others for each in known)
    if count > named:
        yield finding.warning(
            f'There are {count} Sentinels; {named} of them named.',
            'Without those, a service does not find the master, nor '
            'whether most agree on it.',
            'Name all of them in [redis] sentinel_addresses.',
        )
    elif count < 3:
        yield finding.warning(
            f'There {"is" if count == 1 else "are"} {count} '
            f'Sentinel{"s" if count > 1 else ""}.',
            'When one fails together with the master, no replica is promoted.',
            'Run three, on different machines.',
        )


def _replicas(known: _Statuses) -> Iterator[finding.Finding]:
    flags = [each for sentinel in known for each in sentinel.replicas.values()]
    if all(each & _ILL for each in flags):
        yield finding.warning(
            'The master has no replica that is well.',
            'There is none to take its place when it fails.',
            'Start one, or see why it does not follow the master.',
        )


def _down_after(known: _Statuses, ttl: int) -> Iterator[finding.Finding]:
    longest = max(each.down_after for each in known)
    if longest >= ttl:
        yield finding.warning(
            f'Sentinels wait for {longest:g} s (down-after-milliseconds), '
            f'not less than [redis] ttl = {ttl}.',
            'When the master fails, all members expire before there is '
            'another one; they are held up.',
            'Set down-after-milliseconds to half of ttl, or raise ttl.',
        )
