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

"""Asks each etcd server about itself, for the doctor."""

from collections.abc import Iterator, Mapping
import contextlib
import math
import time
from typing import Any, NamedTuple

from oslo_config import cfg

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.etcd import configuration
from nova_servicegroup.drivers.etcd import gateway
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup import escaping
from nova_servicegroup import exceptions

#: Characters of a text of a server that are shown, at most.
_SHOWN = 100


class ServerStatus(NamedTuple):
    """The status of a server, which it knows without the other servers.

    :ivar leader: id of the leader that it follows, or empty if it knows none
    :ivar alarms: alarms of the cluster, and errors of this server
    :ivar size: of its database, in bytes
    """

    version: str
    member: str
    cluster: str
    leader: str
    learner: bool
    alarms: tuple[str, ...]
    size: int

    @property
    def mode(self) -> str:
        """``leader``, ``follower``, ``learner``; empty without a leader."""
        if self.learner:
            return 'learner'
        if not self.leader:
            return ''
        return 'leader' if self.leader == self.member else 'follower'


class GroupRead(NamedTuple):
    """The answers of a server that need the majority of the cluster.

    :ivar latency: seconds that a question took
    :ivar members: number of servers in the cluster, or None if unknown
    """

    latency: float
    members: int | None


def addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the configured servers, each as host:port.

    :raises ConfigurationError: an option cannot be used
    """
    return configuration.Settings(conf).addresses


def connection_settings(conf: cfg.ConfigOpts) -> tuple[str | None, bool, bool]:
    """Return the user, whether TLS is used, and whether with a certificate."""
    used = configuration.Settings(conf).endpoints
    return used.username, used.secure, bool(used.files.cert_file)


def read_status(
    conf: cfg.ConfigOpts, address: str, wait: float
) -> ServerStatus:
    """Ask one server for its own status.

    :param wait: seconds, at most
    :raises NoAccess: it needs a user, or another password
    :raises BackendError: it does not answer
    """
    try:
        # Authentication needs the majority.
        return _read_status(conf, address, wait, anonymous=True)
    except exceptions.NoAccess:
        return _read_status(conf, address, wait, anonymous=False)


def read_group(conf: cfg.ConfigOpts, address: str, wait: float) -> GroupRead:
    """Read a group from one server, as readers do.

    :param wait: seconds, at most
    :raises NoAccess: it needs a user, or another password
    :raises BackendError: it does not answer, or has no majority
    """
    group = {'key': members.encode(_group(conf)), 'count_only': True}
    with _asking(conf, address, wait) as server:
        # The first question also connects.
        server.ask('kv/range', group)
        begun = time.monotonic()
        server.ask('kv/range', group)
        latency = time.monotonic() - begun
        return GroupRead(latency, _size(server))


def join(conf: cfg.ConfigOpts, address: str, wait: float) -> int:
    """Get a lease, and check that a member could be written with it.

    Nothing is written, because the condition of the write is never true.

    :returns: the seconds that the server grants for a lease
    :raises BackendError: a member cannot join
    """
    with _asking(conf, address, wait) as server:
        granted = server.ask('lease/grant', {'TTL': conf.etcd.ttl})
        lease = {'ID': granted['ID']}
        try:
            server.ask('kv/txn', _never(_group(conf), int(granted['ID'])))
        finally:
            with contextlib.suppress(exceptions.BackendError):
                server.ask('lease/revoke', lease)
        return int(granted['TTL'])


class _Server:
    """One server that is asked."""

    def __init__(self, session: gateway.Gateway) -> None:
        self._session = session

    def ask(self, path: str, question: Mapping[str, Any]) -> Any:
        """Return the answer to a question.

        :raises BackendError: there is none
        """
        url = f'http:///v3/{path}'
        return self._session.post(url, json=question).json()


@contextlib.contextmanager
def _asking(
    conf: cfg.ConfigOpts, address: str, wait: float, anonymous: bool = False
) -> Iterator[_Server]:
    """Provide one server to ask.

    :param wait: seconds for all questions together
    :raises BackendError: instead of any error that answers lead to
    """
    used = configuration.Settings(conf).endpoints._replace(servers=[address])
    if anonymous:
        used = used._replace(username=None, password=None)
    with (
        requests.translated(f'etcd {address}'),
        contextlib.closing(gateway.Gateway(used, wait)) as session,
    ):
        session.deadline = requests.Deadline(wait)
        yield _Server(session)


def _read_status(
    conf: cfg.ConfigOpts, address: str, wait: float, anonymous: bool
) -> ServerStatus:
    with _asking(conf, address, wait, anonymous) as server:
        status = server.ask('maintenance/status', {})
        leader = status.get('leader', '0')
        return ServerStatus(
            escaping.printable(status['version'], _SHOWN),
            str(status['header']['member_id']),
            str(status['header']['cluster_id']),
            '' if leader == '0' else str(leader),
            bool(status.get('isLearner')),
            tuple(
                escaping.printable(each, _SHOWN)
                for each in status.get('errors', ())
            ),
            int(status.get('dbSize', 0)),
        )


def _size(server: _Server) -> int | None:
    """Return the number of servers, or None if the user may not read it."""
    try:
        return len(server.ask('cluster/member/list', {})['members'])
    except exceptions.BackendError:
        return None


def _group(conf: cfg.ConfigOpts) -> bytes:
    return members.key(conf.etcd.namespace, b'compute')


def _never(group: bytes, lease: int) -> Any:
    """Return a transaction that would write a member, and never does."""
    key = members.encode(group + naming.member_id('doctor'))
    put = {'key': key, 'value': members.encode(b''), 'lease': lease}
    return {
        'compare': [
            {'key': key, 'target': 'VERSION', 'version': math.floor(1e15)}
        ],
        'success': [{'request_put': put}],
        'failure': [],
    }
