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


"""Keeps the metrics of one group."""

from collections.abc import Callable
import time

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup.exporter import flapping
from nova_servicegroup.exporter import metrics
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

#: Seconds after which a look that has not ended sees nothing.
_PATIENCE = 10.0

_ALIVE = (base.UP, base.HELD)


class Watch:
    """Watches one group, and keeps its metrics.

    Nothing but ``look`` asks the backend.
    """

    def __init__(
        self,
        servicegroup: api.API,
        group: str,
        kept: metrics.Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.group = group
        self._watcher = watcher.Watcher(
            servicegroup, group, clock=clock, wall=wall
        )
        self._metrics = kept
        self._flapping = flapping.Flapping(clock)
        self._clock = clock
        self._confirmed = clock()
        self._failed = True
        self._begun: float | None = None
        kept.prepare(group, self.age, self.is_blind)

    @property
    def seen(self) -> inventory.Inventory | None:
        """What the last look saw; None: there was none."""
        return self._watcher.last

    def age(self) -> float:
        """Return the seconds since the group was confirmed, or the start."""
        return self._clock() - self._confirmed

    def is_blind(self) -> bool:
        """Tell whether the last look saw nothing, or the present one hangs."""
        begun = self._begun
        hangs = begun is not None and self._clock() - begun > _PATIENCE
        return self._failed or hangs

    def look(self) -> None:
        """Look at the group once. Never raises."""
        begun = self._begun = self._clock()
        changes = self._watcher.look()
        self._begun = None
        self._metrics.looks.labels(self.group).observe(self._clock() - begun)
        if self.seen is not None:
            self._take(self.seen)
        for each in changes:
            self._count(each)
        self._metrics.flapping.labels(self.group).set(self._flapping.count())

    def _take(self, seen: inventory.Inventory) -> None:
        if seen.view.age is not None:
            self._confirmed = self._clock() - seen.view.age
        self._failed = seen.view.error is not None
        self._metrics.errors.labels(self.group).inc(self._failed)
        self._metrics.table_readable.labels(self.group).set(
            seen.unregistered is None
        )
        self._metrics.count(self.group, seen.count())

    def _count(self, change: watcher.Transition) -> None:
        before = metrics.STATES.get(change.before or '', metrics.NEW)
        self._metrics.transitions.labels(
            self.group, before, metrics.STATES[change.state]
        ).inc()
        if change.state != base.DOWN or change.before not in _ALIVE:
            return
        self._flapping.note(change.host)
        if change.proof_age is not None:
            self._metrics.detection.labels(self.group).observe(
                change.proof_age
            )
