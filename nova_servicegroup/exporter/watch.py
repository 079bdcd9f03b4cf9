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
from nova_servicegroup.exporter import metrics
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

#: Seconds after which a poll that has not ended counts as blind.
_POLL_TIMEOUT = 10.0

_ALIVE = (views.UP, views.HELD, *metrics.UNFIT)


class GroupWatch:
    """Watch of one group, which updates its metrics.

    Only ``poll`` asks the backend.
    """

    def __init__(
        self, servicegroup: api.API, group: str, target: metrics.Metrics
    ) -> None:
        self.group = group
        self._watcher = watcher.Watcher(servicegroup, group)
        self._metrics = target
        self._flapping = metrics.Flapping()
        self._confirmed = time.monotonic()
        self._failed = True
        self._begun: float | None = None
        target.prepare(group)
        self._series('view_age_seconds').set_function(self.age)
        self._series('blind').set_function(self.is_blind)

    @property
    def seen(self) -> inventory.Inventory | None:
        """The inventory of the last poll, or None before the first."""
        return self._watcher.last

    def age(self) -> float:
        """Return seconds since the group was confirmed, or since the start."""
        return time.monotonic() - self._confirmed

    def is_blind(self) -> bool:
        """Return whether the last poll failed or the present one hangs."""
        begun = self._begun
        hangs = begun is not None and time.monotonic() - begun > _POLL_TIMEOUT
        return self._failed or hangs

    def poll(self) -> None:
        """Read the group once and update its metrics. Never raises."""
        begun = self._begun = time.monotonic()
        changes = self._watcher.poll()
        self._begun = None
        self._series('refresh_seconds').observe(time.monotonic() - begun)
        if self.seen is not None:
            self._update(self.seen)
        for each in changes:
            self._count(each)
        self._series('flapping_members').set(self._flapping.count())

    def _series(self, name: str, *labels: str) -> Any:
        return self._metrics.of(self.group, name, *labels)

    def _update(self, seen: inventory.Inventory) -> None:
        if seen.view.age is not None:
            self._confirmed = time.monotonic() - seen.view.age
        self._failed = seen.view.error is not None
        self._series('backend_errors').inc(self._failed)
        self._series('services_table_readable').set(seen.unregistered is None)
        self._series('ignored_checks').set(len(seen.view.ignored))
        self._metrics.count(self.group, seen.count())

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
