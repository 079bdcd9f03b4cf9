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

"""The plan of a simulation: which hosts join and which are killed. Pure."""

from collections.abc import Iterable, Sequence
import dataclasses
import socket

from nova_servicegroup import escaping
from nova_servicegroup import exceptions

#: The groups of Nova's own services, of any release.
RESERVED = frozenset(
    'api cells cert compute conductor console consoleauth metadata network '
    'scheduler'.split()
)

#: The most members of a process that do not delay each other.
MEMBERS_PER_PROCESS = 500

#: How many hosts an error names.
NAMED = 3


@dataclasses.dataclass(frozen=True)
class Plan:
    """The plan of a simulation.

    :ivar group: the group that the hosts join
    :ivar survivors: the hosts of each process that lives to the end
    :ivar doomed: the hosts of each process that is killed
    :ivar hold: seconds between the last join and the kill
    """

    group: str
    survivors: tuple[tuple[str, ...], ...]
    doomed: tuple[tuple[str, ...], ...]
    hold: float

    @property
    def processes(self) -> tuple[tuple[str, ...], ...]:
        """The hosts of each process, the doomed ones first."""
        return self.doomed + self.survivors

    @property
    def hosts(self) -> frozenset[str]:
        """All hosts."""
        return frozenset().union(*self.processes)

    @property
    def killed(self) -> frozenset[str]:
        """The hosts that are killed."""
        return frozenset().union(*self.doomed)

    @property
    def largest(self) -> int:
        """The most members of one process."""
        return max(map(len, self.processes))


def make(
    group: str, members: int, processes: int, percent: float, hold: float
) -> Plan:
    """Spread members over processes, of which those to kill are whole ones.

    :param percent: how many of the members to kill
    :raises ArgumentError: a single process would have to be killed in part
    """
    hosts = [f'{prefix()}{number:05d}' for number in range(1, members + 1)]
    killed = round(members * percent / 100)
    doomed = _doomed(members, killed, processes)
    return Plan(
        group,
        survivors=_deal(hosts[killed:], processes - doomed),
        doomed=_deal(hosts[:killed], doomed),
        hold=hold,
    )


def processes_for(members: int, processors: int) -> int:
    """Return a good number of processes for members, one of which is killed.

    :param processors: the number of processors
    """
    return max(processors, -(-members // MEMBERS_PER_PROCESS)) + 1


def _doomed(members: int, killed: int, processes: int) -> int:
    """Return how many processes to kill."""
    if not killed:
        return 0
    if killed == members:
        return processes
    if processes < 2:
        raise exceptions.ArgumentError(
            '--processes', processes, 'at least 2, of which some are killed'
        )
    share = round(processes * killed / members)
    return min(max(share, 1), processes - 1)


def _deal(hosts: Sequence[str], count: int) -> tuple[tuple[str, ...], ...]:
    """Split hosts into at most so many parts, none of them empty."""
    parts = (tuple(hosts[start::count]) for start in range(count))
    return tuple(part for part in parts if part)


def prefix() -> str:
    """Return the prefix of the names of this machine's hollow members."""
    return f'simulated-{socket.gethostname()}-'


def check_group(
    group: str, registered: Iterable[str], members: Iterable[str], force: bool
) -> None:
    """Refuse a group that is used by others.

    :param registered: the hosts with a record of Nova in the group
    :param members: the members of the group before the simulation
    :raises ArgumentError: the group is used
    """
    members = sorted(members)
    own = [each for each in members if each.startswith(prefix())]
    if own:
        raise _refused(
            group,
            'a group without members of an earlier simulation on this '
            f'machine. It has {escaping.names(own, NAMED)}: is another '
            'simulation running? If not, wait until they have expired',
        )
    if not force:
        _check_unused(group, registered, members)


def _check_unused(
    group: str, registered: Iterable[str], members: Iterable[str]
) -> None:
    if group in RESERVED:
        raise _refused(
            group, "a group that is not one of Nova's own, or any with --force"
        )
    foreign = {*registered}.union(
        each for each in members if not each.startswith('simulated-')
    )
    if foreign:
        raise _refused(
            group,
            'a group that is not in use, or any with --force. It has '
            f'{escaping.names(foreign, NAMED)}',
        )


def _refused(group: str, accepted: str) -> exceptions.ArgumentError:
    return exceptions.ArgumentError('--group', group, accepted)
