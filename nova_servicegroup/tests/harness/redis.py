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

"""Real redis servers: one, or one with a replica and Sentinels."""

from collections.abc import Mapping
import pathlib

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server


class Redis(server.Server):
    """One redis server on loopback, which keeps nothing on disk.

    :param settings: more lines for its configuration, by name
    """

    package = 'redis-server'
    program = 'redis-server'

    def __init__(
        self,
        directory: pathlib.Path,
        port: int | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        port = port or server.remembered_ports(directory, 1)[0]
        super().__init__(directory, port)
        self.settings = dict(settings or {})

    @property
    def config(self) -> pathlib.Path:
        """Its configuration, in which a Sentinel writes, too."""
        return self.directory / 'redis.conf'

    def argv(self) -> list[str]:
        program = server.find_program(self.program, self.package)
        return [program, str(self.config)]

    def prepare(self) -> None:
        # What Sentinels have made of it stays.
        if self.config.exists():
            return
        lines = [f'{key} {value}\n' for key, value in self._config().items()]
        self.config.write_text(''.join(lines))

    def serves(self) -> bool:
        # One that wants a password, or TLS, answers, too.
        answer = server.ask(self.port, b'PING\r\n')
        return answer.startswith((b'+PONG', b'-NOAUTH'))

    def command(self, *words: str, timeout: float = 1.0) -> str:
        """Return the answer to a command, empty when mute."""
        line = ' '.join(words) + '\r\n'
        password = self.settings.get('requirepass')
        if password:
            line = f'AUTH {password}\r\n{line}'
        answer = server.ask(self.port, line.encode(), timeout)
        text = answer.decode(errors='replace')
        return text.removeprefix('+OK\r\n') if password else text

    def wipe(self) -> None:
        """Lose all keys; the server goes on running."""
        if self.command('FLUSHALL') != '+OK\r\n':
            raise RuntimeError(f'redis on {self.address} does not answer')

    def wait_age(self, seconds: float) -> None:
        """Wait until the server has run for so long."""
        process.wait_until(lambda: self.uptime() > seconds, seconds + 10)

    def uptime(self) -> float:
        """Return the seconds for which the server has run."""
        found = self.command('INFO', 'server').split('uptime_in_seconds:')
        return float(found[1].split()[0]) if len(found) > 1 else 0.0

    def role(self) -> str:
        """Return ``master``, ``slave`` or nothing."""
        answer = self.command('ROLE').split()
        return answer[2] if len(answer) > 2 else ''

    def _config(self) -> dict[str, object]:
        return {
            'bind': '127.0.0.1',
            'port': self.port,
            'dir': self.directory,
            'save': '""',
            'appendonly': 'no',
            **self.settings,
        }


class Sentinel(Redis):
    """One Sentinel on loopback."""

    package = 'redis-sentinel'
    program = 'redis-sentinel'

    def _config(self) -> dict[str, object]:
        found = super()._config()
        del found['save'], found['appendonly']
        return found


class Watched:
    """A server with a replica, and Sentinels that promote it.

    :param down_after: seconds until Sentinels take the server for down
    :param password: of all of them
    """

    #: What the Sentinels call the server.
    NAME = 'nova'

    def __init__(
        self,
        directory: pathlib.Path,
        sentinels: int = 3,
        down_after: float = 2.0,
        password: str = '',
    ) -> None:
        self.directory = pathlib.Path(directory)
        first, second, *others = server.remembered_ports(
            self.directory, 2 + sentinels
        )
        common: dict[str, object] = {'repl-diskless-sync-delay': 0}
        watch: dict[str, object] = {}
        if password:
            common |= {'requirepass': password, 'masterauth': password}
            watch |= {'requirepass': password}
        replica = {**common, 'replicaof': f'127.0.0.1 {first}'}
        self.servers = [
            Redis(self.directory / 'redis1', first, common),
            Redis(self.directory / 'redis2', second, replica),
        ]
        quorum = 1 + sentinels // 2
        watch |= {
            f'sentinel monitor {self.NAME}': f'127.0.0.1 {first} {quorum}',
            f'sentinel down-after-milliseconds {self.NAME}': int(
                1000 * down_after
            ),
            f'sentinel failover-timeout {self.NAME}': 10000,
        }
        if password:
            watch |= {
                f'sentinel auth-pass {self.NAME}': password,
                'sentinel sentinel-pass': password,
            }
        self.sentinels = [
            Sentinel(self.directory / f'sentinel{number}', port, watch)
            for number, port in enumerate(others)
        ]

    @property
    def sentinel_addresses(self) -> str:
        """All Sentinels' addresses, separated by commas."""
        return ','.join(each.address for each in self.sentinels)

    @property
    def _all(self) -> list[Redis]:
        return [*self.servers, *self.sentinels]

    def start(self) -> None:
        """Start all that do not run, and wait until they know each other."""
        for each in self._all:
            if not each.running:
                each.start()
        process.wait_until(self._is_whole, 60, what='a replica is known')

    def kill(self) -> None:
        """Kill the servers and the Sentinels."""
        for each in self._all:
            each.kill()

    def thaw(self) -> None:
        """Let frozen ones go on."""
        for each in self._all:
            each.thaw()

    def master(self) -> Redis:
        """Return the server that the Sentinels name, waiting for it.

        :raises TimeoutError: they name none that is well
        """
        found: list[Redis] = []

        def is_found() -> bool:
            # In a failover they may name none a moment later.
            found.extend(self._masters())
            return bool(found)

        process.wait_until(is_found, 60, what='there is a master')
        return found[0]

    def replica(self) -> Redis:
        """Return the other one."""
        master = self.master()
        return next(each for each in self.servers if each is not master)

    def _masters(self) -> list[Redis]:
        named = {self._named(each) for each in self.sentinels if each.running}
        return [
            each
            for each in self.servers
            if named == {each.port} and each.role() == 'master'
        ]

    def _named(self, watcher: Sentinel) -> int:
        """Return the port of the master that a Sentinel names; 0: none."""
        words = watcher.command(
            'SENTINEL', 'get-master-addr-by-name', self.NAME
        ).split()
        return int(words[-1]) if words and words[-1].isdigit() else 0

    def _is_whole(self) -> bool:
        """Tell whether each Sentinel knows the replica and the others."""
        masters = self._masters()
        if not masters or 'online' not in masters[0].command(
            'INFO', 'replication'
        ):
            return False
        return all(self._knows_all(each) for each in self.sentinels)

    def _knows_all(self, watcher: Sentinel) -> bool:
        line = watcher.command('INFO', 'sentinel')
        return (
            'status=ok' in line
            and 'slaves=1' in line
            and f'sentinels={len(self.sentinels)}' in line
        )
