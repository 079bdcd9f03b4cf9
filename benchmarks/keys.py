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

"""Members of etcd and redis that consist only of their keys."""

from collections.abc import Iterable, Iterator, Sequence
import itertools
from typing import Any

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.tests.harness import etcd as etcd_
from nova_servicegroup.tests.harness import redis as redis_

#: Seconds after which members expire by default.
_LONG = 7200
#: The most puts in one transaction of etcd; for redis, in one pipeline.
_BATCH = 120
_CAPABILITIES = b'\x80'


class Etcd:
    """Members of one group in etcd, all with one lease.

    :param namespace: as the driver's option
    """

    def __init__(self, server: etcd_.Etcd, namespace: str, group: str) -> None:
        from nova_servicegroup.drivers.etcd import members

        self._server = server
        self._key = members.key(namespace, naming.escape(group).encode())
        self._keys: dict[str, bytes] = {}

    def join(self, hosts: Sequence[str]) -> None:
        """Add hosts to the group."""
        self._keys |= {
            host: self._key + naming.member_id(host) for host in hosts
        }
        if not self._server.keys(self._key):
            self._server.put(self._key, b'benchmark')
        self.expire(hosts, _LONG)

    def expire(self, hosts: Sequence[str], seconds: int) -> None:
        """Let hosts expire after so many seconds."""
        granted = self._server.ask('lease/grant', {'TTL': seconds})
        for some in _batches(hosts):
            puts = [
                {
                    'request_put': {
                        'key': etcd_.encode(self._keys[host]),
                        'value': etcd_.encode(_CAPABILITIES),
                        'lease': granted['ID'],
                    }
                }
                for host in some
            ]
            self._server.ask('kv/txn', {'success': puts}, 30.0)

    def replace(self, host: str) -> None:
        """Remove a host, and add it again with another id."""
        self._server.delete(self._keys[host])
        self.join([host])


class Redis:
    """Members of one group in redis.

    :param namespace: as the driver's option
    """

    def __init__(
        self, server: redis_.Redis, namespace: str, group: str
    ) -> None:
        import redis

        self._client = redis.Redis(port=server.port)
        self._prefix = namespace
        self._group = f'{namespace}_group:{naming.escape(group)}'
        self._ids: dict[str, bytes] = {}

    def join(self, hosts: Sequence[str]) -> None:
        """Add hosts to the group."""
        self._ids |= {host: naming.member_id(host) for host in hosts}
        # As tooz creates a group.
        self._client.hset(self._group, '__created__', b'1')
        for some in _batches(hosts):
            with self._client.pipeline(transaction=False) as pipe:
                for host in some:
                    pipe.set(self._key(host), b'1', ex=_LONG)
                    pipe.hset(self._group, self._ids[host], _CAPABILITIES)
                pipe.execute()

    def expire(self, hosts: Sequence[str], seconds: int) -> None:
        """Let hosts expire after so many seconds."""
        for some in _batches(hosts):
            with self._client.pipeline(transaction=False) as pipe:
                for host in some:
                    pipe.expire(self._key(host), seconds)
                pipe.execute()

    def _key(self, host: str) -> str:
        return f'{self._prefix}_beats:{self._ids[host].decode()}'


def _batches(hosts: Iterable[str]) -> Iterator[list[Any]]:
    rest = iter(hosts)
    while some := [*itertools.islice(rest, _BATCH)]:
        yield some
