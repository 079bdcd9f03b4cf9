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

"""Checks the etcd servers, each by itself and as one cluster."""

from collections.abc import Iterator, Sequence
import dataclasses
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import etcd_limits
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.etcd import status
from nova_servicegroup import exceptions

#: Seconds that a server may take to return its status, and to read a group.
#: One without a majority does the former, and not the latter.
_STATUS_WAIT = 2.0
_READ_WAIT = 3.0
#: Seconds that joining may take.
_JOIN_WAIT = 3.0

#: What to do about a server that runs, but has no majority.
_MAJORITY = 'See that most of the servers run and reach each other.'


@dataclasses.dataclass(frozen=True)
class Server:
    """What is known of one server.

    :ivar report: its status, or None if it did not answer
    :ivar group_read: what it read with a majority, or None if it could not
    :ivar error: why one of both is missing, or None
    """

    address: str
    report: status.ServerStatus | None = None
    group_read: status.GroupRead | None = None
    error: Exception | None = None


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.ETCD:
        return []
    conf = subject.conf
    servers = ask(conf)
    return [
        *judge_servers(servers),
        *judge_cluster(servers),
        *etcd_limits.judge_alarms(
            [each.report for each in servers if each.report is not None]
        ),
        *_joining(conf, servers),
        _access(*status.connection_settings(conf)),
    ]


def ask(conf: cfg.ConfigOpts) -> list[Server]:
    """Ask all servers at once.

    :raises ConfigurationError: an option cannot be used
    """
    answers = asking.ask_each(
        functools.partial(_ask_one, conf),
        status.addresses(conf),
        _STATUS_WAIT + _READ_WAIT + 1.0,
    )
    return [
        answer.value or Server(address, error=answer.error)
        for address, answer in answers.items()
    ]


def _ask_one(conf: cfg.ConfigOpts, address: str) -> Server:
    report = None
    try:
        report = status.read_status(conf, address, _STATUS_WAIT)
        group_read = status.read_group(conf, address, _READ_WAIT)
    except exceptions.BackendError as error:
        return Server(address, report, error=error)
    return Server(address, report, group_read)


def _joining(
    conf: cfg.ConfigOpts, servers: Sequence[Server]
) -> list[finding.Finding]:
    """Judge, by one server that serves, whether a member could join."""
    serving = [each.address for each in servers if each.group_read is not None]
    if not serving:
        return []
    answer = asking.ask_one(
        serving[0],
        functools.partial(status.join, conf, serving[0], _JOIN_WAIT),
        _JOIN_WAIT + 0.5,
    )
    return [etcd_limits.judge_joining(conf, answer)]


def judge_servers(servers: Sequence[Server]) -> list[finding.Finding]:
    """Judge each server by itself."""
    serving = sum(each.group_read is not None for each in servers)
    why = (
        f'{serving} of {len(servers)} servers serve. Clients go on to them; '
        'when the majority of the cluster is gone, no service can report.'
    )
    return [_judge_server(each, serving > 0, why) for each in servers]


def _judge_server(server: Server, others: bool, why: str) -> finding.Finding:
    if server.group_read is None:
        what, advice = _not_serving(server)
        return common.not_serving(what, others, why, advice)
    summary = 'serves'
    if server.report is not None:
        size = server.report.size / 2**20
        summary = (
            f'{server.report.mode}, {server.report.version}, {size:.0f} MiB'
        )
    return common.judge_answer(
        server.address,
        summary,
        server.group_read.latency,
        'the disk of its log',
    )


def _not_serving(server: Server) -> tuple[str, str]:
    """Return why a server does not serve, and what to do."""
    address, report = server.address, server.report
    reason = etcd_limits.reason(server.error)
    if report is None:
        what = f'{address} does not answer: {reason}.'
        return what, etcd_limits.advice(server.error)
    if report.mode == 'learner':
        return (
            f'{address} is a learner of the cluster, and does not serve yet.',
            'Promote it, or leave it out of [etcd] address.',
        )
    if not report.leader:
        return (
            f'{address} runs, but knows no leader: it is without the '
            'majority of its cluster.',
            _MAJORITY,
        )
    return (
        f'{address} runs, but does not read: {reason}.',
        etcd_limits.advice(server.error, _MAJORITY),
    )


def judge_cluster(servers: Sequence[Server]) -> Iterator[finding.Finding]:
    """Judge whether the servers are one cluster, and all of it."""
    clusters = {each.report.cluster for each in servers if each.report}
    if len(clusters) > 1:
        yield finding.error(
            'The servers are not one cluster.',
            common.APART,
            'Make them one cluster, or name only the servers of one.',
        )
        return
    sizes = [
        each.group_read.members or 0 for each in servers if each.group_read
    ]
    yield from _judge_size(len(servers), max(sizes, default=0))
    modes = [
        each.report.mode for each in servers if each.report and each.group_read
    ]
    if 'leader' in modes:
        yield finding.ok(f'They are one cluster: {common.counted(modes)}.')


def _judge_size(named: int, size: int) -> Iterator[finding.Finding]:
    if size > named:
        yield finding.warning(
            f'The cluster has {size} servers; {named} of them named.',
            'When those fail, clients do not go on to the others, unless '
            'what is named is a load balancer.',
            'Name all of them in [etcd] address.',
        )
    yield from common.judge_number('The cluster', size)


def _access(
    user: str | None, secure: bool, certified: bool
) -> finding.Finding:
    """Return the finding that says how the servers are asked."""
    more = ' and a certificate of our own' if certified else ''
    return finding.ok(f'They are asked {common.access(user, secure)}{more}.')
