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


"""A map of hosts by state, in blocks of a hundred, as paths of SVG.

Ten thousand hosts are a hundred small pictures, and not as many elements.
Each state has a shape of its own, so that nobody depends on colours.
"""

import collections
from collections.abc import Sequence
import dataclasses
import os.path

from nova_servicegroup.drivers import views
from nova_servicegroup.watch import inventory

#: The hosts of a row of a block, and of a block.
_COLUMNS = 10
_BLOCK = _COLUMNS**2
#: The side of a host's square.
SIDE = 8
#: The most hosts of a map of each size; larger ones are small.
_SIZES = ((1200, 'large'), (4000, 'medium'))
#: The most hosts that the title of a block names.
_NAMED = 8

#: The shape of each state, as the path from a corner of its square.
_SHAPES = {
    views.UP: 'm1 1h6v6h-6z',
    views.HELD: 'm1 1h6v6h-6zm2 2v2h2v-2z',
    views.DEGRADED: 'm4 0l4 7h-8z',
    views.DRAINING: 'm0 1h8l-4 7z',
    views.DOWN: 'm4 0l4 4-4 4-4-4z',
    inventory.FORCED_DOWN: 'm0 2l2-2 2 2 2-2 2 2-2 2 2 2-2 2-2-2-2 2-2-2 2-2z',
}

#: The name and the state of a host.
Host = tuple[str, str]


def slug(state: str) -> str:
    """Return the name of a state in the style sheet."""
    return state.replace(' ', '-')


def icon(state: str) -> str:
    """Return the path of the shape of a state, from a corner."""
    return f'M0 0{_SHAPES[state]}'


#: The paths of each state at each place of a block.
_AT = {
    state: [
        f'M{number % _COLUMNS * SIDE} {number // _COLUMNS * SIDE}{shape}'
        for number in range(_BLOCK)
    ]
    for state, shape in _SHAPES.items()
}


@dataclasses.dataclass(frozen=True)
class Block:
    """Up to a hundred hosts.

    :ivar label: the first host, without what all hosts of the map begin with
    :ivar title: which hosts these are, and which of them are not up
    :ivar height: in units of the path, as wide as ten hosts
    :ivar paths: the slug of each state, and the path of its hosts
    """

    label: str
    title: str
    height: int
    paths: list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Map:
    """The map of a group.

    :ivar size: the name of its size in the style sheet
    :ivar prefix: what the names of all hosts begin with
    """

    size: str
    prefix: str
    blocks: list[Block]


def draw(hosts: Sequence[Host]) -> Map:
    """Return the map of hosts, of at least one.

    :param hosts: in order; their names must be printable
    """
    size = next((it for most, it in _SIZES if len(hosts) <= most), 'small')
    prefix = _prefix([name for name, _ in hosts])
    blocks = [
        _block(hosts[begin : begin + _BLOCK], len(prefix))
        for begin in range(0, len(hosts), _BLOCK)
    ]
    return Map(size, prefix, blocks)


def _prefix(names: Sequence[str]) -> str:
    """Return what all names begin with, up to the last letter or mark."""
    if len(names) == 1:
        return ''
    return os.path.commonprefix(names).rstrip('0123456789')


def _block(hosts: Sequence[Host], skipped: int) -> Block:
    parts: dict[str, list[str]] = collections.defaultdict(list)
    for number, (_, state) in enumerate(hosts):
        parts[state].append(_AT[state][number])
    return Block(
        hosts[0][0][skipped:],
        _title(hosts, len(hosts) - len(parts.get(views.UP, ()))),
        SIDE * -(-len(hosts) // _COLUMNS),
        [(slug(state), ''.join(each)) for state, each in parts.items()],
    )


def _title(hosts: Sequence[Host], unfit: int) -> str:
    title = f'{hosts[0][0]} to {hosts[-1][0]}'
    if not unfit:
        return f'{title}: all up'
    named = [each for each in hosts if each[1] != views.UP][:_NAMED]
    names = ', '.join(f'{name} ({state})' for name, state in named)
    more = f' and {unfit - len(named)} more' if unfit > len(named) else ''
    return f'{title}: {names}{more}'
