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

"""Real ZooKeeper servers, one or an ensemble."""

from collections.abc import Mapping, Sequence
import pathlib
import shutil
from typing import Any

from nova_servicegroup.tests.harness import cluster
from nova_servicegroup.tests.harness import server

_JAR = pathlib.Path('/usr/share/java/zookeeper.jar')
# Debian's list in zookeeper.jar lacks a logger, and what TLS needs of netty.
_MORE_JARS = (
    '/usr/share/java/slf4j-simple.jar',
    '/usr/share/java/netty-codec.jar',
    '/usr/share/java/netty-resolver.jar',
    '/usr/share/java/netty-transport-native-unix-common.jar',
)
_MAIN = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
# A quick start matters more here than a fast server.
_JAVA_OPTIONS = (
    '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC',
    '-XX:-UsePerfData',
    '-Dzookeeper.forceSync=no',
    '-Djava.net.preferIPv4Stack=true',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
)
# Seconds. A busy ensemble needs about ten for an election and a session.
_SESSION = 4
_GRANTED_WITHIN = 15


class ZooKeeper(cluster.Member):
    """One ZooKeeper server on loopback.

    :param tick_ms: sessions last between 2 and 20 ticks.
    :param max_client_connections: for each client address, 0 is no limit.
    :param my_id: this server's number in an ensemble, from 1.
    :param peers: ``(quorum port, election port)`` of all servers in an
        ensemble; empty for a server that stands alone.
    :param settings: more lines for zoo.cfg.
    :param host: the address to serve on; must be one of this machine's.
    :param java_options: more options for the virtual machine.
    """

    package = 'zookeeper'

    def __init__(
        self,
        directory: pathlib.Path,
        port: int | None = None,
        tick_ms: int = 2000,
        max_client_connections: int = 0,
        my_id: int = 1,
        peers: Sequence[tuple[int, int]] = (),
        heap_mb: int = 192,
        settings: Mapping[str, object] | None = None,
        java_options: Sequence[str] = (),
        host: str = '127.0.0.1',
    ) -> None:
        port = port or server.remembered_ports(directory, 1)[0]
        super().__init__(directory, port)
        self.host = host
        self.tick_ms = tick_ms
        self.max_client_connections = max_client_connections
        self.my_id = my_id
        self.peers = list(peers)
        self.heap_mb = heap_mb
        self.settings = dict(settings or {})
        self.java_options = list(java_options)

    @property
    def address(self) -> str:
        return f'{self.host}:{self.port}'

    @property
    def data(self) -> pathlib.Path:
        """Where the server keeps its data."""
        return self.directory / 'data'

    def prepare(self) -> None:
        self.data.mkdir(exist_ok=True)
        (self.data / 'myid').write_text(f'{self.my_id}\n')
        lines = [f'{key}={value}\n' for key, value in self._config().items()]
        (self.directory / 'zoo.cfg').write_text(''.join(lines))

    def argv(self) -> list[str]:
        java = server.find_program('java', 'default-jre-headless')
        if not _JAR.exists():
            raise server.MissingProgram(str(_JAR), self.package)
        options = [f'-Xmx{self.heap_mb}m', *_JAVA_OPTIONS, *self.java_options]
        jars = ':'.join((str(_JAR), *_MORE_JARS))
        classes = ['-cp', jars, _MAIN]
        return [java, *options, *classes, str(self.directory / 'zoo.cfg')]

    def serves(self) -> bool:
        return 'Mode:' in self.command('srvr')

    def command(self, word: str) -> str:
        """Return the answer to a four letter word, empty when mute."""
        answer = server.ask(self.port, word.encode(), host=self.host)
        return answer.decode(errors='replace')

    def mode(self) -> str:
        """Return ``standalone``, ``leader``, ``follower`` or nothing."""
        for line in self.command('srvr').splitlines():
            if line.startswith('Mode:'):
                return line.partition(':')[2].strip()
        return ''

    def is_leader(self) -> bool:
        """See cluster.Member."""
        return self.mode() == 'leader'

    def wipe(self) -> None:
        """Lose all data; only while stopped."""
        self._must_not_run()
        shutil.rmtree(self.data, ignore_errors=True)

    def _config(self) -> dict[str, object]:
        config: dict[str, object] = {
            'tickTime': self.tick_ms,
            'initLimit': 20,
            'syncLimit': 10,
            'dataDir': self.data,
            'clientPort': self.port,
            'clientPortAddress': self.host,
            'maxClientCnxns': self.max_client_connections,
            'admin.enableServer': 'false',
            '4lw.commands.whitelist': '*',
        }
        for number, (quorum, election) in enumerate(self.peers, 1):
            config[f'server.{number}'] = f'127.0.0.1:{quorum}:{election}'
        return {**config, **self.settings}


class Ensemble(cluster.Cluster[ZooKeeper]):
    """Several ZooKeeper servers that elect a leader.

    :param server_options: for each ZooKeeper
    """

    def __init__(
        self,
        directory: pathlib.Path,
        size: int = 3,
        tick_ms: int = 2000,
        **server_options: Any,
    ) -> None:
        ports = server.remembered_ports(directory, 2 * size)
        peers = list(zip(ports[:size], ports[size:], strict=True))
        super().__init__(
            [
                ZooKeeper(
                    directory / str(number),
                    tick_ms=tick_ms,
                    my_id=number,
                    peers=peers,
                    **server_options,
                )
                for number in range(1, size + 1)
            ]
        )

    def recover(self) -> None:
        """See Cluster. Do as an operator would where nothing is committed.

        ZooKeeper 3.8.0: when all were mute for longer than syncLimit, the
        followers may come back to a leader that has not noticed that it lost
        them. Transactions of between are then never committed, nor is any
        after them, and no server grants a session until the leader goes.
        """
        super().recover()
        if not self._grants_session():
            leader = self.leader()
            leader.kill()
            leader.start()
            super().recover()

    def _grants_session(self) -> bool:
        # Programs that use this without it have nothing else installed.
        from kazoo import client

        session = client.KazooClient(self.address, timeout=_SESSION)
        try:
            session.start(_GRANTED_WITHIN)
        except session.handler.timeout_exception:
            return False
        finally:
            session.stop()
            session.close()
        return True
