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


"""A group of ten thousand, and many that join at once.

A thousand when NOVA_SERVICEGROUP_LONG is set; they all run on this machine.
"""

from collections.abc import Callable
import pathlib
import shutil
import tempfile
import time
import uuid

import pymemcache
from tooz.drivers import memcached as tooz_memcached
from tooz import utils

from nova_servicegroup import api
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.simulation import plan
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import command
from nova_servicegroup.tests.harness import memcached
from nova_servicegroup.tests.harness import process

MEMBERS = 10000
JOINING = 1000 if base.LONG else 200
LISTED_WITHIN = 10.0
#: What a member takes of a server, its place on the list included (bytes).
MEMORY = 500
PREFIX = tooz_memcached.MemcachedDriver.MEMBER_PREFIX
GROUP_PREFIX = tooz_memcached.MemcachedDriver.GROUP_PREFIX

CONFIG = """
[DEFAULT]
servicegroup_driver = mc
memcached_servers = {address}
service_down_time = 600
[memcached]
key_prefix = {prefix}
"""


class ScaleTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='servicegroup-'))
        self.addCleanup(shutil.rmtree, self.directory)
        self.server = memcached.Memcached(
            self.directory / 'memcached', options=('-c', '8192')
        )
        self.addCleanup(self.server.kill)
        self.server.start()
        self.prefix = uuid.uuid4().hex[:12]
        self.keys = keyspace.Keys(self.prefix)
        self.client = pymemcache.Client(('127.0.0.1', self.server.port))
        self.config = self.directory / 'nova.conf'
        self.config.write_text(
            CONFIG.format(address=self.server.address, prefix=self.prefix)
        )

    def test_many_join_ten_thousand_at_once(self) -> None:
        hosts = [f'compute{number:05d}' for number in range(MEMBERS)]
        self.fill(hosts)
        observer = api.API(self.make_conf(self.config.read_text()))
        self.addCleanup(observer.close)
        self.assertEqual(hosts, self.up(observer))
        self.storm(lambda late: self.up(observer) == sorted([*hosts, *late]))

    def test_many_join_an_empty_server_at_once(self) -> None:
        observer = api.API(self.make_conf(self.config.read_text()))
        self.addCleanup(observer.close)
        self.storm(lambda late: self.up(observer) == late)
        memory = self.client.stats()[b'bytes'] / JOINING
        self.measured('memory of a member', memory, unit='bytes')
        self.assertLess(memory, MEMORY)

    def storm(self, listed: Callable[[list[str]], bool]) -> None:
        """Have many join; measure how soon all are listed, at what cost."""
        late = [f'{plan.prefix()}{n:05d}' for n in range(1, JOINING + 1)]
        joining = process.Process(
            [
                *(command.PROGRAM, '--config-file', self.config, 'simulate'),
                *('--members', str(JOINING), '--processes', '10'),
                *('--group', 'compute', '--force', '--hold', '600'),
            ],
            self.directory / 'simulation',
        )
        self.addCleanup(joining.kill)
        before = self.traffic()
        joining.start()
        process.wait_until(
            lambda: 'seen up' in joining.tail(), 60, 0.02, 'they join'
        )
        begun = time.monotonic()
        process.wait_until(lambda: listed(late), 60, 0.2, 'all are listed')
        taken = time.monotonic() - begun
        traffic = [now - before[way] for way, now in self.traffic().items()]
        self.measured('all are listed', taken)
        self.measured('read and written by the server', *traffic, unit='MB')
        self.assert_within(taken, LISTED_WITHIN)

    def up(self, observer: api.API) -> list[str]:
        return [each.host for each in observer.get_all('compute') if each.up]

    def traffic(self) -> dict[bytes, float]:
        stats = self.client.stats()
        return {
            way: stats[way] / 1e6 for way in (b'bytes_read', b'bytes_written')
        }

    def fill(self, hosts: list[str]) -> None:
        """Put hosts on the lists, and make them alive, as tooz would."""
        shards: dict[bytes, dict[bytes, object]] = {
            shard: {} for shard in self.keys.shards('compute')
        }
        for host in hosts:
            member = self.keys.member('compute', host)
            shard = shards[self.keys.shard('compute', member)]
            shard[member.encode()] = {b'capabilities': None}
            self.client.set(PREFIX + member.encode(), b'token', flags=1)
        for name, members in shards.items():
            self.client.set(GROUP_PREFIX + name, utils.dumps(members), flags=2)
        self.client.set(self.keys.marker, b'marker', flags=1, noreply=False)
