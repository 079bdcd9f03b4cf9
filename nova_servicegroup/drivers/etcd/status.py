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

"""What each etcd server says of itself, for operators' checks."""

from collections.abc import Callable, Iterator, Mapping
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

#: Characters of a text of the server that are shown.
_SHOWN = 100


class Words(NamedTuple):
    """What a server says that need not ask the others.

    :ivar leader: the id of the one that it follows; empty: it knows none
    :ivar alarms: of the cluster, and what is wrong with this server
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
        """``leader``, ``follower``, ``learner``; empty: it knows no leader."""
        if self.learner:
            return 'learner'
        if not self.leader:
            return ''
        return 'leader' if self.leader == self.member else 'follower'


class Served(NamedTuple):
    """What a server answers with the consent of the majority.

    :ivar latency: seconds that a question took
    :ivar members: how many servers the cluster has; None: it does not tell
    """

    latency: float
    members: int | None


def addresses(conf: cfg.ConfigOpts) -> list[str]:
    """Return the configured servers, each as host:port.

    :raises ConfigurationError: an option cannot be used
    """
    return configuration.Settings(conf).addresses


def way(conf: cfg.ConfigOpts) -> tuple[str | None, bool, bool]:
    """Return the user, whether there is TLS, and a certificate of ours."""
    place = configuration.Settings(conf).place
    return place.username, place.secure, bool(place.files.cert_file)


def words(conf: cfg.ConfigOpts, address: str, wait: float) -> Words:
    """Ask one server what it knows by itself.

    :param wait: seconds, at most
    :raises NoAccess: it wants a user, or another password
    :raises BackendError: it does not answer
    """
    place = configuration.Settings(conf).place
    # A token takes the majority.
    stranger = place._replace(username=None, password=None)
    try:
        return _words(stranger, address, wait)
    except exceptions.NoAccess:
        return _words(place, address, wait)


def serve(conf: cfg.ConfigOpts, address: str, wait: float) -> Served:
    """Have one server read a group, as observers do.

    :param wait: seconds, at most
    :raises NoAccess: it wants a user, or another password
    :raises BackendError: it does not answer, or knows no majority
    """
    place = configuration.Settings(conf).place
    group = {'key': members.encode(_group(conf)), 'count_only': True}
    with _asking(place, address, wait) as ask:
        # The first question also connects.
        ask('kv/range', group)
        begun = time.monotonic()
        ask('kv/range', group)
        latency = time.monotonic() - begun
        return Served(latency, _size(ask))


def join(conf: cfg.ConfigOpts, address: str, wait: float) -> int:
    """Get a lease, and see whether a member could be written with it.

    Nothing is written: the condition for it is never true.

    :returns: the seconds for which a lease lasts
    :raises BackendError: a member cannot join
    """
    place = configuration.Settings(conf).place
    with _asking(place, address, wait) as ask:
        granted = ask('lease/grant', {'TTL': conf.etcd.ttl})
        lease = {'ID': granted['ID']}
        try:
            ask('kv/txn', _never(_group(conf), int(granted['ID'])))
        finally:
            with contextlib.suppress(exceptions.BackendError):
                ask('lease/revoke', lease)
        return int(granted['TTL'])


_Ask = Callable[[str, Mapping[str, Any]], Any]


@contextlib.contextmanager
def _asking(place: gateway.Place, address: str, wait: float) -> Iterator[_Ask]:
    """Lend what asks one server, within some seconds for all questions.

    :raises BackendError: whatever the answers lead to
    """
    alone = gateway.Gateway(place._replace(servers=[address]), wait)
    with (
        requests.translated(f'etcd {address}'),
        contextlib.closing(alone) as session,
    ):
        session.deadline = requests.Deadline(wait)
        yield lambda path, question: session.post(
            f'http:///v3/{path}', json=question
        ).json()


def _words(place: gateway.Place, address: str, wait: float) -> Words:
    with _asking(place, address, wait) as ask:
        said = ask('maintenance/status', {})
        leader = said.get('leader', '0')
        return Words(
            escaping.printable(said['version'], _SHOWN),
            str(said['header']['member_id']),
            str(said['header']['cluster_id']),
            '' if leader == '0' else str(leader),
            bool(said.get('isLearner')),
            tuple(
                escaping.printable(each, _SHOWN)
                for each in said.get('errors', ())
            ),
            int(said.get('dbSize', 0)),
        )


def _size(ask: _Ask) -> int | None:
    """Return the number of servers. A user may not be allowed to see it."""
    try:
        return len(ask('cluster/member/list', {})['members'])
    except exceptions.BackendError:
        return None


def _group(conf: cfg.ConfigOpts) -> bytes:
    return members.key(conf.etcd.namespace, b'compute')


def _never(group: bytes, lease: int) -> Any:
    """Return the transaction of a member that joins, made harmless."""
    key = members.encode(group + naming.member_id('doctor'))
    put = {'key': key, 'value': members.encode(b''), 'lease': lease}
    return {
        'compare': [
            {'key': key, 'target': 'VERSION', 'version': math.floor(1e15)}
        ],
        'success': [{'request_put': put}],
        'failure': [],
    }
