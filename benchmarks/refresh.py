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

"""The time of a membership's refresh, compared with the client's bare call."""

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any

from benchmarks import keys as keys_
from benchmarks import nova
from benchmarks import records
from benchmarks import report
from benchmarks import rounds

_CHANGED = 'etcd, one has left'
_HEADERS = [
    'backend',
    'members',
    'bare call, ms (first decile)',
    'our refresh, ms (first decile)',
    'ratio',
    'operations',
    'timed out',
    'growth exponent, bare',
    'growth exponent, ours',
]
_NOTES = """What a process does once in a refresh_interval while no member
joins or leaves. The bare call of zk, etcd and redis is tooz's get_members;
that of mc is one get_many of the members' keys with tooz's client. Before each
turn of *etcd, one has left* a member leaves and rejoins, so that our etcd
driver reads the whole group; otherwise it reads only its count. The growth
exponent compares a line with the one above: 1 is linear. A refresh of ours
that timed out is counted, but also part of the figures, which then mean
little."""


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    sizes = (500, 1000) if quick else (1000, 10000, 30000, 100000)
    # The groups' names differ from those of the part is_up.
    members: dict[int, keys_.Etcd] = {}
    for size in sizes:
        stage.join(f'refresh{size}', size)
        members[size] = _join(stage, f'refresh{size}', records.hosts(size))
    rows: list[list[Any]] = []
    for name, bare in _READERS.items():
        above: list[Any] = []
        for size in sizes:
            changing = members[size] if name == _CHANGED else None
            count = 10 if quick else 30
            above = _row(stage, name, bare, size, above, count, changing)
            rows.append(above)
    return [
        report.Table(
            'refresh', 'Refresh of a membership', _HEADERS, rows, _NOTES
        )
    ]


def _join(stage: nova.Stage, group: str, hosts: Sequence[str]) -> keys_.Etcd:
    """Add members to redis and etcd; return those of etcd."""
    conf = stage.conf
    keys_.Redis(stage.redis, conf.redis.namespace, group).join(hosts)
    members = keys_.Etcd(stage.etcd, conf.etcd.namespace, group)
    members.join(hosts)
    return members


def _row(
    stage: nova.Stage,
    name: str,
    bare: Callable[[nova.Stage, str, int], Callable[[], int]],
    size: int,
    above: list[Any],
    count: int,
    changing: keys_.Etcd | None,
) -> list[Any]:
    group = f'refresh{size}'
    refresh = _Refresh(stage, name.partition(',')[0], group)
    calls = {'bare': bare(stage, group, size), 'ours': refresh}
    if [call() for call in calls.values()] != [size, size]:
        raise RuntimeError(f'{name}: not {size} members')

    def change() -> None:
        if changing is not None:
            changing.replace(records.hosts(size)[0])

    times = rounds.take_turns(calls, count, dict.fromkeys(calls, change))
    change()
    row = [
        name,
        size,
        *(1e3 * times.undisturbed(each) for each in ('bare', 'ours')),
        times.ratio('ours', 'bare'),
        rounds.operations(refresh),
        refresh.failures,
    ]
    return [*row, _growth(above, row, 2), _growth(above, row, 3)]


def _growth(above: list[Any], row: list[Any], column: int) -> float | None:
    if not above:
        return None
    return math.log(row[column] / above[column]) / math.log(row[1] / above[1])


class _Refresh:
    """A callable that refreshes this process's membership of a group.

    :ivar failures: how many refreshes failed
    """

    def __init__(self, stage: nova.Stage, name: str, group: str) -> None:
        from nova_servicegroup import api

        stage.conf.set_override('servicegroup_driver', name)
        driver: Any = api.API(stage.conf).driver
        # The mc driver reads only members that it was asked about.
        driver.view(group)
        self._observer = driver._reading.get()[group].observer
        self.failures = 0

    def __call__(self) -> int:
        self._observer._pace.due = -math.inf
        members = self._observer.refresh()
        self.failures += self._observer.error is not None
        return len(members)


def _zookeeper(stage: nova.Stage, group: str, size: int) -> Callable[[], int]:
    from nova_servicegroup.drivers.zk import kazoo_client as zookeeper

    coordinator = zookeeper.Settings(stage.conf).make(b'benchmark')
    coordinator.start()
    stage.callback(coordinator.stop)
    return lambda: len(coordinator.get_members(group.encode()).get())


def _etcd(stage: nova.Stage, group: str, size: int) -> Callable[[], int]:
    name = f'{stage.conf.etcd.namespace}:{group}'.encode()
    return _tooz(stage, f'etcd3+http://{stage.etcd.address}', name)


def _redis(stage: nova.Stage, group: str, size: int) -> Callable[[], int]:
    return _tooz(
        stage,
        f'redis://{stage.redis.address}',
        group.encode(),
        namespace=stage.conf.redis.namespace,
    )


def _tooz(
    stage: nova.Stage, url: str, group: bytes, **how: str
) -> Callable[[], int]:
    coordinator = _coordinator(stage, url, **how)
    return lambda: len(coordinator.get_members(group).get())


def _coordinator(stage: nova.Stage, url: str, **how: str) -> Any:
    """Start one of tooz's coordinators, until the end."""
    from tooz import coordination

    coordinator = coordination.get_coordinator(url, b'benchmark', **how)
    coordinator.start()
    stage.callback(coordinator.stop)
    return coordinator


def _memcached(stage: nova.Stage, group: str, size: int) -> Callable[[], int]:
    from nova_servicegroup.drivers.mc import keyspace
    from tooz.drivers import memcached as tooz

    url = f'memcached://{stage.our_memcached.address}'
    coordinator = _coordinator(stage, url)
    prefix = tooz.MemcachedDriver.MEMBER_PREFIX
    keys = keyspace.Keys(stage.conf.memcached.key_prefix)
    wanted = [
        prefix + keys.member(group, host).encode('ascii')
        for host in records.hosts(size)
    ]
    read = functools.partial(coordinator.client.get_many, wanted)
    return lambda: len(read())


#: Of each row's backend: what makes the bare call.
_READERS = {
    'zk': _zookeeper,
    'etcd': _etcd,
    _CHANGED: _etcd,
    'redis': _redis,
    'mc': _memcached,
}
