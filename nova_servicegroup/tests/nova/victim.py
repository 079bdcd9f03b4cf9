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

"""A compute host that can be harmed in every way that leaves it alive.

It has a user of its own in RabbitMQ, and reaches it through a relay.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import os
import pathlib
import subprocess
from typing import Any

import kombu

from nova_servicegroup.tests.harness import fuse
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import server

#: So many RPC workers it has.
WORKERS = 2
HANGING = pathlib.Path(__file__).with_name('hanging')
#: What it needs of all of Nova's files.
OVERRIDES = {
    'DEFAULT.instances_path': '$state_path/instances',
    'DEFAULT.compute_driver': 'hanging.HangingDriver',
}
_PASSWORD = 'secret'  # noqa: S105
_DISK = 1 << 20


class Victim:
    """One compute host of a Nova that runs.

    The context managers harm it, and undo that.

    :param stack: a ministack with OVERRIDES and HANGING
    """

    def __init__(self, stack: Any, host: str) -> None:
        self.host = host
        self._stack = stack
        self._rabbitmq = stack.rabbitmq
        place = stack.directory / 'relay'
        self._port = server.remembered_ports(place, 1)[0]
        self._relay = process.Program(
            place,
            'nova_servicegroup.tests.harness.proxy',
            stack.rabbitmq.address,
            str(self._port),
        )
        self.state: pathlib.Path = stack.directory / 'state' / host
        self.instances = self.state / 'instances'

    def prepare(self) -> None:
        """Start it anew as one that can be harmed."""
        self.instances.mkdir(exist_ok=True)
        with contextlib.suppress(subprocess.CalledProcessError):
            self._rabbitmq.control('add_user', self.host, _PASSWORD)
        self._rabbitmq.control(
            'set_permissions', self.host, *('.*', '.*', '.*')
        )
        if not self._relay.running:
            self._relay.start()
        self._stack.change(own={self.host: self._options()})
        self._stack.stop(self.host)
        self._stack.start(self.host)

    def end(self) -> None:
        """End what belongs to it and not to the stack."""
        self._relay.kill()

    def _options(self) -> Mapping[str, str]:
        where = f'{self.host}:{_PASSWORD}@127.0.0.1:{self._port}'
        return {
            'DEFAULT.transport_url': f'rabbit://{where}/',
            'DEFAULT.executor_thread_pool_size': str(WORKERS),
        }

    @contextlib.contextmanager
    def refused(self) -> Iterator[None]:
        """Have RabbitMQ refuse its password."""
        control = self._rabbitmq.control
        control('change_password', self.host, 'another')
        try:
            control('close_all_user_connections', self.host, 'changed')
            yield
        finally:
            control('change_password', self.host, _PASSWORD)

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Have nothing pass between it and RabbitMQ, and nothing end."""
        self._relay.freeze()
        try:
            yield
        finally:
            self._relay.thaw()

    @contextlib.contextmanager
    def busy(self, servers: Sequence[str]) -> Iterator[None]:
        """Have all its RPC workers wait for the virt driver.

        :param servers: the ids of WORKERS of its servers
        """
        with hanging(self._stack, self.host, 'is_slow'):
            for each in servers:
                self._stack.expect(
                    'POST',
                    f'/servers/{each}/action',
                    {'os-stop': None},
                    status=202,
                )
            yield

    @contextlib.contextmanager
    def on_a_cluster(self) -> Iterator[fuse.Frozen]:
        """Have its disks on a file system that can be frozen."""
        mount = fuse.Frozen(self.instances, self._stack.directory / 'fuse')
        mount.start()
        try:
            yield mount
        finally:
            mount.stop()

    @contextlib.contextmanager
    def on_a_small_disk(self) -> Iterator[None]:
        """Have its disks on a disk of their own of 1 MiB."""
        where = str(self.instances)
        options = ['-o', f'size={_DISK}']
        subprocess.run(
            ['mount', '-t', 'tmpfs', *options, 'tmpfs', where], check=True
        )
        try:
            yield
        finally:
            subprocess.run(['umount', '-l', where], check=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Have that disk full."""
        file = self.instances / 'of_another'
        with contextlib.suppress(OSError), file.open('wb', 0) as filled:
            while filled.write(os.urandom(4096)):
                pass
        try:
            yield
        finally:
            file.unlink()


@contextlib.contextmanager
def frozen(mount: fuse.Frozen) -> Iterator[None]:
    """Have a file system answer nobody."""
    mount.freeze()
    try:
        yield
    finally:
        mount.thaw()


@contextlib.contextmanager
def unbound(stack: Any, host: str) -> Iterator[None]:
    """Have nothing arrive in the queue of a compute."""
    name = f'compute.{host}'
    url = stack.rabbitmq.url.replace('rabbit:', 'amqp:')
    with kombu.Connection(url) as connection:
        channel = connection.channel()
        channel.queue_unbind(name, 'nova', name)
        try:
            yield
        finally:
            channel.queue_bind(name, 'nova', name)


@contextlib.contextmanager
def hanging(stack: Any, host: str, how: str = 'hangs') -> Iterator[None]:
    """Have the virt driver of a compute hang; see hanging/driver.py."""
    file = stack.directory / 'state' / host / how
    file.touch()
    try:
        yield
    finally:
        file.unlink()


def boots(stack: Any, host: str) -> bool:
    """Tell whether a host gets a new server."""
    server = stack.boot('new', host)
    if server.id:
        stack.delete(server.id)
    return not server.refused
