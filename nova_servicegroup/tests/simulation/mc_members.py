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

"""Members on memcached, which renew by the production code."""

from collections.abc import Callable
import functools
import random
from typing import Any

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import tooz_server
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import truth

#: Seconds after which a member looks whether it is still listed.
_LISTED = 240.0


class Member:
    """One member, which beats on every server.

    :ivar process: that which runs; None: there is none
    :ivar cut: whether it alone is cut off from the servers
    """

    def __init__(
        self,
        timeline: kernel.Kernel,
        host: truth.Host,
        conf: Any,
        addresses: list[str],
        group: str,
        chance: random.Random,
    ) -> None:
        self.host = host
        self.process: kernel.Process | None = None
        self.cut = False
        self._kernel = timeline
        self._conf = conf
        self._addresses = addresses
        self._group = group
        self._chance = chance
        self._sleeps_until = 0.0
        self._token = b''
        self._servers: list[Any] = []
        self._keys = keyspace.Keys(conf.memcached.key_prefix)
        self.id = self._keys.member(group, host.name)

    @property
    def works(self) -> bool:
        """Whether its process runs."""
        return self.process is not None

    def start(self) -> None:
        """Start a process, which joins."""
        self.process = self._kernel.new_process(f'member {self.host.name}')
        self._token = self._chance.randbytes(8).ljust(naming.TOKEN)
        self._sleeps_until = 0.0
        ttl = opts.memcached_ttl(self._conf)
        self._servers = [
            tooz_server.ToozServer(each, self._conf, self._keys, self.id, ttl)
            for each in self._addresses
        ]
        first = self._kernel.now + self._chance.uniform(0.05, 1)
        for server in self._servers:
            self._spawn(
                functools.partial(self._run, server, self.process), first
            )

    def _spawn(self, call: Callable[[], None], at: float) -> None:
        self._kernel.spawn(call, self.process, at)

    def die(self) -> None:
        """End at once."""
        self.process = None
        self.host.living.end(kernel.now())

    def leave(self) -> None:
        """End, and say so."""
        process = self.process
        if process is None:
            return
        for server in self._servers:
            self._kernel.spawn(
                functools.partial(self._withdraw, server, self._token),
                self._kernel.new_process(f'end of {self.host.name}'),
            )
        self.die()

    def sleep(self, seconds: float) -> None:
        """Stand still, as one that was stopped by a signal."""
        if self.process is not None:
            self._sleeps_until = kernel.now() + seconds
            self.host.living.end(kernel.now())

    def be_cut(self, seconds: float) -> None:
        """Lose contact with the servers, alone.

        It counts as dead from now on, though its keys are there for longer.
        """
        self.cut = True
        self.host.living.end(kernel.now())
        self._kernel.at(kernel.now() + seconds, self._be_back)

    def _be_back(self) -> None:
        self.cut = False

    def _withdraw(self, server: Any, token: bytes) -> None:
        ttl = 2 * int(self._conf.report_interval)
        try:
            server.leave(self.id, token, ttl)
        except exceptions.BackendError:
            return

    def _run(self, server: Any, process: kernel.Process) -> None:
        interval = float(self._conf.report_interval)
        listed, due = None, 0.0
        while self.process is process:
            begun = kernel.now()
            if self._sleeps_until > begun:
                kernel.sleep(self._sleeps_until - begun)
                continue
            try:
                answer = server.renew(self.id, self._token)
                self._renewed(process)
                marker = answer.marker
                if listed is None or marker != listed or now() >= due:
                    server.add_to_list(self._group, self.host.name, {'pid': 1})
                    listed = marker
                    due = now() + self._chance.uniform(0.5, 1) * _LISTED
            except exceptions.BackendError:
                pass
            taken = kernel.now() - begun
            kernel.sleep(interval - taken % interval)

    def _renewed(self, process: kernel.Process) -> None:
        awake = self._sleeps_until <= kernel.now()
        if self.process is process and awake and not self.cut:
            self.host.begin(kernel.now())


def now() -> float:
    """Return virtual time."""
    return kernel.now()
