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

"""The time of service_is_up, in fleets of several sizes."""

from typing import Any

from benchmarks import nova
from benchmarks import records as records_
from benchmarks import report
from benchmarks import rounds

_HEADERS = [
    'hosts',
    'driver',
    'ns a call (median)',
    'ns a call (first decile)',
    'ratio to stock db',
    'ratio to stock mc',
    'ratio to the floor',
    'operations per 1,000 calls',
]
_NOTES = """API.service_is_up of Nova over real objects.Service, all up.
The contestants take turns, each with the next 1,000 records of the fleet (100
for stock mc, which is Nova's with dogpile.cache.pymemcache). A turn comes
right after another question, so zk and mc need not refresh their membership,
which they do once in a refresh_interval; see the part refresh. The floor is a
driver that looks the host up in a set. Ratios are those of the first deciles.
"""
_TURN = 1000
_STOCK_MC_TURN = 100
_STOCK_MC_HOSTS = 1000


class Floor:
    """The simplest driver with its memberships in memory."""

    def __init__(self, hosts: list[str]) -> None:
        self._present = frozenset(hosts)

    def is_up(self, service_ref: Any) -> bool:
        """Return whether the service is up."""
        return service_ref['host'] in self._present


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    sizes = (1000,) if quick else (1000, 10000, 100000)
    # Built once, as in a service; each size is a group of its own.
    apis = stage.apis()
    rows = [
        row
        for size in sizes
        for row in _rows(stage, apis, size, 20 if quick else 300)
    ]
    return [report.Table('is_up', 'service_is_up', _HEADERS, rows, _NOTES)]


def _rows(
    stage: nova.Stage, apis: dict[str, Any], size: int, count: int
) -> list[list[Any]]:
    group = f'compute{size}'
    stage.join(group, size)
    records = stage.services(group, size)
    report_to_stock(apis['stock mc'], records[:_STOCK_MC_HOSTS])
    records_.give(apis['our db'], records)
    apis = {**apis, 'floor': stage.api_of(Floor(records_.hosts(size)))}
    asked = dict.fromkeys(apis, records)
    asked['stock mc'] = records[:_STOCK_MC_HOSTS]
    for name, api in apis.items():
        if nova.count_up(api, asked[name]) != len(asked[name]):
            raise RuntimeError(f'{name}: not all hosts are up')
    calls = {**dict.fromkeys(apis, _TURN), 'stock mc': _STOCK_MC_TURN}
    turns, before = {}, {}
    for name, api in apis.items():
        turns[name] = nova.ask_in_turn(api, asked[name], calls[name])
        before[name] = nova.ask_in_turn(api, records[:1], 1)
    times = rounds.take_turns(turns, count, before)
    return [
        [size, name, *_times(name, times, calls)]
        + [_operations(api, records[:_TURN])]
        for name, api in apis.items()
    ]


def _times(
    name: str, times: rounds.Times, calls: dict[str, int]
) -> list[float]:
    """Return the time of a call in ns, and the ratios to each base."""
    return [
        1e9 * times.median(name) / calls[name],
        1e9 * times.undisturbed(name) / calls[name],
        *(
            times.ratio(name, base) * calls[base] / calls[name]
            for base in rounds.BASES
        ),
    ]


def _operations(api: Any, records: list[Any]) -> int:
    """Count the operations of a turn right after another question."""
    nova.count_up(api, records[:1])
    return rounds.operations(lambda: nova.count_up(api, records))


def report_to_stock(api: Any, records: list[Any]) -> None:
    """Write the keys with which Nova's mc driver sees hosts up."""
    from oslo_utils import timeutils

    for each in records:
        key = f'{each.topic}:{each.host}'
        api._driver.mc.set(key, timeutils.utcnow())
