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

"""Servers that send a byte now and then, for ever, hold nobody."""

from collections.abc import Callable, Sequence
import gzip
import http.server
import json
import random
import struct
import subprocess
import sys
import threading
import time
from typing import Any
from unittest import mock

from nova_servicegroup.drivers.common import requests
from nova_servicegroup.drivers.common import sessions
from nova_servicegroup.drivers.common import settings as common_settings
from nova_servicegroup.drivers.etcd import configuration as etcd
from nova_servicegroup.drivers.etcd import gateway
from nova_servicegroup.drivers.mc import configuration as mc
from nova_servicegroup.drivers.redis import configuration as redis
from nova_servicegroup.drivers.redis import status as redis_status
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.drivers.zk import status as zk_status
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import drip

#: How many times the time that is needed a busy machine has.
_BUSY = 4
URL = 'http://x/v3/kv'
HTTP = b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n'
#: What redis and memcached begin a long text with.
BULK, VALUE = b'$100000\r\n', b'VALUE k 2 100000\r\n'
#: ZooKeeper says how long an answer is; this one grants a session.
LENGTH = struct.pack('>i', 100000)
_GRANTED = struct.pack('>iiqi', 0, 4000, 77, 16) + b'p' * 16 + b'\0'
GRANTED = struct.pack('>i', len(_GRANTED)) + _GRANTED

#: The beginning of a long greeting of TLS.
HANDSHAKE = b'\x16\x03\x03\x3f\xff\x02\x00\x3f\xf0'
#: Asks an etcd, with TLS.
GREEN = """
import eventlet
eventlet.monkey_patch()
import sys
from nova_servicegroup.drivers.common import tls
from nova_servicegroup.drivers.etcd import gateway
files = tls.Files(None, None, None)
endpoints = gateway.Endpoints(sys.argv[1:], True, files, None, None)
with eventlet.Timeout(5):
    try:
        gateway.Gateway(endpoints, 1.0).post('http://x/v3/kv')
    except Exception as error:
        print(type(error).__name__, end='')
"""


class TestCase(base.TestCase):
    def serve(self, begun: bytes, well: Sequence[bytes] = ()) -> drip.Drip:
        made = drip.Drip(begun, well)
        self.addCleanup(made.close)
        return made

    def within(self, most: float, call: Callable[..., Any], *args: Any) -> Any:
        """Return what a call returns or raises within some seconds.

        A busy machine has more: what is held is held for ever here.
        """
        ended: list[Any] = []

        def run() -> None:
            try:
                ended.append(call(*args))
            except Exception as error:
                ended.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(_BUSY * most)
        self.assertEqual(1, len(ended), 'it is held')
        return ended[0]

    def assert_fails(
        self, most: float, call: Callable[..., Any], *args: Any
    ) -> Exception:
        """Check that a call fails within some seconds; return why."""
        error = self.within(most, call, *args)
        self.assertIsInstance(error, exceptions.BackendError)
        return error

    def assert_lets_go(self, server: drip.Drip, most: float) -> None:
        """Check that nobody awaits the server's end after some seconds."""
        end = time.monotonic() + _BUSY * most
        while server.held and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(0, server.held)

    def ask(self, settings: common_settings.Settings) -> Any:
        """Ask as a reader does, once it could connect, or could not."""
        connection = settings.reader_connection()
        self.addCleanup(connection.discard)
        used = sessions.Sessions(connection, 'compute')
        with used.use(requests.Deadline(5.0)) as session:
            return session.ask('groups', session.coordinator.get_groups)


class _Well(http.server.BaseHTTPRequestHandler):
    """An etcd that has nothing."""

    protocol_version = 'HTTP/1.1'

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers['Content-Length']))
        said = json.dumps({'ID': '7', 'TTL': '10'}).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: Any) -> None:
        pass


class EtcdTest(TestCase):
    def settings(self, servers: str) -> etcd.Settings:
        return etcd.Settings(
            self.make_conf(f'[etcd]\naddress = {servers}\nttl = 3\n')
        )

    def well(self) -> str:
        """Return the address of a server that answers."""
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Well)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return '{}:{}'.format(*server.server_address[:2])

    def test_a_question_fails_in_its_time(self) -> None:
        for begun in (HTTP, HTTP[:20], b'HTTP/1.1 100 Continue\r\n\r\n' * 9):
            settings = self.settings(self.serve(begun).address)
            posting = gateway.Gateway(settings.endpoints, 1.0)
            error = self.assert_fails(1.5, posting.post, URL)
            self.assertIsInstance(error, exceptions.BackendUnreachable)
            posting.close()

    def test_the_next_server_is_asked_in_the_same_time(self) -> None:
        server = self.serve(HTTP)
        settings = self.settings(f'{server.address},{self.well()}')
        with mock.patch.object(random, 'randrange', return_value=0):
            posting = gateway.Gateway(settings.endpoints, 5.0)
        answer = self.within(5.0, posting.post, URL)
        self.assertEqual('7', answer.json()['ID'])
        self.assert_lets_go(server, 1.0)

    def test_a_reader_begins_with_the_next_server(self) -> None:
        server = self.serve(HTTP)
        settings = self.settings(f'{server.address},{self.well()}')
        with mock.patch.object(random, 'randrange', return_value=0):
            self.assertIsNotNone(self.ask(settings))

    def test_all_are_like_that(self) -> None:
        server = self.serve(HTTP)
        settings = self.settings(server.address)
        error = self.assert_fails(2.5, self.ask, settings)
        self.assertNotIsInstance(error, exceptions.BackendTimeout)
        self.assert_lets_go(server, 1.0)

    def test_an_answer_is_not_unpacked(self) -> None:
        packed = gzip.compress(b' ' * 1000000)
        head = 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n'
        head += f'Content-Length: {len(packed)}\r\n\r\n'
        server = self.serve(b'', [head.encode() + packed])
        posting = gateway.Gateway(self.settings(server.address).endpoints, 1.0)
        answer = self.within(1.0, posting.post, URL)
        self.assertLessEqual(len(answer.text), len(packed))
        posting.close()

    def test_a_green_thread_that_agrees_on_tls(self) -> None:
        # eventlet awaits each piece of a handshake for the whole timeout.
        server = self.serve(HANDSHAKE)
        ended = subprocess.run(
            [sys.executable, '-c', GREEN, server.address],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual('BackendUnreachable', ended.stdout, ended.stderr)


class RedisTest(TestCase):
    """An answer may take 0.4 s, of a Sentinel a quarter of a second."""

    def test_a_server(self) -> None:
        server = self.serve(BULK)
        error = self.assert_fails(
            3.0, self.ask, self.settings(f'address = {server.address}')
        )
        self.assertNotIsInstance(error, exceptions.BackendTimeout)
        self.assert_lets_go(server, 1.0)

    def test_a_sentinel(self) -> None:
        server = self.serve(BULK)
        options = (
            f'sentinel_addresses = {server.address}\nsentinel_name = nova\n'
        )
        error = self.assert_fails(4.0, self.ask, self.settings(options, ttl=5))
        self.assertIn('no Sentinel that can be asked', str(error))
        self.assert_lets_go(server, 1.0)

    def test_the_doctor(self) -> None:
        server = self.serve(BULK)
        conf = self.conf(f'address = {server.address}')
        self.assert_fails(3.0, redis_status.read_info, conf, server.address)
        conf = self.conf(
            f'sentinel_addresses = {server.address}\nsentinel_name = nova'
        )
        for call in (redis_status.read_info, redis_status.ask_sentinel):
            self.assert_fails(3.0, call, conf, server.address)
        self.assert_lets_go(server, 1.0)

    def conf(self, options: str, ttl: int = 2) -> Any:
        return self.make_conf(f'[redis]\n{options}\nttl = {ttl}\n')

    def settings(self, options: str, ttl: int = 2) -> redis.Settings:
        return redis.Settings(self.conf(options, ttl))


class MemcachedTest(TestCase):
    """An answer may take a second."""

    def test_a_server(self) -> None:
        for answers in ((VALUE,), (b'END\r\n', VALUE)):
            server = self.serve(answers[-1], answers[:-1])
            settings = mc.Settings(
                self.make_conf(
                    f'[DEFAULT]\nmemcached_servers = {server.address}\n'
                )
            )
            (asked,) = settings.servers('reader:1')
            self.addCleanup(asked.close)
            self.assert_fails(2.5, asked.read, ['a'])
            self.assert_lets_go(server, 1.0)


class ZooKeeperTest(TestCase):
    """A session is awaited for 2 s, and what follows for 2.7 s."""

    def test_no_session_is_granted(self) -> None:
        self.assert_ends(self.serve(LENGTH))

    def test_a_session_is_granted_and_nothing_else(self) -> None:
        self.assert_ends(self.serve(LENGTH, [GRANTED]))

    def assert_ends(self, server: drip.Drip) -> None:
        """Check that a question fails, and leaves no session."""
        self.assert_fails(5.0, self.ask, self.settings(server))
        self.assert_lets_go(server, 1.0)

    def settings(self, server: drip.Drip) -> kazoo_client.Settings:
        return kazoo_client.Settings(
            self.make_conf(
                f'[zookeeper]\naddress = {server.address}\n'
                'session_timeout = 2\n'
            )
        )

    def test_the_doctor(self) -> None:
        server = self.serve(b'Mode: ')
        error = self.assert_fails(
            1.5, zk_status.read_status, server.address, 1.0
        )
        self.assertIsInstance(error, exceptions.BackendTimeout)
