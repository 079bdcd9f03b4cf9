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


"""Every metric: what it is called, and what it says.

The documentation has the same list.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
import itertools

import prometheus_client
from prometheus_client import core
from prometheus_client import registry

from nova_servicegroup import escaping
from nova_servicegroup.exporter import flapping
from nova_servicegroup import reporter
from nova_servicegroup.watch import inventory

#: What the name of every metric begins with.
PREFIX = 'nova_servicegroup'

#: The state before of a service that was not known before.
NEW = 'new'

#: States as they are written in labels.
STATES = {state: state.replace(' ', '_') for state in inventory.STATES}

#: Bounds in seconds: of looks, and of the time to the verdict.
_LOOKS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DETECTIONS = (0.5, 1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300)


class Metrics:
    """The metrics of groups and of the exporter, and a registry of their own.

    :param driver: the name of the driver by which groups are read
    """

    def __init__(self, driver: str) -> None:
        # Else every counter comes with the time of its start.
        prometheus_client.disable_created_metrics()  # type: ignore
        self.registry = registry.CollectorRegistry()
        self._driver = driver
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.Info(
            'build',
            'The version of nova-servicegroup, and the driver that is asked.',
            namespace=PREFIX,
            registry=self.registry,
        ).info(
            {
                'version': metadata.version('nova-servicegroup'),
                'driver': driver,
            }
        )
        self.members = prometheus_client.Gauge(
            'members',
            'Services of a group that are in a state: up; held: missing, but '
            'up because the absence is no evidence; down; forced_down by an '
            'operator.',
            ('group', 'driver', 'state'),
            namespace=PREFIX,
            registry=self.registry,
        )
        self.transitions = prometheus_client.Counter(
            'transitions',
            'Services of a group that went from one state to another. From '
            f'{NEW}: it was not known before.',
            ('group', 'from', 'to'),
            namespace=PREFIX,
            registry=self.registry,
        )
        self.flapping = prometheus_client.Gauge(
            'flapping_members',
            f'Services of a group that went down {flapping.TIMES} times or '
            f'more in the last {flapping.WINDOW / 60:.0f} minutes.',
            ('group',),
            namespace=PREFIX,
            registry=self.registry,
        )
        self.detection = prometheus_client.Histogram(
            'detection_seconds',
            'Seconds from the last proof of life of a service that was up or '
            'held until it was seen down. With zk and mc, proof is a read of '
            'the group that has the member, as it does until the session or '
            'the key of a dead one expires; with db, it is a heartbeat.',
            ('group',),
            buckets=_DETECTIONS,
            namespace=PREFIX,
            registry=self.registry,
        )
        self.looks = prometheus_client.Histogram(
            'refresh_seconds',
            'Seconds that a look at a group took, reading it included.',
            ('group',),
            buckets=_LOOKS,
            namespace=PREFIX,
            registry=self.registry,
        )
        self.errors = prometheus_client.Counter(
            'backend_errors',
            'Looks at a group for which the backend could not be read.',
            ('group',),
            namespace=PREFIX,
            registry=self.registry,
        )
        self.blind = prometheus_client.Gauge(
            'blind',
            '1 if the group could not be read at the last look, if a look '
            'hangs, or if there was none yet; else 0.',
            ('group',),
            namespace=PREFIX,
            registry=self.registry,
        )
        self.view_age = prometheus_client.Gauge(
            'view_age_seconds',
            'Seconds since the backend confirmed the group, or since the '
            'exporter was started if it never has.',
            ('group',),
            namespace=PREFIX,
            registry=self.registry,
        )
        self.table_readable = prometheus_client.Gauge(
            'services_table_readable',
            "1 if Nova's services table can be read, else 0: then no service "
            'is seen as forced down, and who never joined is not counted.',
            ('group',),
            namespace=PREFIX,
            registry=self.registry,
        )

    def prepare(
        self,
        group: str,
        age: Callable[[], float],
        is_blind: Callable[[], bool],
    ) -> None:
        """Have the series of a group, before anything happens to it.

        :param age: tells view_age_seconds, whenever that is asked for
        :param is_blind: tells blind
        """
        self.view_age.labels(group).set_function(age)
        self.blind.labels(group).set_function(is_blind)
        for metric in (self.errors, self.looks, self.detection):
            metric.labels(group)
        for before, after in itertools.product(
            (NEW, *STATES.values()), STATES.values()
        ):
            if before != after:
                self.transitions.labels(group, before, after)

    def count(self, group: str, states: dict[str, int]) -> None:
        """Take how many services of a group are in each state."""
        for state, number in states.items():
            self.members.labels(group, self._driver, STATES[state]).set(number)


class HostMetrics(registry.Collector):
    """One metric for each host, where that is wanted.

    :param seen: returns what the last looks saw, by group
    """

    def __init__(
        self,
        seen: Callable[[], Iterable[tuple[str, inventory.Inventory | None]]],
    ) -> None:
        self._seen = seen

    def collect(self) -> Iterator[core.Metric]:
        """See Collector."""
        member = core.GaugeMetricFamily(
            f'{PREFIX}_member_up',
            '1 if the service of a host is up or held, 0 if it is down or '
            'forced down.',
            labels=('group', 'host'),
        )
        for group, seen in self._seen():
            # A name that is escaped may be another's: one of them is shown.
            hosts = {
                escaping.printable(host): entry
                for host, entry in (seen.entries.items() if seen else ())
            }
            for host, entry in hosts.items():
                member.add_metric((group, host), float(entry.is_up))
        yield member


class CanaryMetrics(registry.Collector):
    """How the exporter's own heartbeats fare.

    :param counts: returns them; None: there is no canary
    """

    def __init__(self, counts: Callable[[], reporter.Counts | None]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[core.Metric]:
        """See Collector."""
        counts = self._counts()
        if counts is None:
            return
        for name, text, value in (
            ('beats', 'Heartbeats of the canary.', counts.beats),
            (
                'beat_failures',
                'Heartbeats of the canary that failed.',
                counts.failures,
            ),
            (
                'lost',
                'Times that the canary lost contact with the backend.',
                counts.lost,
            ),
            (
                'recovered',
                'Times that the canary regained contact with the backend.',
                counts.recovered,
            ),
        ):
            yield core.CounterMetricFamily(
                f'{PREFIX}_canary_{name}', text, value
            )
        yield core.GaugeMetricFamily(
            f'{PREFIX}_canary_last_success_timestamp_seconds',
            'When a heartbeat of the canary succeeded last, in seconds since '
            'the epoch; 0: none has.',
            counts.last_success or 0.0,
        )
