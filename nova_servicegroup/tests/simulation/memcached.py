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

"""memcached as its clients see it: keys that expire, and may be forgotten."""

from collections.abc import Callable
import random
from typing import Any

from nova_servicegroup.tests.simulation import kernel

MEMBER = b'_TOOZ_MEMBER_'
GROUP = b'_TOOZGROUP_'
ALIVE = b"It's alive!"
#: Its clock counts whole seconds.
_COARSE = 0.5
#: The share of what is evicted that is ours.
_OURS = 0.3
#: The way back of an answer is not worth a wait if it takes less (seconds).
SHORT = 0.01


def key(name: bytes | str) -> bytes:
    """Return a key as the server has it."""
    return name.encode('ascii') if isinstance(name, str) else name


class Server:
    """One server.

    :ivar state: 'ok'; 'away': it refuses; 'mute': it does not answer
    :ivar latency: seconds that an answer takes
    :ivar evictions: since it was started
    :ivar run: counts its starts
    :param changed: told of each key that is written or lost
    """

    def __init__(self, changed: Callable[[bytes], None]) -> None:
        self.state = 'ok'
        self.latency = 0.001
        self.evictions = 0
        self.run = 0
        self.changed = changed
        self._items: dict[bytes, tuple[Any, float, int]] = {}
        self._versions = 0

    def get(self, key: bytes) -> tuple[Any, int] | None:
        """Return a value and its version."""
        found = self._items.get(key)
        if found is None or found[1] <= kernel.now():
            return None
        return found[0], found[2]

    def end(self, key: bytes) -> float:
        """Return when a key expires, or has."""
        found = self._items.get(key)
        return 0.0 if found is None else found[1]

    def set(self, key: bytes, value: Any, expire: int) -> None:
        """Write a value."""
        self._versions += 1
        until = kernel.now() + expire - _COARSE if expire else float('inf')
        if expire < 0:
            until = kernel.now()
        self._items[key] = value, until, self._versions
        self.changed(key)

    def delete(self, key: bytes) -> bool:
        """Remove a key; tell whether it was there."""
        found = self.get(key)
        self._items.pop(key, None)
        self.changed(key)
        return found is not None

    def clear(self) -> None:
        """Forget everything."""
        keys = list(self._items)
        self._items.clear()
        for key in keys:
            self.changed(key)

    def evict(self, chance: random.Random) -> None:
        """Drop some keys that have not expired, most of them of others."""
        keys = [key for key in self._items if self.get(key) is not None]
        if keys and chance.random() < _OURS:
            self.delete(chance.choice(keys))
        self.evictions += chance.randint(1, 3)


class Place:
    """An address, and the server that is there now."""

    def __init__(self, server: Server) -> None:
        self.server = server
