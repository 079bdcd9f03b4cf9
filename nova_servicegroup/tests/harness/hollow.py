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


"""Hollow members: thousands of ZooKeeper sessions in one process.

A hollow member is a raw session with its node: it joins, renews its session,
leaves or dies, and does nothing else. It speaks as much of ZooKeeper's
protocol as that needs. ``Hollow`` keeps them in a thread of this process;
``HollowProcess`` in a process of their own, so that they take no time from
who is measured. Run as a program, it is that process.
"""

import argparse
import asyncio
import collections
from collections.abc import Awaitable, Collection, Iterable, Iterator
import contextlib
import json
import pathlib
import random
import resource
import select
import struct
import subprocess
import sys
import threading
from typing import Any

from tooz import utils

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.zk import watches

_CREATE, _GET_DATA, _PING, _CLOSE = 1, 4, 11, -11
_PING_XID = -2
#: What no question waits for: the answer to a ping, and what a watch tells.
_UNASKED = (_PING_XID, -1)
_EPHEMERAL = 1
_NODE_EXISTS = -110
_ALL_PERMISSIONS = 31
# So many sessions are opened, and so many nodes created, side by side.
_PARALLEL = 200
_CONNECT_TIMEOUT = 30.0


class HollowError(RuntimeError):
    """A hollow member could not do what it was told."""


class Hollow:
    """Hollow members of one group, in a thread of this process.

    Every verb returns when all of it is done, or raises.

    :param address: ``host:port`` of each server, separated by commas
    :param namespace: as the zk driver's option
    :param group: as it is handed to the drivers
    :param session_timeout: seconds; the servers must agree to it
    :param wait: seconds that a verb may take
    :param verify: also read the node, and have it watched, as often as the
        driver does where nothing happens
    """

    def __init__(
        self,
        address: str,
        namespace: str,
        group: str,
        session_timeout: float,
        wait: float = 120.0,
        verify: bool = False,
    ) -> None:
        self._verify = verify
        self._addresses = [_parse(each) for each in address.split(',')]
        self._namespace = f'/{namespace}'
        self._group = f'{self._namespace}/{naming.escape(group)}'
        self._session_timeout = session_timeout
        self._wait = wait
        self._sessions: dict[str, _Session] = {}
        self._opened = 0
        self._due: collections.deque[tuple[float, _Session]] = (
            collections.deque()
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, daemon=True, name='hollow'
        )
        self._thread.start()
        self._pinging = asyncio.run_coroutine_threadsafe(
            self._ping(), self._loop
        )

    def join(self, hosts: Collection[str], sessions: int = 0) -> None:
        """Have hosts join.

        :param sessions: let them share so few sessions, to the end; 0: each
            has its own
        """
        self._run('join', self._join(list(hosts), sessions or len(hosts)))

    def leave(self, hosts: Collection[str]) -> None:
        """Close the sessions of hosts, as a clean stop does."""
        self._run('leave', self._leave(hosts))

    def kill(self, hosts: Collection[str]) -> None:
        """Close the sockets of hosts; their sessions are left to expire."""
        self._run('kill', self._kill(hosts))

    def lost(self) -> list[str]:
        """Return the hosts whose connection ended without our doing."""
        return sorted(
            host for host, each in self._sessions.items() if each.is_lost()
        )

    def close(self) -> None:
        """Kill all that are left, and end the thread."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(HollowError):
            self.kill(list(self._sessions))
        self._pinging.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._wait)
        self._loop.close()

    def _run(self, verb: str, work: Awaitable[None]) -> None:
        bounded = asyncio.wait_for(work, self._wait)
        try:
            asyncio.run_coroutine_threadsafe(bounded, self._loop).result()
        except (TimeoutError, asyncio.TimeoutError):
            raise HollowError(
                f'{verb}: not done after {self._wait:g} s'
            ) from None
        except OSError as error:
            raise HollowError(f'{verb}: {error}') from error

    async def _join(self, hosts: list[str], sessions: int) -> None:
        twice = self._sessions.keys() & hosts
        if twice:
            raise HollowError(f'{min(twice)} has joined already')
        await self._make_group()
        shares = iter([hosts[start::sessions] for start in range(sessions)])
        await asyncio.gather(
            *(self._join_shares(shares) for _ in range(_PARALLEL))
        )

    async def _join_shares(self, shares: Iterator[list[str]]) -> None:
        """Take shares of hosts as long as there are any; one session each."""
        for hosts in shares:
            session = await self._open()
            for start in range(0, len(hosts), _PARALLEL):
                some = hosts[start : start + _PARALLEL]
                await asyncio.gather(
                    *(self._join_one(session, host) for host in some)
                )

    async def _join_one(self, session: '_Session', host: str) -> None:
        name = naming.member_id(host).decode('ascii')
        origin = utils.dumps({'machine': host, 'pid': 0})
        await session.create(f'{self._group}/{name}', origin, _EPHEMERAL)
        self._sessions[host] = session

    async def _make_group(self) -> None:
        session = await self._open()
        await session.create(self._namespace, b'', 0)
        await session.create(self._group, b'', 0)
        await session.close()

    async def _open(self) -> '_Session':
        host, port = self._addresses[self._opened % len(self._addresses)]
        self._opened += 1
        _, session = await asyncio.wait_for(
            self._loop.create_connection(_Session, host, port),
            _CONNECT_TIMEOUT,
        )
        await session.open(self._session_timeout)
        self._due.append((self._next_ping(), session))
        return session

    async def _kill(self, hosts: Iterable[str]) -> None:
        for session in self._take(hosts):
            session.abort()

    async def _leave(self, hosts: Iterable[str]) -> None:
        await asyncio.gather(*(each.close() for each in self._take(hosts)))

    def _take(self, hosts: Iterable[str]) -> set['_Session']:
        try:
            return {self._sessions.pop(host) for host in hosts}
        except KeyError as error:
            raise HollowError(f'{error} has not joined') from None

    def _next_ping(self) -> float:
        return self._loop.time() + self._session_timeout / 3

    async def _ping(self) -> None:
        """Renew every session each third of its timeout, for ever."""
        while True:
            now = self._loop.time()
            while self._due and self._due[0][0] <= now:
                _, session = self._due.popleft()
                if session.ping():
                    if self._verify:
                        session.verify(now)
                    self._due.append((self._next_ping(), session))
            await asyncio.sleep(0.02)


class _Session(asyncio.Protocol):
    """One session over one connection; the servers answer in order."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: collections.deque[asyncio.Future[bytes]] = (
            collections.deque()
        )
        self._xid = 0
        self._path = b''
        self._read_at = 0.0
        self._ending = False
        self._ended = asyncio.get_running_loop().create_future()

    async def open(self, timeout: float) -> None:
        """Ask for a new session of so many seconds."""
        password = struct.pack('>i16x', 16)
        answer = await self._send(
            struct.pack('>iqiq', 0, 0, int(1000 * timeout), 0) + password
        )
        given = struct.unpack_from('>i', answer, 4)[0]
        if given != int(1000 * timeout):
            self.abort()
            raise HollowError(
                f'the session timeout is {timeout:g} s, but the server wants '
                f'{given / 1000:g} s; see its tickTime'
            )

    async def create(self, path: str, data: bytes, flags: int) -> None:
        """Create a node that anybody may change; there may be one."""
        self._path = path.encode('ascii')
        acl = struct.pack('>ii', 1, _ALL_PERMISSIONS)
        acl += _field(b'world') + _field(b'anyone')
        error = await self._request(
            _CREATE,
            _field(self._path) + _field(data) + acl + struct.pack('>i', flags),
        )
        if error and (flags or error != _NODE_EXISTS):
            raise HollowError(f'create {path}: ZooKeeper error {error}')

    async def close(self) -> None:
        """End the session, and wait for the connection's end."""
        self._ending = True
        with contextlib.suppress(ConnectionError):
            await self._request(_CLOSE, b'')
        self._transport.close()
        await self._ended

    def abort(self) -> None:
        """End the connection, and leave the session alone."""
        self._ending = True
        self._transport.abort()

    def ping(self) -> bool:
        """Renew the session, unless the connection has ended."""
        if self._ending or self._ended.done():
            return False
        self._transport.write(struct.pack('>iii', 8, _PING_XID, _PING))
        return True

    def verify(self, now: float) -> None:
        """Ask for the node, if that is due, and wait for nothing."""
        if now < self._read_at:
            return
        self._read_at = now + watches.MAX_AGE * random.uniform(0.5, 1.0)
        self._xid += 1
        header = struct.pack('>ii', self._xid, _GET_DATA)
        self._waiting.append(asyncio.get_running_loop().create_future())
        self._transport.write(_field(header + _field(self._path) + b'\1'))

    def is_lost(self) -> bool:
        """Tell whether the connection ended without our doing."""
        return self._ended.done() and not self._ending

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + struct.unpack_from('>i', self._buffer)[0]
            if len(self._buffer) < end:
                return
            answer = bytes(self._buffer[4:end])
            del self._buffer[:end]
            if struct.unpack_from('>i', answer)[0] not in _UNASKED:
                self._waiting.popleft().set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set_result(None)
        for each in self._waiting:
            if not each.done():
                each.set_exception(ConnectionError('the server hung up'))

    async def _request(self, operation: int, body: bytes) -> int:
        """Return the error code of the answer; 0: it is done."""
        self._xid += 1
        header = struct.pack('>ii', self._xid, operation)
        answer = await self._send(header + body)
        error: int = struct.unpack_from('>i', answer, 12)[0]
        return error

    async def _send(self, message: bytes) -> bytes:
        if self._ended.done():
            raise ConnectionError('the server hung up')
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(_field(message))
        return await answer


class HollowProcess:
    """Hollow members in a process of their own; the verbs of Hollow.

    :param wait: seconds that a verb may take
    :param verify: see Hollow
    """

    def __init__(
        self,
        address: str,
        namespace: str,
        group: str,
        session_timeout: float,
        wait: float = 120.0,
        verify: bool = False,
    ) -> None:
        self._wait = wait
        self._process = subprocess.Popen(
            [
                sys.executable,
                '-m',
                __name__,
                f'--address={address}',
                f'--namespace={namespace}',
                f'--group={group}',
                f'--session-timeout={session_timeout}',
                f'--wait={wait}',
                *(['--verify'] if verify else []),
            ],
            cwd=pathlib.Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def join(self, hosts: Collection[str], sessions: int = 0) -> None:
        """Have hosts join; see Hollow."""
        self._ask('join', list(hosts), sessions)

    def leave(self, hosts: Collection[str]) -> None:
        """Close the sessions of hosts; see Hollow."""
        self._ask('leave', list(hosts))

    def kill(self, hosts: Collection[str]) -> None:
        """Close the sockets of hosts; see Hollow."""
        self._ask('kill', list(hosts))

    def lost(self) -> list[str]:
        """Return the hosts that died without our doing; see Hollow."""
        lost: list[str] = self._ask('lost')
        return lost

    def close(self) -> None:
        """Kill the process, and with it all that are left."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _ask(self, verb: str, *arguments: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        _write(stdin, json.dumps([verb, *arguments]).encode() + b'\n')
        if not select.select([stdout], [], [], self._wait + 5)[0]:
            raise HollowError(f'{verb}: the process does not answer')
        line = stdout.readline()
        if not line:
            raise HollowError(f'{verb}: the process has ended')
        answer = json.loads(line)
        if 'error' in answer:
            raise HollowError(answer['error'])
        return answer['result']


def main() -> None:
    """Do what standard input says, a line of JSON for each verb."""
    args = _arguments()
    _raise_limit()
    hollow = Hollow(
        args.address,
        args.namespace,
        args.group,
        args.session_timeout,
        args.wait,
        args.verify,
    )
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = {'result': getattr(hollow, verb)(*arguments)}
        except HollowError as error:
            answer = {'error': str(error)}
        print(json.dumps(answer), flush=True)
    hollow.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('--address', required=True)
    parser.add_argument('--namespace', required=True)
    parser.add_argument('--group', required=True)
    parser.add_argument('--session-timeout', type=float, required=True)
    parser.add_argument('--wait', type=float, required=True)
    parser.add_argument('--verify', action='store_true')
    return parser.parse_args()


def _raise_limit() -> None:
    """Allow as many open files as this user may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _write(stream: Any, data: bytes) -> None:
    """Write all of it; an unbuffered stream may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _parse(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(':')
    return host, int(port)


def _field(data: bytes) -> bytes:
    return struct.pack('>i', len(data)) + data


if __name__ == '__main__':
    main()
