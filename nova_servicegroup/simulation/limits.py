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

"""Checks whether this machine and the servers can take so many members."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import resource

from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup.simulation import plan
from nova_servicegroup.simulation import timers

#: Files that a process has open, and threads that it runs, without members.
SPARE = 50

_CGROUP = pathlib.Path('/sys/fs/cgroup')
_PROC = pathlib.Path('/proc')


@dataclasses.dataclass(frozen=True)
class Machine:
    """The limits of this machine.

    :ivar files: how many files a process may have open
    :ivar threads: for each limit, how many more threads it allows, and the
        setting to raise
    """

    files: int
    threads: tuple[tuple[int, str], ...]


def machine() -> Machine:
    """Return the limits of this machine."""
    return Machine(
        resource.getrlimit(resource.RLIMIT_NOFILE)[1], tuple(_threads())
    )


def _threads() -> Iterator[tuple[int, str]]:
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    # It does not apply to root.
    if hard != resource.RLIM_INFINITY and os.geteuid():
        yield hard - _own_threads(), 'ulimit -u'
    running = _number(_PROC / 'loadavg', field=3)
    for name in ('threads-max', 'pid_max'):
        allowed = _number(_PROC / 'sys/kernel' / name)
        if allowed is not None and running is not None:
            yield allowed - running, f'sysctl kernel.{name}'
    yield from _cgroup()


def _own_threads() -> int:
    """Return how many threads this user runs."""
    user, count = os.geteuid(), 0
    for each in _PROC.glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if each.stat().st_uid == user:
                count += len(list((each / 'task').iterdir()))
    return count


def _cgroup() -> Iterator[tuple[int, str]]:
    """Yield the limits of this process's control groups."""
    with contextlib.suppress(OSError):
        for line in (_PROC / 'self/cgroup').read_text().splitlines():
            _, controllers, path = line.split(':', 2)
            if controllers not in ('', 'pids'):
                continue
            place = _CGROUP / controllers / path.strip('/')
            for each in (place, *place.parents):
                allowed = _number(each / 'pids.max')
                if allowed is not None:
                    running = _number(each / 'pids.current') or 0
                    yield allowed - running, f'pids.max in {each}'
                if each == _CGROUP:
                    break


def _number(file: pathlib.Path, field: int = 0) -> int | None:
    """Return a number from a file of the kernel, or None if it has none."""
    try:
        return int(file.read_text().split()[field].rpartition('/')[2])
    except (OSError, ValueError, IndexError):
        return None


def check(driver: base.Driver, wanted: plan.Plan, here: Machine) -> list[str]:
    """Return warnings about the servers' limits, which cannot be read.

    :raises ArgumentError: this machine cannot take so many members
    """
    cost = driver.cost
    if cost is None:
        return []
    count = max(1, len(driver.servers or ()))
    connections = 1 if cost.spread else count
    _check_files(cost.files * connections, wanted, here)
    _check_threads(cost.threads * connections, wanted, here)
    return _server_warnings(cost, len(wanted.hosts), count)


def _check_files(files: int, wanted: plan.Plan, here: Machine) -> None:
    needed = wanted.largest * files + SPARE
    if needed > here.files:
        raise exceptions.ArgumentError(
            '--members',
            len(wanted.hosts),
            f'fewer, since a process may open {here.files} files and '
            f'{needed} are needed: raise ulimit -Hn to that, or --processes',
        )


def _check_threads(threads: int, wanted: plan.Plan, here: Machine) -> None:
    members = len(wanted.hosts)
    needed = members * threads + sum(
        timers.threads_for(len(hosts)) + SPARE for hosts in wanted.processes
    )
    for allowed, setting in here.threads:
        if needed > allowed:
            raise exceptions.ArgumentError(
                '--members',
                members,
                f'fewer, since {needed} threads are needed and {allowed} more '
                f'may be started: raise {setting}',
            )


def _server_warnings(cost: base.Cost, members: int, servers: int) -> list[str]:
    # The observer needs another one.
    connections = members + 1
    if cost.spread:
        connections = -(-connections // servers)
    if connections <= cost.max_connections:
        return []
    return [
        f'Each server must take {connections} connections from this address, '
        f'but takes {cost.max_connections} unless configured otherwise: see '
        f'{cost.setting}. Members that it turns away are never seen.'
    ]


def raise_files() -> None:
    """Raise this process's limit of open files to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
