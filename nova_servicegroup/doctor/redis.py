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

"""Checks the redis servers, and the Sentinels that watch them."""

from collections.abc import Mapping, Sequence
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import redis_refusals
from nova_servicegroup.doctor import redis_sentinels
from nova_servicegroup.doctor import redis_stats
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.redis import status

#: Seconds that the Sentinels may take, and then the servers.
_SENTINELS_WAIT = 2.5
_SERVERS_WAIT = 3.0
#: Seconds that reading by the driver may take.
_READ_WAIT = 3.5


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.REDIS:
        return []
    conf, addresses = subject.conf, status.addresses(subject.conf)
    settings = status.connection_settings(conf)
    sentinels: list[finding.Finding] = []
    if settings.sentinel_name is not None:
        answers = asking.ask_each(
            functools.partial(status.ask_sentinel, conf),
            addresses,
            _SENTINELS_WAIT,
        )
        sentinels = redis_sentinels.judge(
            answers, settings.sentinel_name, conf.redis.ttl
        )
        addresses = redis_sentinels.servers(answers)
    servers = _ask(conf, addresses)
    return [
        *sentinels,
        *judge_servers(servers),
        *judge_joining(_read(subject), settings, servers),
        _access(settings),
    ]


def _ask(
    conf: cfg.ConfigOpts, addresses: Sequence[str]
) -> dict[str, asking.Answer[redis_stats.Stats]]:
    return asking.ask_each(
        lambda address: redis_stats.read(*status.read_info(conf, address)),
        addresses,
        _SERVERS_WAIT,
    )


def _read(subject: finding.Subject) -> Exception | None:
    """Read a group by the driver; return what is wrong, if so.

    To do so it writes a key that expires, as a member does.
    """
    view = subject.api(subject.driver).driver.view
    answer = asking.ask_one('redis', lambda: view('compute'), _READ_WAIT)
    return answer.error if answer.value is None else answer.value.error


def judge_servers(
    answers: Mapping[str, asking.Answer[redis_stats.Stats]],
) -> list[finding.Finding]:
    """Judge each server by its statistics."""
    found = []
    for address, answer in answers.items():
        if answer.value is not None:
            found += redis_stats.judge(address, answer.value)
        else:
            found.append(_no_answer(address, answer.error, len(answers) > 1))
    return found


def _no_answer(
    address: str, error: Exception | None, others: bool
) -> finding.Finding:
    reason = redis_refusals.reason(error)
    return common.not_serving(
        f'{address} does not answer: {reason}.',
        others,
        'If it is the master, no service can report until Sentinels have '
        'promoted another one; if not, there is one less to promote.',
        redis_refusals.advice(reason),
    )


def judge_joining(
    error: Exception | None,
    settings: status.ConnectionSettings,
    answers: Mapping[str, asking.Answer[redis_stats.Stats]],
) -> list[finding.Finding]:
    """Judge the result of an attempt to join.

    :param answers: of the servers
    """
    if error is None:
        return [finding.ok('A member could join.')]
    if len(answers) == 1 and all(each.error for each in answers.values()):
        # That the only server does not answer is a finding already.
        return []
    reason = redis_refusals.reason(error)
    where = ', '.join(answers) or 'Sentinels'
    if settings.sentinel_name is not None:
        where = f'the master of {settings.sentinel_name}'
    return [
        finding.error(
            f'A member could not join by {where}: {reason}.',
            common.NOBODY,
            redis_refusals.advice(reason),
        )
    ]


def _access(settings: status.ConnectionSettings) -> finding.Finding:
    """Return the finding that says how the servers are asked."""
    access = common.access(settings.user, settings.secure, settings.password)
    watched = (
        'No Sentinel watches the server.'
        if settings.sentinel_name is None
        else f'Sentinels call the server {settings.sentinel_name}.'
    )
    return finding.ok(f'The servers are asked {access}. {watched}')
