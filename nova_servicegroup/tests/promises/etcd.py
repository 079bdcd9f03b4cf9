# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""etcd as its clients see it: keys, leases, revisions, transactions."""

from collections.abc import Callable
import dataclasses
import math
import random
from typing import Any

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.etcd import members
from nova_servicegroup import exceptions
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import renewals

KEY = members.key('nova_servicegroup', b'compute')
#: Seconds between two looks for leases that have expired.
_TICK = 0.5


@dataclasses.dataclass
class Key:
    """A key; revisions are of its creation."""

    value: str
    created: int
    lease: int


class Cluster:
    """The servers.

    :ivar away: they do not answer: at all, or with an error
    :ivar latency: seconds that an answer takes
    """

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self.away: str | None = None
        self.latency = 0.002
        self._revision = 1
        # Somebody has joined long ago.
        self._keys = {members.encode(KEY): Key('marker', 1, 0)}
        self._leases: dict[int, float] = {}
        self._next_lease = 0

    def grant(self) -> int:
        """Return a new lease."""
        self._next_lease += 1
        self._leases[self._next_lease] = kernel.monotonic() + self.ttl
        return self._next_lease

    def keep_alive(self, lease: int | None) -> bool:
        """Renew a lease; tell whether it is there."""
        self._expire()
        if lease not in self._leases:
            return False
        self._leases[lease] = kernel.monotonic() + self.ttl
        return True

    def revoke(self, lease: int | None) -> None:
        """End a lease, and the keys that it has."""
        if lease is not None and self._leases.pop(lease, None) is not None:
            self._delete(
                [
                    name
                    for name, key in self._keys.items()
                    if key.lease == lease
                ]
            )

    def empty(self) -> None:
        """Delete all keys."""
        self._delete(list(self._keys))

    def wipe(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._leases.clear()
        self._revision = 1

    def promote(self) -> None:
        """Elect a leader. It gives all leases their time anew."""
        for each in self._leases:
            self._leases[each] = kernel.monotonic() + self.ttl

    def end(self, name: bytes, lease: int | None) -> None:
        """Replace a member by a mark, as an agent does."""
        self._expire()
        if lease in self._leases and members.encode(KEY + name) in self._keys:
            mark = naming.marked(name, condition.ENDED_MARK)
            self.transact(members.end(KEY, name, lease, mark))

    def hosts(self, marked: bool = False) -> set[str]:
        """Return the hosts whose keys are there, or whose marks are."""
        self._expire()
        found = members._ids(self._range({}), len(KEY))
        return {
            naming.host_of(each.partition(naming.MARK)[0])
            for each in found
            if marked is (naming.MARK in each)
            and not each.endswith(condition.ENDED_MARK.encode())
        }

    def remove(self, name: bytes) -> None:
        """Delete a key, if it is there."""
        key = members.encode(name)
        self._delete([key] if key in self._keys else [])

    def transact(self, txn: Any) -> Any:
        """Answer a transaction."""
        self._expire()
        succeeded = all(map(self._holds, txn['compare']))
        todo = txn.get('success' if succeeded else 'failure', ())
        before = self._revision
        answers = [self._do(each, before + 1) for each in todo]
        return {'succeeded': succeeded, 'responses': answers}

    def _holds(self, compare: Any) -> bool:
        key = self._keys.get(compare['key'])
        if compare['target'] == 'LEASE':
            return key is not None and key.lease == compare['lease']
        if compare['target'] == 'VALUE':
            return key is not None and key.value == compare['value']
        greater = compare.get('result') == 'GREATER'
        return (key is not None) == greater

    def _do(self, request: Any, revision: int) -> Any:
        ((what, asked),) = request.items()
        if what == 'request_txn':
            return {'response_txn': self.transact(asked)}
        if what == 'request_put':
            self._put(asked, revision)
            return {'response_put': {}}
        if what == 'request_delete_range':
            self._delete([asked['key']])
            return {'response_delete_range': {}}
        return {'response_range': self._range(asked)}

    def _put(self, asked: Any, revision: int) -> None:
        lease = asked.get('lease', 0)
        if lease and lease not in self._leases:
            raise exceptions.BackendError('etcd', 'lease not found')
        self._revision = revision
        old = self._keys.get(asked['key'])
        self._keys[asked['key']] = Key(
            asked['value'], old.created if old else revision, lease
        )

    def _range(self, asked: Any) -> Any:
        """Answer as etcd does: zeros are left out, and numbers are texts."""
        # There is only one group.
        every = 'range_end' in asked or not asked
        found = {
            name: key
            for name, key in self._keys.items()
            if every or name == asked['key']
        }
        answer: dict[str, Any] = {'header': {'revision': str(self._revision)}}
        if found:
            answer['count'] = str(len(found))
        first = asked.get('min_create_revision', 0)
        kvs = [
            {'key': name, 'value': key.value}
            for name, key in found.items()
            if key.created >= first
        ]
        if kvs and not asked.get('count_only'):
            answer['kvs'] = kvs
        return answer

    def _delete(self, names: list[str]) -> None:
        for each in names:
            del self._keys[each]
        if names:
            self._revision += 1

    def _expire(self) -> None:
        if self.away:
            return
        now = math.floor(kernel.monotonic() / _TICK) * _TICK
        for lease, expires in list(self._leases.items()):
            if expires <= now:
                self.revoke(lease)


class Member(renewals.Member):
    """See renewals.Member."""

    def __init__(
        self, host: str, cluster: Cluster, domain: str | None
    ) -> None:
        self.interval = min(10.0, cluster.ttl / 3)
        self._host = host
        self._domain = domain
        self._cluster = cluster
        self._lease: int | None = None
        self._id = b''
        self._marked: set[bytes] = set()

    def _beat(self) -> bool:
        if self._cluster.away:
            return False
        if not self._cluster.keep_alive(self._lease):
            self._lease = self._cluster.grant()
            self._id = naming.member_id(self._host, self._domain)
        self._cluster.transact(members.join(KEY, self._id, self._lease, b''))
        if self.mark is not None or self._marked:
            self._keep_mark()
        return True

    def _keep_mark(self) -> None:
        wanted = set()
        if self.mark is not None:
            name = naming.marked(self._id, self.mark)
            self._cluster.transact(members.join(KEY, name, self._lease, b''))
            wanted.add(name)
        for each in self._marked - wanted:
            self._cluster.remove(KEY + each)
        self._marked = wanted

    def _leave(self) -> None:
        """See renewals.Member."""
        if not self._cluster.away:
            self._cluster.revoke(self._lease)

    def ending(self) -> Callable[[], bool]:
        """See world.Backend."""
        name, lease = self._id, self._lease

        def end() -> bool:
            if not self._cluster.away:
                self._cluster.end(name, lease)
            return not self._cluster.away

        return end

    def start(self) -> None:
        """See renewals.Member."""
        self.working, self._lease = True, None
        kernel.current().spawn(self._beat)


class Client(kernel.Double):
    """etcd3gw's, with a question that is bounded from when it was put."""

    def __init__(self, cluster: Cluster, wait: float) -> None:
        self._cluster = cluster
        self._end = kernel.monotonic() + wait

    def transaction(self, txn: Any) -> Any:
        """See etcd3gw."""
        self.travel()
        return self._cluster.transact(txn)

    def travel(self) -> None:
        """Take the time that an answer takes."""
        left = max(0.0, self._end - kernel.monotonic())
        mute = self._cluster.away == 'mute'
        kernel.sleep(left if mute else min(left, self._cluster.latency))
        if self._cluster.away or kernel.monotonic() >= self._end:
            raise exceptions.BackendUnreachable('etcd', 'away')


class Result(kernel.Double):
    """An answer that comes later."""

    def __init__(self, call: Any, answered: Any) -> None:
        self._call = call
        self._answered = answered
        self._found: Any = None
        self._over = False
        kernel.current().spawn(self._run)

    def _run(self) -> None:
        try:
            self._found = self._call()
        except Exception as error:
            self._found = error
        self._over = True

    def done(self) -> bool:
        """Tell whether it is there."""
        if self._over and not isinstance(self._found, Exception):
            self._answered()
        return self._over

    def get(self) -> Any:
        """Return the answer."""
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Coordinator(kernel.Double):
    """That of a process that reads.

    :param answered: called when the servers have answered
    """

    def __init__(self, cluster: Cluster, wait: float, answered: Any) -> None:
        self._cluster = cluster
        self._wait = wait
        self._answered = answered

    def start(self) -> None:
        """Get a lease."""
        Client(self._cluster, self._wait).travel()

    def stop(self) -> None:
        """Give it up."""

    def read(self, group: members.Group) -> Result:
        """Read a group, with the driver's own code."""
        client = Client(self._cluster, self._wait)
        return Result(lambda: group.read(client), self._answered)

    def get_member_capabilities(self, group: bytes, member: bytes) -> Any:
        """Return what a member says of itself, later."""
        return Result(lambda: None, lambda: None)


class Backend(renewals.Backend):
    """One cluster for all."""

    def __init__(self, wanted: plan.Plan, chance: random.Random) -> None:
        super().__init__(wanted, chance)
        ttl = wanted.settings['session']
        self.bound = ttl + 2 * _TICK
        self.rejoin = 1.5 * ttl
        self.cluster = Cluster(ttl)
        self._members = [
            Member(name, self.cluster, self.domains.get(name))
            for name in self.names
        ]
        for each in self._members:
            kernel.current().spawn(each.run, at=chance.uniform(0, 0.3))

    def prepare(self, driver: Any, asker: Any, known: Any) -> None:
        """See world.Backend."""

        def answered() -> None:
            known.answered(kernel.monotonic())

        wait = driver._settings.wait
        connection = driver._reading.get().backend.connection
        connection._factory.make = lambda member_id: Coordinator(
            self.cluster, wait, answered
        )

    def fault(self, event: plan.Event) -> None:
        """See world.Backend."""
        servers = self.cluster
        if event.what == 'slow':
            servers.latency = self.chance.choice((0.1, 0.6, 1.5))
            kernel.sleep(event.size)
            servers.latency = 0.002
        elif event.what == 'empty':
            servers.empty()
        else:
            servers.away = 'mute' if event.what == 'mute' else 'gone'
            kernel.sleep(event.size)
            servers.away = None
            if event.what == 'wipe':
                servers.wipe()
            # One that was only mute lets leases expire that are overdue.
            if event.what != 'mute':
                servers.promote()

    def marked(self) -> set[str]:
        """See world.Backend."""
        return self.cluster.hosts(marked=True)

    def registered(self) -> set[str]:
        """See world.Backend."""
        return self.cluster.hosts()

    def is_well(self) -> bool:
        """See world.Backend."""
        # A reading takes up to three answers.
        limit = self.plan.options['read_timeout'] / 6
        return not (self.cluster.away or self.cluster.latency > limit)
