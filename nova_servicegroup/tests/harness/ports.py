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


"""TCP ports for servers of tests that run side by side."""

import contextlib
import fcntl
import os
import pathlib
import random
import socket
import tempfile

# Below the kernel's ephemeral range, so that no outgoing connection takes a
# port between the moment it was found free and the moment a server binds it.
_PORTS = range(15000, 32000)
_LOCKS = pathlib.Path(tempfile.gettempdir(), f'test-ports-{os.getuid()}')
#: By port. It is ours while our process lives, also while no server has it.
_locks: dict[int, int] = {}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on.

    No other process gets it from here as long as this one lives.
    """
    for port in random.sample(_PORTS, k=len(_PORTS)):
        if port not in _locks and can_bind(port) and _lock(port):
            return port
    raise RuntimeError('no free TCP port between 15000 and 32000')


def free_ports(count: int) -> list[int]:
    """Return several different free TCP ports."""
    return [free_port() for _ in range(count)]


def can_bind(port: int) -> bool:
    """Return whether a port of 127.0.0.1 is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return True
    return False


def _lock(port: int) -> bool:
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    file = os.open(_LOCKS / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _locks[port] = file
    return True
