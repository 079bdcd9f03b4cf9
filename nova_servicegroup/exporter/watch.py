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

"""The watches of groups, which update their metrics."""

from collections.abc import Iterator, Sequence
import time
from typing import Any

from prometheus_client import core
from prometheus_client import registry

from nova_servicegroup import api
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup.exporter import history
from nova_servicegroup.exporter import metrics
from nova_servicegroup.watch import health
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

_ALIVE = (views.UP, views.HELD, *metrics.UNFIT)


class GroupWatch:
    """Watch of one group, which updates its metrics.

    Only ``poll`` asks the backend.

    :ivar health: how its readings go
    :ivar history: its last transitions
    """

    def __init__(
        self, servicegroup: api.API, group: str, target: metrics.Metrics
    ) -> None:
        self.group = group
        self._watcher = watcher.Watcher(servicegroup, group)
        self._metrics = target
        self._flapping = metrics.Flapping()
        self.health = health.Health(servicegroup.driver.conf, group)
        self.history = history.History()
        target.prepare(group)
        self._series('view_age_seconds').set_function(self.health.age)
        self._series('blind').set_function(self._is_blind)

    @property
    def seen(self) -> inventory.Inventory | None:
        """The inventory of the last poll, or None before the first."""
        return self._watcher.last

    def proof_age(self, host: str) -> float | None:
        """See watcher.Watcher."""
        return self._watcher.proof_age(host)

    def _is_blind(self) -> bool:
        return self.health.blindness() is not None

    def poll(self) -> None:
        """Read the group once and update its metrics. Never raises."""
        begun = time.monotonic()
        with self.health.reading():
            changes = self._watcher.poll()
        self._series('refresh_seconds').observe(time.monotonic() - begun)
        if self.seen is not None:
            self.health.update(self.seen.view)
            self.history.add(changes, self.seen.entries)
            self._update(self.seen)
        for each in changes:
            if not each.is_of_domain:
                self._count(each)
        self._series('flapping_members').set(self._flapping.count())

    def _series(self, name: str, *labels: str) -> Any:
        return self._metrics.of(self.group, name, *labels)

    def _update(self, seen: inventory.Inventory) -> None:
        self._series('backend_errors').inc(seen.view.error is not None)
        self._series('services_table_readable').set(seen.unregistered is None)
        self._series('ignored_checks').set(len(seen.view.ignored))
        self._series('lost_domains').set(len(self._watcher.lost))
        self._metrics.count(self.group, seen.count())
        for evidence, number in seen.count_evidence().items():
            self._series('members_down', evidence).set(number)

    def _count(self, change: watcher.Transition) -> None:
        before = metrics.STATES.get(change.before or '', metrics.NEW)
        after = metrics.STATES[change.state]
        if before != after:
            self._series('transitions', before, after).inc()
        if change.state != views.DOWN or change.before not in _ALIVE:
            return
        self._flapping.add_down(change.host)
        if change.proof_age is not None:
            self._series('detection_seconds').observe(change.proof_age)


class HostMetrics(registry.Collector):
    """Metrics of each host in the inventories of watches."""

    def __init__(self, watches: Sequence[GroupWatch]) -> None:
        self._watches = watches

    def collect(self) -> Iterator[core.Metric]:
        """See Collector."""
        member = core.GaugeMetricFamily(
            f'{metrics.PREFIX}_member_up',
            '1 if the service of a host is up, fit or unfit, or held, 0 if '
            'it is down or forced down.',
            labels=('group', 'host'),
        )
        unfit = core.GaugeMetricFamily(
            f'{metrics.PREFIX}_member_unfit_since_timestamp_seconds',
            'Since when the service of a host is unfit, in seconds since the '
            'epoch by its own clock. Without a series, it is fit.',
            labels=('group', 'host', 'state', 'reason'),
        )
        for group, host, entry in self._hosts():
            member.add_metric((group, host), float(entry.is_up))
            why = entry.condition
            if why is not None and entry.state in metrics.UNFIT:
                labels = (group, host, why.state, why.reason)
                unfit.add_metric(labels, why.since)
        yield from (member, unfit)

    def _hosts(self) -> Iterator[tuple[str, str, inventory.Entry]]:
        """Return the group, the printable name and the entry of each host.

        Of hosts whose printable names are the same, only one is returned.
        """
        for each in self._watches:
            entries = each.seen.entries if each.seen else {}
            shown = {escaping.printable(k): v for k, v in entries.items()}
            for host, entry in shown.items():
                yield each.group, host, entry
