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

"""Are the redis servers well, and those that watch them?"""

from collections.abc import Mapping, Sequence
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import redis_refusals
from nova_servicegroup.doctor import redis_sentinels
from nova_servicegroup.doctor import redis_stats
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.redis import status

NAME = 'redis'

#: Seconds that the Sentinels may take, and then the servers.
_SENTINELS_WAIT = 2.5
_SERVERS_WAIT = 3.0
#: Seconds that reading by the driver may take.
_READ_WAIT = 3.5

_OK = functools.partial(finding.Finding, finding.Level.OK, NAME)
_ERROR = functools.partial(finding.Finding, finding.Level.ERROR, NAME)


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.REDIS:
        return []
    conf, addresses = subject.conf, status.addresses(subject.conf)
    way = status.way(conf)
    watched: list[finding.Finding] = []
    if way.sentinel_name is not None:
        answers = _sentinels(conf, addresses)
        watched = redis_sentinels.judge(
            NAME, answers, way.sentinel_name, conf.redis.ttl
        )
        addresses = redis_sentinels.servers(answers)
    asked = _servers(conf, addresses)
    return [
        *watched,
        *judge_servers(asked),
        *judge_joining(_read(subject), way, asked),
        _OK(_shown(way)),
    ]


def _servers(
    conf: cfg.ConfigOpts, addresses: Sequence[str]
) -> dict[str, asking.Answer[redis_stats.Stats]]:
    return asking.ask_each(
        functools.partial(_about, conf), addresses, _SERVERS_WAIT
    )


def _sentinels(
    conf: cfg.ConfigOpts, addresses: Sequence[str]
) -> dict[str, asking.Answer[status.Watch]]:
    return asking.ask_each(
        functools.partial(status.watch, conf), addresses, _SENTINELS_WAIT
    )


def _about(conf: cfg.ConfigOpts, address: str) -> redis_stats.Stats:
    return redis_stats.read(*status.about(conf, address))


def _read(subject: finding.Subject) -> Exception | None:
    """Read a group by the driver; return what is wrong.

    To do so it writes a key that expires, as a member does.
    """
    view = subject.api(subject.driver).driver.view
    answer = asking.ask_one(
        NAME, functools.partial(view, 'compute'), _READ_WAIT
    )
    return answer.error if answer.value is None else answer.value.error


def judge_servers(
    answers: Mapping[str, asking.Answer[redis_stats.Stats]],
) -> list[finding.Finding]:
    """Judge each server by what it said of itself."""
    found = []
    for address, answer in answers.items():
        if answer.value is not None:
            found += redis_stats.judge(NAME, address, answer.value)
        else:
            found.append(_away(address, answer.error, len(answers) > 1))
    return found


def _away(
    address: str, error: Exception | None, others: bool
) -> finding.Finding:
    why = (
        'If it is the master, nobody can report until Sentinels have '
        'promoted another one; if not, there is one less to promote.'
        if others
        else finding.NOBODY
    )
    reason = redis_refusals.reason(error)
    return finding.Finding(
        finding.Level.WARNING if others else finding.Level.ERROR,
        NAME,
        f'{address} does not answer: {reason}.',
        why,
        redis_refusals.advice(reason),
    )


def judge_joining(
    error: Exception | None,
    way: status.Way,
    answers: Mapping[str, asking.Answer[redis_stats.Stats]],
) -> list[finding.Finding]:
    """Judge what became of an attempt to join.

    :param answers: of the servers
    """
    if error is None:
        return [_OK('A member could join.')]
    if len(answers) == 1 and all(each.error for each in answers.values()):
        # The only one does not even answer.
        return []
    reason = redis_refusals.reason(error)
    where = ', '.join(answers) or 'Sentinels'
    if way.sentinel_name is not None:
        where = f'the master of {way.sentinel_name}'
    return [
        _ERROR(
            f'A member could not join by {where}: {reason}.',
            finding.NOBODY,
            redis_refusals.advice(reason),
        )
    ]


def _shown(way: status.Way) -> str:
    """Say how the servers are asked."""
    who = f'as user {way.user}' if way.user else 'without a user'
    if way.password and not way.user:
        who = 'as the default user, with a password'
    how = 'with TLS' if way.secure else 'without TLS'
    watched = (
        'No Sentinel watches the server.'
        if way.sentinel_name is None
        else f'Sentinels call the server {way.sentinel_name}.'
    )
    return f'The servers are asked {who}, {how}. {watched}'
