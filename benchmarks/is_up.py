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


"""service_is_up over whole fleets."""

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
right after a question, so zk and mc need not refresh their membership, which
they do once in a refresh_interval; see the part refresh. The floor is a driver
that looks the host up in a set. Ratios are those of the first deciles.
"""
_TURN = 1000
_STOCK_MC_TURN = 100
_STOCK_MC_HOSTS = 1000


class Floor:
    """The least that a driver with memberships in memory can do."""

    def __init__(self, hosts: list[str]) -> None:
        self._present = frozenset(hosts)

    def is_up(self, service_ref: Any) -> bool:
        """Tell whether the service is up."""
        return service_ref['host'] in self._present


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    sizes = (1000,) if quick else (1000, 10000, 100000)
    # Constructed once, as by a service; each size is a group of its own.
    apis = {
        'stock db': stage.stock_api('db'),
        'stock mc': stage.stock_api('mc'),
        **{f'our {name}': stage.api(name) for name in nova.OURS},
    }
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
    everyone = {**apis, 'floor': stage.api_of(Floor(records_.hosts(size)))}
    asked = dict.fromkeys(everyone, records)
    asked['stock mc'] = records[:_STOCK_MC_HOSTS]
    for name, api in everyone.items():
        if nova.count_up(api, asked[name]) != len(asked[name]):
            raise RuntimeError(f'{name}: not everybody is up')
    calls = {**dict.fromkeys(everyone, _TURN), 'stock mc': _STOCK_MC_TURN}
    times = rounds.take_turns(
        {
            name: nova.ask_in_turn(api, asked[name], calls[name])
            for name, api in everyone.items()
        },
        count,
        {
            name: nova.ask_in_turn(api, records[:1], 1)
            for name, api in everyone.items()
        },
    )
    return [
        _row(name, size, times, calls, _operations(api, records[:_TURN]))
        for name, api in everyone.items()
    ]


def _row(
    name: str,
    size: int,
    times: rounds.Times,
    calls: dict[str, int],
    operations: int,
) -> list[Any]:
    def ratio(base: str) -> float:
        return times.ratio(name, base) * calls[base] / calls[name]

    return [
        size,
        name,
        1e9 * times.median(name) / calls[name],
        1e9 * times.undisturbed(name) / calls[name],
        ratio('stock db'),
        ratio('stock mc'),
        ratio('floor'),
        operations,
    ]


def _operations(api: Any, records: list[Any]) -> int:
    """Count the operations of a turn, right after a question."""
    nova.count_up(api, records[:1])
    with rounds.operations() as counted:
        nova.count_up(api, records)
    return counted.count


def report_to_stock(api: Any, records: list[Any]) -> None:
    """Have Nova's mc driver see hosts up."""
    from oslo_utils import timeutils

    for each in records:
        key = f'{each.topic}:{each.host}'
        api._driver.mc.set(key, timeutils.utcnow())
