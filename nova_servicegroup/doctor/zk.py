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

"""Checks the ZooKeeper servers, each by itself and as one ensemble."""

from collections.abc import Sequence
import dataclasses
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.doctor import zk_limits
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.zk import status
from nova_servicegroup import exceptions
from nova_servicegroup import opts

#: Seconds that a server may take to grant a session, and to answer a word.
_SESSION_WAIT = 4.0
_WORD_WAIT = 2.0


@dataclasses.dataclass(frozen=True)
class Server:
    """What is known of one server.

    :ivar session: what was read in a session, or None if none was granted
    :ivar report: its answers to four-letter words, or None
    :ivar error: why there was no session, or None
    """

    address: str
    session: status.Session | None = None
    report: status.ServerStatus | None = None
    error: Exception | None = None

    @property
    def mode(self) -> str | None:
        """See status.ServerStatus."""
        return None if self.report is None else self.report.mode


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.ZOOKEEPER:
        return []
    conf = subject.conf
    servers = ask(conf)
    return [
        *judge_servers(servers),
        *judge_ensemble(servers),
        *zk_limits.judge_sessions(
            granted(servers),
            opts.session_timeout(conf),
            opts.service_down_time(conf),
        ),
        *(
            [finding.ok(zk_limits.TLS)]
            if conf.zookeeper.use_tls
            else zk_limits.judge_connections(
                {each.address: each.report for each in servers}
            )
        ),
    ]


def ask(conf: cfg.ConfigOpts) -> list[Server]:
    """Ask all servers at once.

    :raises ConfigurationError: an option cannot be used
    """
    answers = asking.ask_each(
        functools.partial(_ask_one, conf),
        status.addresses(conf),
        _WORD_WAIT + _SESSION_WAIT + 1.0,
    )
    return [
        answer.value or Server(address, error=answer.error)
        for address, answer in answers.items()
    ]


def _ask_one(conf: cfg.ConfigOpts, address: str) -> Server:
    """Ask one server. Of two errors, that of the words is clearer."""
    report, failure = _read_status(conf, address)
    if failure is not None and not isinstance(
        failure, exceptions.BackendTimeout
    ):
        return Server(address, error=failure)
    try:
        session = status.session(conf, address, _SESSION_WAIT)
    except exceptions.BackendError as error:
        return Server(address, None, report, failure or error)
    return Server(address, session, report)


def _read_status(
    conf: cfg.ConfigOpts, address: str
) -> tuple[status.ServerStatus | None, exceptions.BackendError | None]:
    try:
        if conf.zookeeper.use_tls:
            status.handshake(conf, address, _WORD_WAIT)
            return None, None
        return status.read_status(address, _WORD_WAIT), None
    except exceptions.BackendError as error:
        return None, error


def granted(servers: Sequence[Server]) -> dict[str, float]:
    """Return the session timeouts that servers granted, in seconds."""
    return {
        each.address: each.session.granted
        for each in servers
        if each.session is not None and each.session.granted is not None
    }


def judge_servers(servers: Sequence[Server]) -> list[finding.Finding]:
    """Judge each server by itself."""
    serving = sum(each.session is not None for each in servers)
    majority = len(servers) // 2 + 1
    why = (
        f'{serving} of {len(servers)} servers serve, {majority} are needed: '
        f'{max(0, serving - majority) or "no"} more may fail.'
    )
    return [_judge_server(each, serving > 0, why) for each in servers]


def _judge_server(server: Server, others: bool, why: str) -> finding.Finding:
    if server.session is None:
        what, advice = _not_serving(server)
        return common.not_serving(what, others, why, advice)
    report = server.report or status.ServerStatus()
    return common.judge_answer(
        server.address,
        ', '.join(filter(None, (report.mode, report.version))) or 'serves',
        server.session.latency,
        'the disk of its transaction log',
    )


def _not_serving(server: Server) -> tuple[str, str]:
    """Return why a server does not serve, and what to do."""
    address, reason = server.address, asking.reason(server.error)
    if server.mode == '':
        return (
            f'{address} runs, but is not part of the ensemble: it serves no '
            'client.',
            'Read its log. See that its myid and the server lines of its '
            'zoo.cfg are right, and that it reaches the other servers.',
        )
    if isinstance(server.error, status.ConnectionRejected):
        return f'{address} {zk_limits.TURNED_AWAY}', zk_limits.RAISE_LIMIT
    if isinstance(server.error, status.TLSError):
        return f'{address}: no TLS: {reason}.', zk_limits.CERTIFICATES
    if server.report is not None:
        return (
            f'{address} runs, but grants no session: {reason}.',
            'Read its log. Where it stands in [zookeeper] address, its '
            'clientPort must be named. If no server of the ensemble grants a '
            'session, restart the leader.',
        )
    return (
        f'{address} does not answer: {reason}.',
        common.reach_advice('[zookeeper] address'),
    )


def judge_ensemble(servers: Sequence[Server]) -> list[finding.Finding]:
    """Judge whether the servers are one ensemble."""
    apart = _apart(servers)
    if apart:
        return [
            finding.error(
                apart,
                common.APART,
                'Make them one ensemble, or name only the servers of one.',
            )
        ]
    modes = [each.mode for each in servers if each.mode]
    if 'leader' in modes:
        return [finding.ok(f'They are one ensemble: {common.counted(modes)}.')]
    if len(modes) == len(servers) and 'follower' in modes:
        return [
            finding.warning(
                'None of the servers is the leader.',
                'The ensemble has servers that [zookeeper] address does not '
                'name, or it is just electing one.',
                'Name all of them, so that a client can use any.',
            )
        ]
    return []


def _apart(servers: Sequence[Server]) -> str | None:
    """Return why the servers are not one ensemble, or None."""
    alone = _addresses(servers, 'standalone')
    if alone and len(servers) > 1:
        return f'{", ".join(alone)}: each stands alone.'
    leaders = _addresses(servers, 'leader')
    if len(leaders) > 1:
        return f'There are several leaders: {", ".join(leaders)}.'
    groups = {
        each.session.groups for each in servers if each.session is not None
    }
    if len(groups) > 1:
        return 'The servers do not have the same groups.'
    return None


def _addresses(servers: Sequence[Server], mode: str) -> list[str]:
    return [each.address for each in servers if each.mode == mode]
