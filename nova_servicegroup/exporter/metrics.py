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

"""The metrics of the exporter: their names, labels and meaning.

The documentation has the same list.
"""

import collections
import functools
from importlib import metadata
import itertools
import time
from typing import Any

import prometheus_client
from prometheus_client import registry

from nova_servicegroup.drivers import views
from nova_servicegroup.watch import inventory

#: A service is flapping if it has gone down TIMES times in WINDOW seconds.
TIMES = 3
WINDOW = 1800.0


class Flapping:
    """Counter of the flapping services of one group."""

    def __init__(self) -> None:
        # The last times at which each host went down, at most TIMES of them.
        self._downs: dict[str, collections.deque[float]] = {}

    def add_down(self, host: str) -> None:
        """Record that the service of a host has just gone down."""
        downs = self._downs.setdefault(host, collections.deque(maxlen=TIMES))
        downs.append(time.monotonic())

    def count(self) -> int:
        """Return the number of flapping services."""
        since = time.monotonic() - WINDOW
        self._downs = {
            host: downs
            for host, downs in self._downs.items()
            if downs[-1] >= since
        }
        return sum(
            len(downs) == TIMES and downs[0] >= since
            for downs in self._downs.values()
        )


#: The namespace of the metrics, with which their names begin.
PREFIX = 'nova_servicegroup'

#: The state before of a service that is new.
NEW = 'new'

#: The states of services that are up, but get no new work.
UNFIT = (views.DEGRADED, views.DRAINING)
#: The labels of states; degraded and draining services count as up.
STATES = {
    state: views.UP if state in UNFIT else state.replace(' ', '_')
    for state in inventory.STATES
}
_LABELS = tuple(dict.fromkeys(STATES.values()))

#: The metrics of a group: type, help, and the labels that follow the group.
_OF_GROUP: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    'members': (
        prometheus_client.Gauge,
        'Services of a group that are in a state: up, fit or unfit; held: '
        'missing, but up because the absence is no evidence; down; '
        'forced_down by an operator.',
        ('driver', 'state'),
    ),
    'unfit_members': (
        prometheus_client.Gauge,
        'Services of a group that are up and unfit: degraded, a check of '
        'their own fails; draining, they have begun to stop. Nova gives them '
        'no new servers.',
        ('state',),
    ),
    'members_down': (
        prometheus_client.Gauge,
        'Services of a group that are down or forced_down, by the evidence. '
        'silent: neither the service nor the agent of its host reports; '
        'fenced: and the watchdog of the host has reset it; in '
        'process-stopped, process-died and not-reporting, the agent does.',
        ('evidence',),
    ),
    'ignored_checks': (
        prometheus_client.Gauge,
        'Checks that so many services of a group fail, or have begun to fail '
        'together, that these are not degraded for them.',
        (),
    ),
    'lost_domains': (
        prometheus_client.Gauge,
        'Failure domains of a group of which more than half was lost at once, '
        'and most of which is not back.',
        (),
    ),
    'transitions': (
        prometheus_client.Counter,
        'Services of a group that went from one state to another. From '
        f'{NEW}: it was not known before.',
        ('from', 'to'),
    ),
    'flapping_members': (
        prometheus_client.Gauge,
        f'Services of a group that went down {TIMES} times or more in the '
        f'last {WINDOW / 60:.0f} minutes.',
        (),
    ),
    'detection_seconds': (
        functools.partial(
            prometheus_client.Histogram,
            buckets=(0.5, 1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300),
        ),
        'Seconds from the last proof of life of a service that was up or '
        'held until it was seen down. With zk and mc, proof is a read of the '
        'group that has the member, as it does until the session or the key '
        'of a dead one expires; with db, it is a heartbeat.',
        (),
    ),
    'refresh_seconds': (
        functools.partial(
            prometheus_client.Histogram,
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        ),
        'Seconds that a reading of a group and its records took.',
        (),
    ),
    'backend_errors': (
        prometheus_client.Counter,
        'Readings of a group for which the backend could not be read.',
        (),
    ),
    'blind': (
        prometheus_client.Gauge,
        '1 if the last reading of the group failed, if one hangs, or if there '
        'was none yet; else 0.',
        (),
    ),
    'view_age_seconds': (
        prometheus_client.Gauge,
        'Seconds since the backend confirmed the group, or since the '
        'exporter was started if it never has.',
        (),
    ),
    'services_table_readable': (
        prometheus_client.Gauge,
        "1 if Nova's services table can be read, else 0: then no service is "
        'seen as forced down, and one that never joined is not counted.',
        (),
    ),
}


class Metrics:
    """The metrics of groups and of the exporter, in their own registry.

    :param driver: the name of the driver that reads the groups
    :ivar registry: the registry of prometheus-client
    """

    def __init__(self, driver: str) -> None:
        # By default every counter has a second metric: when it was created.
        prometheus_client.disable_created_metrics()  # type: ignore
        self.registry = registry.CollectorRegistry()
        self._driver = driver
        prometheus_client.ProcessCollector(registry=self.registry)
        own: Any = {'namespace': PREFIX, 'registry': self.registry}
        version = metadata.version('nova-servicegroup')
        prometheus_client.Info(
            'build',
            'The version of nova-servicegroup, and the driver that is asked.',
            **own,
        ).info({'version': version, 'driver': driver})
        self._of_group = {
            name: make(name, text, ('group', *labels), **own)
            for name, (make, text, labels) in _OF_GROUP.items()
        }

    def of(self, group: str, name: str, *labels: str) -> Any:
        """Return a series of a group, which its first use creates."""
        return self._of_group[name].labels(group, *labels)

    def prepare(self, group: str) -> None:
        """Create the series of a group, so that they start at zero."""
        for name in ('backend_errors', 'refresh_seconds', 'detection_seconds'):
            self.of(group, name)
        for before, after in itertools.product((NEW, *_LABELS), _LABELS):
            if before != after:
                self.of(group, 'transitions', before, after)

    def count(self, group: str, states: dict[str, int]) -> None:
        """Set the number of services of a group in each state."""
        sums = dict.fromkeys(_LABELS, 0)
        for state, number in states.items():
            sums[STATES[state]] += number
        for label, number in sums.items():
            self.of(group, 'members', self._driver, label).set(number)
        for state in UNFIT:
            self.of(group, 'unfit_members', state).set(states[state])
