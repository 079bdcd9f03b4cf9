# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""Network namespaces whose link to this machine can be harmed.

Needs root and iptables. Loss is made by iptables as well, since not every
kernel has tc's netem.
"""

import os
import random
import subprocess

from nova_servicegroup.tests.harness import server

# What a cut does to packets in each direction.
_CUTS = {
    'drop': (('INPUT', 'DROP'), ('OUTPUT', 'DROP')),
    'reject': (
        ('INPUT', 'DROP'),
        ('OUTPUT', 'REJECT --reject-with tcp-reset'),
    ),
}
_TRIES = 20


class Address:
    """An address on this machine's loopback that namespaces can reach."""

    def __init__(self) -> None:
        _must_be_root()
        self.ip = _claim('lo', '32')

    def remove(self) -> None:
        """Give the address up."""
        _ip(f'addr del {self.ip}/32 dev lo')


class Namespace:
    """A network namespace with one link, to this machine.

    :ivar prefix: what to put before a command line to run it inside
    """

    def __init__(self) -> None:
        _must_be_root()
        token = f'{random.getrandbits(40):010x}'
        self.name = f'sg-{token}'
        self._outer, self._link = f'sgo{token}', f'sgi{token}'
        _ip(f'netns add {self.name}')
        self._connect()
        self.prefix = [_program('ip'), 'netns', 'exec', self.name]

    def _connect(self) -> None:
        _ip(
            f'link add {self._outer} type veth '
            f'peer name {self._link} netns {self.name}'
        )
        outer = _claim(self._outer, '30')
        inner = outer.rpartition('.')[0] + '.2'
        _ip(f'link set {self._outer} up')
        for command in (
            f'addr add {inner}/30 dev {self._link}',
            f'link set {self._link} up',
            'link set lo up',
            f'route add default via {outer}',
        ):
            _ip(f'-n {self.name} {command}')

    def remove(self) -> None:
        """Remove the namespace; its link and rules go with it."""
        _ip(f'netns del {self.name}')

    def cut(self, how: str = 'drop') -> None:
        """Let nothing through.

        :param how: ``drop`` (packets vanish) or ``reject`` (connections
            are reset and refused)
        """
        self.heal()
        for chain, target in _CUTS[how]:
            protocol = '-p tcp ' if 'REJECT' in target else ''
            self._rule(chain, f'{protocol}-j {target}')

    def lose(self, percent: float) -> None:
        """Lose this share of the packets, in each direction."""
        self.heal()
        for chain in ('INPUT', 'OUTPUT'):
            self._rule(
                chain,
                '-m statistic --mode random '
                f'--probability {percent / 100} -j DROP',
            )

    def lost(self) -> list[int]:
        """Return how many packets each rule has taken away."""
        listing = self._run(f'{_program("iptables")} -w -nvxL')
        return [
            int(line.split()[0])
            for line in listing.splitlines()
            if ' DROP ' in line or ' REJECT ' in line
        ]

    def heal(self) -> None:
        """Let everything through."""
        self._run(f'{_program("iptables")} -w -F')

    def _rule(self, chain: str, rule: str) -> None:
        way = '-i' if chain == 'INPUT' else '-o'
        self._run(
            f'{_program("iptables")} -w -A {chain} {way} {self._link} {rule}'
        )

    def _run(self, command: str) -> str:
        return _call([*self.prefix, *command.split()])


def _claim(device: str, bits: str) -> str:
    """Give device a random address that nobody has, and return it."""
    for _ in range(_TRIES):
        ip = f'10.{random.randrange(64, 255)}.{random.randrange(256)}.1'
        if f' {ip}/' not in _ip('-o addr show'):
            _ip(f'addr add {ip}/{bits} dev {device}')
            return ip
    raise RuntimeError('no free address')


def _must_be_root() -> None:
    if os.geteuid():
        raise PermissionError(
            'Network namespaces need root: run these tests as root.'
        )


def _ip(command: str) -> str:
    return _call([_program('ip'), *command.split()])


def _program(name: str) -> str:
    package = 'iproute2' if name == 'ip' else name
    return server.find_program(name, package)


def _call(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(argv)}: {done.stderr.strip()}')
    return done.stdout
