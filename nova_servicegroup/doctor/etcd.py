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

"""Are the etcd servers well, each and together?"""

from collections.abc import Sequence
import dataclasses
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import etcd_limits
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.etcd import status
from nova_servicegroup import exceptions

NAME = 'etcd'

#: Seconds that a server may take to tell of itself, and to read a group. One
#: without a majority answers the former, and not the latter.
_WORDS_WAIT = 2.0
_SERVE_WAIT = 3.0
#: Seconds that joining may take.
_JOIN_WAIT = 3.0

#: What to do about one that runs, and has no majority.
_TOGETHER = 'See that most of the servers run and reach each other.'
_APART = (
    'The servers are not one cluster.',
    finding.APART,
    'Make them one cluster, or name only the servers of one.',
)

_OK = functools.partial(finding.Finding, finding.Level.OK, NAME)
_WARNING = functools.partial(finding.Finding, finding.Level.WARNING, NAME)
_ERROR = functools.partial(finding.Finding, finding.Level.ERROR, NAME)


@dataclasses.dataclass(frozen=True)
class Server:
    """What is known of one server.

    :ivar words: what it says of itself; None: nothing
    :ivar served: what it answers with the others; None: nothing
    :ivar trouble: why; None: it answers
    """

    address: str
    words: status.Words | None = None
    served: status.Served | None = None
    trouble: Exception | None = None


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.ETCD:
        return []
    conf = subject.conf
    servers = look(conf)
    return [
        *judge_servers(servers),
        *judge_cluster(servers),
        *etcd_limits.judge_alarms(
            NAME, [each.words for each in servers if each.words is not None]
        ),
        *_joining(conf, servers),
        _OK(_way(*status.way(conf))),
    ]


def look(conf: cfg.ConfigOpts) -> list[Server]:
    """Ask all servers at once.

    :raises ConfigurationError: an option cannot be used
    """
    answers = asking.ask_each(
        functools.partial(_look_at, conf),
        status.addresses(conf),
        _WORDS_WAIT + _SERVE_WAIT + 1.0,
    )
    return [
        answer.value or Server(address, trouble=answer.error)
        for address, answer in answers.items()
    ]


def _look_at(conf: cfg.ConfigOpts, address: str) -> Server:
    words = None
    try:
        words = status.words(conf, address, _WORDS_WAIT)
        served = status.serve(conf, address, _SERVE_WAIT)
    except exceptions.BackendError as error:
        return Server(address, words, trouble=error)
    return Server(address, words, served)


def _joining(
    conf: cfg.ConfigOpts, servers: Sequence[Server]
) -> list[finding.Finding]:
    """Try, on a server that is well, whether a member could join."""
    well = [each.address for each in servers if each.served is not None]
    if not well:
        return []
    answer = asking.ask_one(
        well[0],
        functools.partial(status.join, conf, well[0], _JOIN_WAIT),
        _JOIN_WAIT + 0.5,
    )
    return [etcd_limits.judge_joining(NAME, conf, answer)]


def judge_servers(servers: Sequence[Server]) -> list[finding.Finding]:
    """Judge each server by itself."""
    serving = sum(each.served is not None for each in servers)
    return [_judge_server(each, serving, len(servers)) for each in servers]


def _judge_server(server: Server, serving: int, all_: int) -> finding.Finding:
    if server.served is not None:
        return _judge_latency(server, server.served.latency)
    report = _WARNING if serving else _ERROR
    what, advice = _trouble(server)
    return report(what, _loss(serving, all_), advice)


def _judge_latency(server: Server, latency: float) -> finding.Finding:
    said = 'serves'
    if server.words is not None:
        size = server.words.size / 2**20
        said = f'{server.words.mode}, {server.words.version}, {size:.0f} MiB'
    what = f'{server.address}: {said}, answered in {1000 * latency:.1f} ms.'
    if latency < finding.SLOW:
        return _OK(what)
    return _WARNING(
        what,
        'That is slow: heartbeats and verdicts wait for it.',
        'Look at the load of the servers and of this host, at the discs of '
        'their logs, and at the network.',
    )


def _loss(serving: int, all_: int) -> str:
    if not serving:
        return finding.NOBODY
    return (
        f'{serving} of {all_} servers serve. Clients go on to them; when the '
        'majority of the cluster is gone, nobody can report.'
    )


def _trouble(server: Server) -> tuple[str, str]:
    """Return what is wrong with a server, and what to do."""
    address, words = server.address, server.words
    reason = etcd_limits.reason(server.trouble)
    if words is not None and words.mode == 'learner':
        return (
            f'{address} is a learner of the cluster, and serves nobody yet.',
            'Promote it, or leave it out of [etcd] address.',
        )
    if words is not None and not words.leader:
        return (
            f'{address} runs, but knows no leader: it is without the '
            'majority of its cluster.',
            _TOGETHER,
        )
    if words is None:
        what = f'{address} does not answer: {reason}.'
        return what, etcd_limits.advice(server.trouble)
    return (
        f'{address} runs, but does not read: {reason}.',
        etcd_limits.advice(server.trouble, _TOGETHER),
    )


def judge_cluster(servers: Sequence[Server]) -> list[finding.Finding]:
    """Judge whether the servers are one cluster, and all of it."""
    words = [each.words for each in servers if each.words is not None]
    if len({each.cluster for each in words}) > 1:
        return [_ERROR(*_APART)]
    sizes = [
        each.served.members
        for each in servers
        if each.served is not None and each.served.members
    ]
    modes = [
        each.words.mode
        for each in servers
        if each.words is not None and each.served is not None
    ]
    return [
        *_judge_size(len(servers), max(sizes, default=0)),
        *(
            [_OK(f'They are one cluster: {finding.counted(modes)}.')]
            if 'leader' in modes
            else []
        ),
    ]


def _judge_size(named: int, size: int) -> list[finding.Finding]:
    found = []
    if size > named:
        found.append(
            _WARNING(
                f'The cluster has {size} servers; {named} of them named.',
                'When those fail, clients do not go on to the others, unless '
                'what is named is a load balancer.',
                'Name all of them in [etcd] address.',
            )
        )
    if size and size % 2 == 0:
        found.append(
            _WARNING(
                f'The cluster has {size} servers, an even number.',
                f'{size} servers outlive the failure of {(size - 1) // 2}, '
                f'as {size - 1} would do.',
                f'Run {size + 1} servers, or {size - 1}.',
            )
        )
    return found


def _way(user: str | None, secure: bool, certified: bool) -> str:
    """Say how the servers are asked."""
    who = f'as user {user}' if user else 'without a user'
    how = 'with TLS' if secure else 'without TLS'
    more = ' and a certificate of our own' if certified else ''
    return f'They are asked {who}, {how}{more}.'
