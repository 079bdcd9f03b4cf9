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

"""A real RabbitMQ."""

import os
import pathlib
import re
import shutil
import subprocess

from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server

_PROGRAM = pathlib.Path('/usr/lib/rabbitmq/bin/rabbitmq-server')
_CONFIG = """\
disk_free_limit.absolute = 1MB
log.console = true
log.console.level = warning
log.file = false
"""
# Erlang's schedulers spin while they wait, which two cores cannot afford.
_ERL_ARGS = (
    '-noinput +sbwt none +sbwtdcpu none +sbwtdio none'
    ' -kernel inet_dist_use_interface {127,0,0,1}'
)


class RabbitMQ(server.Server):
    """One RabbitMQ server on loopback with a port mapper of its own."""

    package = 'rabbitmq-server'

    def __init__(self, directory: pathlib.Path) -> None:
        ports = server.remembered_ports(directory, 3)
        super().__init__(directory, ports[0])
        self.distribution_port, self.epmd_port = ports[1:]
        self._epmd = process.Process([], self.directory / 'epmd')

    @property
    def url(self) -> str:
        """The transport URL for oslo.messaging."""
        return f'rabbit://guest:guest@{self.address}/'

    @property
    def data(self) -> pathlib.Path:
        """Where the server keeps its data."""
        return self.directory / 'mnesia'

    def prepare(self) -> None:
        (self.directory / 'rabbitmq.conf').write_text(_CONFIG)
        (self.directory / 'enabled_plugins').write_text('[].\n')
        (self.directory / 'rabbitmq-env.conf').write_text('')
        if not self._epmd.running:
            self._start_epmd()

    def argv(self) -> list[str]:
        if not _PROGRAM.exists():
            raise server.MissingProgram(str(_PROGRAM), self.package)
        return [str(_PROGRAM)]

    def env(self) -> dict[str, str]:
        here = str(self.directory)
        return {
            'HOME': here,
            'ERL_EPMD_PORT': str(self.epmd_port),
            'RABBITMQ_NODENAME': f'harness{self.port}@localhost',
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(self.port),
            'RABBITMQ_DIST_PORT': str(self.distribution_port),
            'RABBITMQ_MNESIA_BASE': str(self.data),
            'RABBITMQ_LOG_BASE': here,
            'RABBITMQ_LOGS': '-',
            'RABBITMQ_PID_FILE': f'{here}/rabbitmq.pid',
            'RABBITMQ_CONF_ENV_FILE': f'{here}/rabbitmq-env.conf',
            'RABBITMQ_CONFIG_FILE': f'{here}/rabbitmq.conf',
            'RABBITMQ_GENERATED_CONFIG_DIR': f'{here}/generated',
            'RABBITMQ_ENABLED_PLUGINS_FILE': f'{here}/enabled_plugins',
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': _ERL_ARGS,
            # Makes the script become the server instead of its parent.
            'RABBITMQ_ALLOW_INPUT': 'true',
        }

    def serves(self) -> bool:
        # Its first frame is a method on channel 0: connection.start.
        hello = b'AMQP\x00\x00\x09\x01'
        return server.ask(self.port, hello).startswith(b'\x01\x00\x00')

    def stop(self) -> None:
        super().stop()
        self._epmd.stop()

    def kill(self) -> None:
        super().kill()
        self._epmd.kill()

    def control(self, *words: str) -> str:
        """Run rabbitmqctl; return what it says.

        :raises CalledProcessError: it fails
        """
        done = subprocess.run(
            [str(_PROGRAM.with_name('rabbitmqctl')), '-q', *words],
            env={**os.environ, **self.env()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        )
        return done.stdout

    def received(self) -> int:
        """Return how many messages it has received since it was started."""
        said = self.control('eval', 'rabbit_global_counters:overview().')
        found = re.findall(r'messages_received_total\s*=>\s*(\d+)', said)
        return sum(int(each) for each in found)

    def wipe(self) -> None:
        """Lose all data; only while stopped."""
        self._must_not_run()
        shutil.rmtree(self.data, ignore_errors=True)

    def _start_epmd(self) -> None:
        program = server.find_program('epmd', 'erlang-base')
        where = ['-address', '127.0.0.1', '-port', str(self.epmd_port)]
        self._epmd.argv = [program, *where]
        self._epmd.start()
        process.wait_until(
            lambda: not ports.can_bind(self.epmd_port),
            10,
            what=f'epmd does not listen; see {self._epmd.log}',
        )
