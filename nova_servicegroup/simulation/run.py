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

"""The course of a simulation."""

from collections.abc import Callable
import time
from typing import Protocol

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.simulation import hollow
from nova_servicegroup.simulation import plan
from nova_servicegroup.simulation import tally
from nova_servicegroup.simulation import workers
from nova_servicegroup.watch import watcher

#: Seconds without any news after which nothing more is expected.
_PATIENCE = 60.0

#: Seconds for a process to say what it has used.
_MEASURES_WITHIN = 10.0


class Progress(Protocol):
    """Is told how far it is."""

    def show(self, phase: str, done: float, total: float) -> None:
        """Take note that so much of the total of a phase is done."""


class Simulation:
    """Runs a plan, once.

    :param servicegroup: the API, which has not been used yet
    :param force: also in a group that others use
    """

    def __init__(
        self,
        servicegroup: api.API,
        wanted: plan.Plan,
        progress: Progress,
        force: bool = False,
    ) -> None:
        conf, driver = servicegroup.driver.conf, servicegroup.driver
        self._api = servicegroup
        self._plan = wanted
        self._progress = progress
        self._force = force
        self._pause = conf.servicegroup.refresh_interval / 2
        self._tally = tally.Tally(wanted)
        # The times of processes and of transitions are of one clock.
        self._watcher = watcher.Watcher(
            servicegroup, wanted.group, wall=time.monotonic
        )
        self._hold_time = float(opts.hold_time(conf))
        self._promised = tally.promise(
            wanted, driver.found_within, self._hold_time
        )

    def run(self) -> tally.Summary:
        """Return what came of it. Whatever happens, all members leave.

        :raises ArgumentError: the group is used by others
        :raises BackendError: the group cannot be read
        :raises SimulationError: a process has ended by itself
        """
        with workers.Workers(self._api, self._plan) as self._workers:
            self._check_group()
            self._join()
            if self._tally.up:
                self._hold()
                self._kill()
        return self._tally.summary(self._promised)

    def failures(self) -> list[str]:
        """Return what was seen and should not be, a line for each kind."""
        return self._tally.failures()

    def _check_group(self) -> None:
        view = self._read()
        try:
            records = self._api.driver.read_records(self._plan.group)
        except exceptions.BackendError:
            # Nobody here can know more than the group itself tells.
            records = []
        plan.check_group(
            self._plan.group,
            [each['host'] for each in records],
            [each.host for each in view.members],
            self._force,
        )

    def _read(self) -> base.View:
        """Return the group, once the backend has told of it.

        :raises BackendError: it does not
        """
        conf = self._api.driver.conf
        end = time.monotonic() + 2 * conf.servicegroup.read_timeout
        while True:
            view = self._api.view(self._plan.group)
            if view.error is None and view.age is not None:
                return view
            if time.monotonic() > end:
                raise view.error or exceptions.BackendError(
                    'backend', 'no answer'
                )
            time.sleep(self._pause)

    def _join(self) -> None:
        seen = self._tally
        self._watcher.look()
        self._workers.tell(hollow.JOIN)
        total = len(self._plan.hosts)
        self._watch(
            lambda: seen.all_joined and seen.all_up,
            lambda: len(seen.joined) + len(seen.up),
            lambda: self._progress.show('seen up', len(seen.up), total),
        )

    def _hold(self) -> None:
        begun, hold = time.monotonic(), self._plan.hold
        self._workers.tell(hollow.HOLD)

        def held() -> float:
            return min(hold, time.monotonic() - begun)

        self._watch(
            lambda: held() >= hold,
            held,
            lambda: self._progress.show('holding', held(), hold),
        )
        self._workers.tell(hollow.MEASURE)
        seen = self._tally
        self._watch(
            lambda: seen.all_measured,
            lambda: len(seen.usage),
            lambda: None,
            _MEASURES_WITHIN,
        )

    def _kill(self) -> None:
        seen, total = self._tally, len(self._plan.killed)
        if not total:
            return
        seen.kill(self._workers.kill())
        self._watch(
            lambda: seen.all_found,
            lambda: len(seen.found),
            lambda: self._progress.show('found dead', len(seen.found), total),
            2 * (self._promised or 0) + self._hold_time + _PATIENCE,
        )

    def _watch(
        self,
        done: Callable[[], bool],
        news: Callable[[], float],
        show: Callable[[], None],
        patience: float = _PATIENCE,
    ) -> None:
        """Look until it is done, or nothing has changed for too long."""
        before, since = news(), time.monotonic()
        while not done() and time.monotonic() - since < patience:
            self._tally.hear(self._workers.listen(self._pause))
            self._tally.see(self._watcher.look())
            show()
            if news() != before:
                before, since = news(), time.monotonic()
        show()
