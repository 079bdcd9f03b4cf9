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

"""Do the Sentinels agree, and could they promote a replica?"""

from collections.abc import Mapping
import functools
import itertools

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import redis_refusals
from nova_servicegroup.drivers.redis import status
from nova_servicegroup import escaping

#: Flags of a server with which something is wrong.
_ILL = frozenset({'s_down', 'o_down', 'disconnected', 'master_down'})

#: So many of the replicas are looked at, each in a thread of its own. Whoever
#: answers as a Sentinel can name any number.
_MOST_REPLICAS = 20

_FEW = '; when most do not, the dead are found later.'
_MOST = (
    ', and most have to: without that, nobody is called down before hold_time.'
)
_REACH = (
    'See that it runs, that this host may reach it, and that [redis] '
    'sentinel_addresses and sentinel_password are right.'
)

_Answers = Mapping[str, asking.Answer[status.Watch]]


def judge(
    check: str, answers: _Answers, name: str, ttl: int
) -> list[finding.Finding]:
    """Judge what Sentinels said, by their addresses.

    :param name: what they call the server
    :param ttl: [redis] ttl
    """
    known = {
        address: answer.value
        for address, answer in answers.items()
        if answer.value is not None
    }
    judged = [
        _away(check, address, answer.error, name, len(known), len(answers))
        if answer.value is None
        else _ok(check, address, answer.value)
        for address, answer in answers.items()
    ]
    if not known:
        return judged
    return [*judged, *_Together(check, known, len(answers), ttl).found()]


def servers(answers: _Answers) -> list[str]:
    """Return the master and the replicas that Sentinels name.

    Of many replicas, the first.
    """
    known = [each.value for each in answers.values() if each.value is not None]
    masters = {each.master: None for each in known}
    replicas = {replica: None for each in known for replica in each.replicas}
    some = itertools.islice(replicas, _MOST_REPLICAS)
    return list(masters | dict.fromkeys(some))


def _ok(check: str, address: str, watch: status.Watch) -> finding.Finding:
    return finding.Finding(
        finding.Level.OK,
        check,
        f'{address}: Sentinel, names {escaping.printable(watch.master)}.',
    )


def _away(
    check: str,
    address: str,
    error: Exception | None,
    name: str,
    well: int,
    all_: int,
) -> finding.Finding:
    reason = redis_refusals.reason(error)
    level, why = finding.Level.WARNING, _FEW
    if well <= all_ / 2:
        level, why = finding.Level.ERROR, _MOST
    return finding.Finding(
        level,
        check,
        f'The Sentinel {address} does not tell the master: {reason}.',
        f'{well} of {all_} Sentinels tell it{why}',
        f'See that it watches a server that it calls {name}.'
        if 'No such' in reason
        else _REACH,
    )


class _Together:
    """What several Sentinels say.

    :param known: by address
    :param named: how many are configured
    """

    def __init__(
        self,
        check: str,
        known: Mapping[str, status.Watch],
        named: int,
        ttl: int,
    ) -> None:
        self._warn = functools.partial(
            finding.Finding, finding.Level.WARNING, check
        )
        self._check = check
        self._watches = list(known.values())
        self._named = named
        self._ttl = ttl

    def found(self) -> list[finding.Finding]:
        """Return what is wrong."""
        found = [
            self._masters(),
            self._state(),
            self._quorum(),
            self._count(),
            self._replicas(),
            self._down_after(),
        ]
        return [each for each in found if each is not None]

    def _masters(self) -> finding.Finding | None:
        masters = {each.master for each in self._watches}
        if len(masters) == 1:
            return None
        return finding.Finding(
            finding.Level.ERROR,
            self._check,
            f'The Sentinels name several masters: {finding.names(masters)}.',
            'Services may report to one and ask another.',
            'If they do so for longer than a minute, see whether they watch '
            'the same server and reach each other.',
        )

    def _state(self) -> finding.Finding | None:
        ill = {flag for each in self._watches for flag in each.flags & _ILL}
        if not ill:
            return None
        return self._warn(
            f'Sentinels say of the master: {", ".join(sorted(ill))}.',
            'They do not reach it, and will promote a replica.',
            'See whether it runs, and the network between them.',
        )

    def _quorum(self) -> finding.Finding | None:
        said = [each.quorum for each in self._watches if each.quorum]
        if not said:
            return None
        return self._warn(
            f'A Sentinel says: {said[0]}.',
            'When the master fails no replica is promoted, and nobody can '
            'report until it is back.',
            'See that most of the Sentinels run and reach each other.',
        )

    def _count(self) -> finding.Finding | None:
        count = 1 + max(each.others for each in self._watches)
        if count > self._named:
            return self._warn(
                f'There are {count} Sentinels; {self._named} of them named.',
                'Without those, a service does not find the master, nor '
                'whether most agree on it.',
                'Name all of them in [redis] sentinel_addresses.',
            )
        if count >= 3:
            return None
        return self._warn(
            f'There {"is" if count == 1 else "are"} {count} '
            f'Sentinel{"s" if count > 1 else ""}.',
            'When one fails together with the master, no replica is promoted.',
            'Run three, on different machines.',
        )

    def _replicas(self) -> finding.Finding | None:
        best = max(
            (
                sum(not flags & _ILL for flags in each.replicas.values())
                for each in self._watches
            ),
            default=0,
        )
        if best:
            return None
        return self._warn(
            'The master has no replica that is well.',
            'There is none to take its place when it fails.',
            'Start one, or see why it does not follow the master.',
        )

    def _down_after(self) -> finding.Finding | None:
        longest = max(each.down_after for each in self._watches)
        if longest < self._ttl:
            return None
        return self._warn(
            f'Sentinels wait for {longest:g} s (down-after-milliseconds), '
            f'not less than [redis] ttl = {self._ttl}.',
            'When the master fails, all members expire before there is '
            'another one; they are held up.',
            'Set down-after-milliseconds to half of ttl, or raise ttl.',
        )
