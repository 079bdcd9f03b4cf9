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

"""A real memcached."""

from collections.abc import Sequence
import os
import pathlib

from nova_servicegroup.tests.harness import server


class Memcached(server.Server):
    """One memcached on loopback.

    :param options: more command line options, for instance ``('-M',)``.
    """

    package = 'memcached'

    def __init__(
        self,
        directory: pathlib.Path,
        port: int | None = None,
        memory_mb: int = 64,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, port)
        self.memory_mb = memory_mb
        self.options = list(options)

    def argv(self) -> list[str]:
        program = server.find_program('memcached', self.package)
        where = ['-l', '127.0.0.1', '-p', str(self.port), '-U', '0']
        user = ['-u', 'nobody'] if os.getuid() == 0 else []
        memory = ['-m', str(self.memory_mb)]
        return [program, *where, *user, *memory, *self.options]

    def serves(self) -> bool:
        return server.ask(self.port, b'version\r\n').startswith(b'VERSION')

    def wipe(self) -> None:
        """Lose all items; the server goes on running."""
        if server.ask(self.port, b'flush_all\r\n') != b'OK\r\n':
            raise RuntimeError(f'memcached on {self.address} does not answer')
