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

"""The time of a pass over a whole fleet, by Nova's own classes."""

from collections.abc import Callable
import functools
from typing import Any

from benchmarks import is_up
from benchmarks import nova
from benchmarks import records as records_
from benchmarks import report
from benchmarks import rounds

_HEADERS = [
    'pass',
    'hosts',
    'driver',
    'ms a pass (median)',
    'ms a pass (first decile)',
    'ratio to stock db',
    'ratio to stock mc',
    'ratio to the floor',
    'operations',
]
_NOTES = """What nova-scheduler and nova-api do with all hosts at once. The
first is Nova's ComputeFilter over host states whose services are plain dicts,
as Nova makes them. The second is what GET /os-services does with each record:
the verdict and the time of its last heartbeat, without reading the records
from the database. The contestants take turns, each with a whole pass, in which
zk and mc refresh their membership when it is due. The floor is a driver that
looks the host up in a set.
"""


class _Floor(is_up.Floor):
    """The simplest driver for os-services."""

    def updated_time(self, service_ref: Any) -> Any:
        """Return the time of the last heartbeat."""
        return service_ref['updated_at']


def run(stage: nova.Stage, quick: bool) -> list[report.Table]:
    """Return the part's tables."""
    size, count = (1000, 3) if quick else (10000, 15)
    group = f'passes{size}'
    stage.join(group, size)
    records = stage.services(group, size)
    apis = _apis(stage, records)
    makers = {'scheduler': _scheduler, 'os-services': _os_services}
    rows = [
        row
        for name, make in makers.items()
        for row in _rows(
            name,
            {driver: make(apis[driver], records) for driver in apis},
            size,
            count,
        )
    ]
    return [report.Table('passes', 'Passes of Nova', _HEADERS, rows, _NOTES)]


def _apis(stage: nova.Stage, records: list[Any]) -> dict[str, Any]:
    floor = _Floor([each.host for each in records])
    apis = {**stage.apis(), 'floor': stage.api_of(floor)}
    is_up.report_to_stock(apis['stock mc'], records)
    records_.give(apis['our db'], records)
    return apis


def _rows(
    name: str,
    passes: dict[str, Callable[[], int]],
    size: int,
    count: int,
) -> list[list[Any]]:
    for driver, call in passes.items():
        if call() != size:
            raise RuntimeError(f'{name}, {driver}: not all hosts are up')
    times = rounds.take_turns(passes, count)
    return [
        [
            name,
            size,
            driver,
            1e3 * times.median(driver),
            1e3 * times.undisturbed(driver),
            *(times.ratio(driver, base) for base in rounds.BASES),
            rounds.operations(call),
        ]
        for driver, call in passes.items()
    ]


def _scheduler(api: Any, records: list[Any]) -> Callable[[], int]:
    from nova.scheduler.filters import compute_filter

    asked = compute_filter.ComputeFilter()
    asked.servicegroup_api = api
    states = [_state(each) for each in records]
    return lambda: len(list(asked.filter_all(states, None)))


def _state(record: Any) -> Any:
    from nova.scheduler import host_manager

    made = host_manager.HostState(record.host, record.host, None)
    made.update(service=dict(record))
    return made


def _os_services(api: Any, records: list[Any]) -> Callable[[], int]:
    from nova.api.openstack import api_version_request
    from nova.api.openstack.compute import services
    from nova.api.openstack import wsgi

    controller = services.ServiceController.__new__(services.ServiceController)
    controller.servicegroup_api = api
    request = wsgi.Request.blank('/os-services')
    request.api_version_request = api_version_request.APIVersionRequest('2.53')
    detail = functools.partial(
        controller._get_service_detail, additional_fields=(), req=request
    )
    return lambda: sum(detail(each)['state'] == 'up' for each in records)
