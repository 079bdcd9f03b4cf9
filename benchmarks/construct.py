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

"""What the package adds to the start of a nova process."""

from collections.abc import Callable
import functools
import json
import statistics
import subprocess
import sys
from typing import Any

from benchmarks import nova
from benchmarks import report
from benchmarks import rounds

#: The number of driver objects that nova-api builds.
_DRIVERS = 486
_STOCK = ('db', 'mc')
_WITHOUT = 'without the package'
_PROCESSES = {
    _WITHOUT: 'db',
    'our db': 'db',
    'our zk': 'zk',
    'our mc': 'mc',
}

# Imports what a nova service imports and builds the API as it does. In the
# process without the package, our entry points of castellan and oslo.policy
# are hidden. Only code that is ours, or that ours replaces, is timed, since a
# whole start varies by more. Shared pages do not count.
_PROGRAM = """
import importlib.metadata, json, logging, pathlib, sys, time
config, driver, hidden = sys.argv[1:]
seconds = 0.0
if hidden:
    from stevedore import _cache
    find = _cache.get_group_all
    _cache.get_group_all = lambda *a: [
        each for each in find(*a)
        if not each.value.startswith('nova_servicegroup')]
else:
    begun = time.process_time()
    import nova_servicegroup.plugin.hook
    import nova_servicegroup.plugin.policy_hook
    seconds += time.process_time() - begun
import nova.conf
import nova.policies
import nova.service
nova.conf.CONF(['--config-file', config], project='nova')
nova.conf.CONF.set_override('servicegroup_driver', driver)
from nova import servicegroup
begun = time.process_time()
api = servicegroup.API()
seconds += time.process_time() - begun
ours = type(api._driver).__module__.startswith('nova_servicegroup')
assert ours == (not hidden), type(api._driver)
private = sum(
    int(line.split()[1])
    for line in pathlib.Path('/proc/self/smaps_rollup').read_text()
    .splitlines() if line.startswith('Private_'))
print(json.dumps([seconds, private / 1024]))
"""


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    return [_construct(stage, 5 if quick else 20), _start(stage, quick)]


def _construct(stage: nova.Stage, count: int) -> report.Table:
    makers = {f'stock {each}': _stock_maker(stage, each) for each in _STOCK}
    makers |= {f'our {each}': _maker(stage) for each in nova.OURS}
    times = rounds.take_turns(
        makers,
        count,
        {name: functools.partial(_choose, stage, name) for name in makers},
    )
    return report.Table(
        'construct',
        f'Constructing {_DRIVERS} drivers',
        ['driver', 'ms', 'us for each', 'ratio to stock db'],
        [
            [
                name,
                1e3 * times.undisturbed(name),
                1e6 * times.undisturbed(name) / _DRIVERS,
                times.ratio(name, 'stock db'),
            ]
            for name in makers
        ],
        'As nova-api does in one process. The rows of our drivers are for the'
        ' whole of nova.servicegroup.API(), which reads the options; the stock'
        ' rows are for their drivers alone.',
    )


def _maker(stage: nova.Stage) -> Callable[[], object]:
    assert stage.conf
    from nova import servicegroup

    return lambda: [servicegroup.API() for _ in range(_DRIVERS)]


def _stock_maker(stage: nova.Stage, name: str) -> Callable[[], object]:
    return lambda: [stage.stock_api(name) for _ in range(_DRIVERS)]


def _choose(stage: nova.Stage, name: str) -> None:
    stage.conf.set_override('servicegroup_driver', name.split()[1])


def _start(stage: nova.Stage, quick: bool) -> report.Table:
    seconds: dict[str, list[float]] = {name: [] for name in _PROCESSES}
    private: dict[str, list[float]] = {name: [] for name in _PROCESSES}
    for _ in range(1 if quick else 7):
        for name in _PROCESSES:
            taken, kept = _start_one(stage, name)
            seconds[name].append(taken)
            private[name].append(kept)
    return report.Table(
        'start',
        'Start of a nova process',
        ['process', 'CPU, ms', 'private MiB', 'added MiB'],
        [_start_row(name, seconds, private) for name in _PROCESSES],
        'Importing nova.service and constructing one API, as services do.'
        ' The CPU time is that of the first API, which imports the driver'
        ' and its libraries, and of importing the modules of our entry points.'
        ' The process without the package runs the stock db driver, with our'
        ' entry points hidden.',
    )


def _start_row(
    name: str, seconds: dict[str, list[float]], private: dict[str, list[float]]
) -> list[Any]:
    kept = statistics.median(private[name])
    return [
        name,
        1e3 * min(seconds[name]),
        kept,
        kept - statistics.median(private[_WITHOUT]),
    ]


def _start_one(stage: nova.Stage, name: str) -> tuple[float, float]:
    hidden = '1' if name == _WITHOUT else ''
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            _PROGRAM,
            str(stage.config),
            _PROCESSES[name],
            hidden,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f'{name}: {done.stderr[-2000:]}')
    taken, kept = json.loads(done.stdout.splitlines()[-1])
    return taken, kept
