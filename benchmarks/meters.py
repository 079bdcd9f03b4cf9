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

"""The meters of servers and of the kernel, and their differences."""

import contextlib
import os
import pathlib
import time
import urllib.request

from nova_servicegroup.tests.harness import etcd
from nova_servicegroup.tests.harness import memcached
from nova_servicegroup.tests.harness import redis
from nova_servicegroup.tests.harness import server
from nova_servicegroup.tests.harness import zookeeper

_TICKS = os.sysconf('SC_CLK_TCK')

#: Seconds that a busy server may take to report its counters.
_PATIENCE = 20.0

#: The counts of meters so far, by name.
Reading = dict[str, float]


def cpu(leader: int | None) -> float:
    """Return the seconds of CPU of a process and those in its session."""
    total = 0
    for place in pathlib.Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            fields = place.read_text().rpartition(')')[2].split()
            if int(fields[3]) == leader:
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def cores(leader: int | None, seconds: float) -> float:
    """Measure how many cores such processes use in so many seconds."""
    before = cpu(leader)
    time.sleep(seconds)
    return (cpu(leader) - before) / seconds


def memcached_operations(one: memcached.Memcached) -> float:
    """Return how many keys were read and written on a server."""
    answer = server.ask(one.port, b'stats\r\n', _PATIENCE)
    stats = _fields(answer.decode(), 1)
    return sum(stats[f'cmd_{each}'] for each in ('get', 'set', 'touch'))


def zookeeper_operations(one: zookeeper.ZooKeeper) -> float:
    """Return how many requests a server has received, pings among them."""
    return _fields(one.command('mntr'), 0)['zk_packets_received']


def etcd_operations(one: etcd.Etcd) -> float:
    """Return how many messages a server has received."""
    url = f'http://{one.address}/metrics'
    with urllib.request.urlopen(url, timeout=_PATIENCE) as found:
        text = found.read().decode()
    return sum(
        float(line.rpartition(' ')[2])
        for line in text.splitlines()
        if line.startswith('grpc_server_msg_received_total')
    )


def redis_operations(one: redis.Redis) -> float:
    """Return how many commands a server has processed."""
    stats = one.command('INFO', 'stats', timeout=_PATIENCE)
    return float(stats.partition('total_commands_processed:')[2].split()[0])


def difference(after: Reading, before: Reading) -> Reading:
    """Return what was counted between two readings."""
    return {name: after[name] - before[name] for name in before}


def quantile(values: list[float], share: float) -> float | None:
    """Return a quantile, by nearest rank, or None if there are no values."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[min(last, int(share * len(ordered)))] if ordered else None


def _fields(text: str, first: int) -> Reading:
    """Parse lines of a name and a number, after so many other words."""
    found: Reading = {}
    for line in text.splitlines():
        words = line.split()[first:]
        with contextlib.suppress(ValueError):
            if len(words) == 2:
                found[words[0]] = float(words[1])
    return found
