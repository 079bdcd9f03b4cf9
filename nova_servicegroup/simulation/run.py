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

import enum
import time
from typing import Any, NamedTuple, TextIO

from nova_servicegroup import api
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.simulation import hollow
from nova_servicegroup.simulation import plan
from nova_servicegroup.simulation import results
from nova_servicegroup.simulation import workers
from nova_servicegroup.watch import watcher

#: Seconds without progress after which a phase is given up.
_PATIENCE = 60.0

#: Seconds that the processes may take to report their usage.
_MEASURES_WITHIN = 10.0

#: The width of the bar on a terminal in characters, and the seconds between
#: two lines on a pipe.
_BAR_WIDTH = 30
_LINE_INTERVAL = 10.0


class Progress:
    """A progress display: a bar on a terminal, else a line now and then."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._bar = out.isatty()
        self._phase = ''
        self._due = 0.0
        self._shown = ''

    def show(self, phase: str, done: float, total: float) -> None:
        """Show how much of the total of a phase is done."""
        new, over = phase != self._phase, done >= total
        text = f'{phase}: {int(done)} of {int(total)}'
        if text == self._shown:
            return
        if self._bar:
            self._draw(text, done / total if total else 1.0, new)
        elif new or over or time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_INTERVAL
            self._out.write(f'{text}\n')
        self._phase, self._shown = phase, text
        self._out.flush()

    def close(self) -> None:
        """End the line of the bar."""
        if self._bar and self._phase:
            self._out.write('\n')
            self._out.flush()
        self._phase = self._shown = ''

    def _draw(self, text: str, share: float, new: bool) -> None:
        if new and self._phase:
            self._out.write('\n')
        done = '#' * round(_BAR_WIDTH * min(1.0, share))
        self._out.write(f'\r[{done:.<{_BAR_WIDTH}}] {text}\033[K')


class _Watcher(watcher.Watcher):
    """A watcher whose transitions have times of the monotonic clock."""

    def _now(self) -> float:
        return time.monotonic()


class _Phase(enum.Enum):
    """A phase of the simulation; the value is its label in the display."""

    JOIN = 'seen up'
    HOLD = 'holding'
    MEASURE = ''
    KILL = 'found dead'


class _Count(NamedTuple):
    """The progress of a phase.

    :ivar done: the part of the total that is shown as done
    :ivar missing: what is left until the phase is over
    """

    done: float
    total: float
    missing: float


class Simulation:
    """One run of a plan.

    :param servicegroup: the API, which must not have been used yet
    :param force: whether to run in a group that others use
    """

    def __init__(
        self,
        servicegroup: api.API,
        wanted: plan.Plan,
        progress: Progress,
        force: bool = False,
    ) -> None:
        self._api = servicegroup
        self._plan = wanted
        self._progress = progress
        self._force = force
        self._results = results.Results(wanted)
        self._watcher = _Watcher(servicegroup, wanted.group)
        self._held_since = 0.0

    @property
    def _hold_time(self) -> float:
        return float(opts.hold_time(self._api.driver.conf))

    @property
    def _pause(self) -> float:
        """Seconds between two reads of the group."""
        options = self._api.driver.conf.servicegroup
        return float(options.refresh_interval / 2)

    @property
    def _promised(self) -> float | None:
        """The seconds within which killed hosts must be seen down."""
        found_within = self._api.driver.found_within
        return results.promise(self._plan, found_within, self._hold_time)

    def run(self) -> dict[str, Any]:
        """Run the plan and return the summary; all members leave in any case.

        :raises ArgumentError: the group is used by others
        :raises BackendError: the group cannot be read
        :raises SimulationError: a process has ended by itself
        """
        with workers.Workers(self._api, self._plan) as self._workers:
            self._check_group()
            self._join()
            if self._results.up:
                self._hold()
                self._kill()
        return self._results.summary(self._promised)

    @property
    def passed(self) -> bool:
        """See Results."""
        return self._results.passed

    def failures(self) -> list[str]:
        """See Results."""
        return self._results.failures()

    def _check_group(self) -> None:
        view = self._read()
        try:
            records = self._api.driver.read_records(self._plan.group)
        except exceptions.BackendError:
            # Without access to Nova's records, check only the members.
            records = []
        plan.check_group(
            self._plan.group,
            [each['host'] for each in records],
            [each.host for each in view.members],
            self._force,
        )

    def _read(self) -> views.View:
        """Return the group as soon as the backend has confirmed it.

        :raises BackendError: the backend does not answer in time
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
        self._watcher.poll()
        self._workers.send(hollow.JOIN)
        self._watch(_Phase.JOIN)

    def _hold(self) -> None:
        self._held_since = time.monotonic()
        self._workers.send(hollow.HOLD)
        self._watch(_Phase.HOLD)
        self._workers.send(hollow.MEASURE)
        self._watch(_Phase.MEASURE, _MEASURES_WITHIN)

    def _kill(self) -> None:
        if self._plan.killed:
            self._results.kill(self._workers.kill())
            patience = 2 * (self._promised or 0) + self._hold_time + _PATIENCE
            self._watch(_Phase.KILL, patience)

    def _watch(self, phase: _Phase, patience: float = _PATIENCE) -> None:
        """Observe until a phase is over, or has made no progress too long."""
        count, since = self._count(phase), time.monotonic()
        while count.missing > 0 and time.monotonic() - since < patience:
            self._results.receive(self._workers.receive(self._pause))
            self._results.observe(self._watcher.poll())
            before, count = count, self._count(phase)
            self._show(phase, count)
            if count != before:
                since = time.monotonic()
        self._show(phase, count)

    def _count(self, phase: _Phase) -> _Count:
        seen, wanted = self._results, self._plan
        if phase is _Phase.JOIN:
            total, up = len(wanted.hosts), len(seen.up)
            return _Count(up, total, 2 * total - up - len(seen.joined))
        if phase is _Phase.HOLD:
            held = min(wanted.hold, time.monotonic() - self._held_since)
            return _Count(held, wanted.hold, wanted.hold - held)
        if phase is _Phase.MEASURE:
            done, total = len(seen.usage), len(wanted.processes)
            return _Count(done, total, total - done)
        found, up = len(seen.found), len(wanted.killed & seen.up.keys())
        return _Count(found, len(wanted.killed), up - found)

    def _show(self, phase: _Phase, count: _Count) -> None:
        if phase.value:
            self._progress.show(phase.value, count.done, count.total)
