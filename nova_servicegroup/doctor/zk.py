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


"""Are the ZooKeeper servers well, each and together?"""

from collections.abc import Sequence
import dataclasses
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import zk_limits
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.zk import status
from nova_servicegroup import exceptions
from nova_servicegroup import opts

NAME = 'zookeeper'

#: Seconds that a server may take to grant a session, and to answer a word.
_SESSION_WAIT = 4.0
_WORD_WAIT = 2.0

_OK = functools.partial(finding.Finding, finding.Level.OK, NAME)
_ERROR = functools.partial(finding.Finding, finding.Level.ERROR, NAME)


@dataclasses.dataclass(frozen=True)
class Server:
    """What is known of one server.

    :ivar session: what was seen in a session; None: it granted none
    :ivar words: what it answers to four-letter words; None: nothing
    :ivar trouble: why there was no session; None: there was
    """

    address: str
    session: status.Session | None = None
    words: status.Words | None = None
    trouble: Exception | None = None

    @property
    def mode(self) -> str | None:
        """See status.Words."""
        return None if self.words is None else self.words.mode


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    if subject.backend != base.ZOOKEEPER:
        return []
    conf = subject.conf
    servers = look(conf)
    return [
        *judge_servers(servers),
        *judge_ensemble(servers),
        *zk_limits.judge_sessions(
            NAME,
            granted(servers),
            opts.session_timeout(conf),
            opts.service_down_time(conf),
        ),
        *(
            [_OK(zk_limits.TLS)]
            if conf.zookeeper.use_tls
            else zk_limits.judge_connections(
                NAME, {each.address: each.words for each in servers}
            )
        ),
    ]


def look(conf: cfg.ConfigOpts) -> list[Server]:
    """Ask all servers at once.

    :raises ConfigurationError: an option cannot be used
    """
    answers = asking.ask_each(
        functools.partial(_look_at, conf),
        status.addresses(conf),
        _WORD_WAIT + _SESSION_WAIT + 1.0,
    )
    return [
        answer.value or Server(address, trouble=answer.error)
        for address, answer in answers.items()
    ]


def _look_at(conf: cfg.ConfigOpts, address: str) -> Server:
    """Ask one server. Of two errors, the one of the words is the plainer."""
    words, trouble = _words(conf, address)
    if trouble is not None and not isinstance(
        trouble, exceptions.BackendTimeout
    ):
        return Server(address, trouble=trouble)
    try:
        session = status.session(conf, address, _SESSION_WAIT)
    except exceptions.BackendError as error:
        return Server(address, None, words, trouble or error)
    return Server(address, session, words)


def _words(
    conf: cfg.ConfigOpts, address: str
) -> tuple[status.Words | None, exceptions.BackendError | None]:
    try:
        if conf.zookeeper.use_tls:
            status.handshake(conf, address, _WORD_WAIT)
            return None, None
        return status.words(address, _WORD_WAIT), None
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
    return [_judge_server(each, serving, len(servers)) for each in servers]


def _judge_server(server: Server, serving: int, all_: int) -> finding.Finding:
    if server.session is not None:
        return _judge_latency(server, server.session.latency)
    level = finding.Level.WARNING if serving else finding.Level.ERROR
    what, advice = _trouble(server)
    return finding.Finding(level, NAME, what, _loss(serving, all_), advice)


def _judge_latency(server: Server, latency: float) -> finding.Finding:
    words = server.words or status.Words()
    said = ', '.join(filter(None, (words.mode, words.version))) or 'serves'
    what = f'{server.address}: {said}, answered in {1000 * latency:.1f} ms.'
    if latency < finding.SLOW:
        return _OK(what)
    return finding.Finding(
        finding.Level.WARNING,
        NAME,
        what,
        'That is slow: heartbeats and verdicts wait for it.',
        'Look at the load of the server and of this host, at the disk of its '
        'transaction log, and at the network.',
    )


def _loss(serving: int, all_: int) -> str:
    if not serving:
        return finding.NOBODY
    majority = all_ // 2 + 1
    more = max(0, serving - majority)
    return (
        f'{serving} of {all_} servers serve, {majority} are needed: '
        f'{more or "no"} more may fail.'
    )


def _trouble(server: Server) -> tuple[str, str]:
    """Return what is wrong with a server, and what to do."""
    address = server.address
    if server.mode == '':
        return (
            f'{address} runs, but is not part of the ensemble: it serves '
            'nobody.',
            'Read its log. See that its myid and the server lines of its '
            'zoo.cfg are right, and that it reaches the other servers.',
        )
    if isinstance(server.trouble, status.TurnedAway):
        return f'{address} {zk_limits.TURNED_AWAY}', zk_limits.RAISE_IT
    reason = getattr(server.trouble, 'reason', str(server.trouble))
    if isinstance(server.trouble, status.Untrusted):
        return f'{address}: no TLS: {reason}.', zk_limits.TRUST_IT
    if server.words is not None:
        return (
            f'{address} runs, but grants no session: {reason}.',
            'Read its log. Where it stands in [zookeeper] address, its '
            'clientPort must be named.',
        )
    return (
        f'{address} does not answer: {reason}.',
        'See that the server runs, that this host may reach it, and that '
        '[zookeeper] address is right.',
    )


def judge_ensemble(servers: Sequence[Server]) -> list[finding.Finding]:
    """Judge whether the servers are one ensemble."""
    modes = {each.address: each.mode for each in servers if each.mode}
    counts = {mode: _of(modes, mode) for mode in modes.values()}
    strangers = _strangers(servers, counts)
    if strangers:
        return [strangers]
    if 'leader' in counts:
        said = finding.counted(list(modes.values()))
        return [_OK(f'They are one ensemble: {said}.')]
    if len(modes) == len(servers) and 'follower' in counts:
        return [
            finding.Finding(
                finding.Level.WARNING,
                NAME,
                'None of the servers is the leader.',
                'The ensemble has servers that [zookeeper] address does not '
                'name, or it is just electing one.',
                'Name all of them, so that a client can use any.',
            )
        ]
    return []


def _of(modes: dict[str, str], mode: str) -> list[str]:
    return [address for address, each in modes.items() if each == mode]


def _strangers(
    servers: Sequence[Server], counts: dict[str, list[str]]
) -> finding.Finding | None:
    """Tell whether some servers do not belong to the others."""
    apart = functools.partial(
        _ERROR,
        why=finding.APART,
        advice='Make them one ensemble, or name only the servers of one.',
    )
    alone, leaders = counts.get('standalone', []), counts.get('leader', [])
    if alone and len(servers) > 1:
        return apart(f'{", ".join(alone)}: each stands alone.')
    if len(leaders) > 1:
        return apart(f'There are several leaders: {", ".join(leaders)}.')
    groups = {
        each.session.groups for each in servers if each.session is not None
    }
    if len(groups) > 1:
        return apart('The servers do not have the same groups.')
    return None
