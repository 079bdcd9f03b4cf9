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

"""What happens in a group and to its backend, and how that is shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import json
import os
import shutil
import time
from typing import Any, TextIO

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.cmd import _cells
from nova_servicegroup.cmd import _startup
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher


@dataclasses.dataclass(frozen=True)
class Begun:
    """The group was seen for the first time.

    :ivar at: when, in seconds since the epoch
    :ivar counts: how many are in each of inventory.STATES
    """

    at: float
    group: str
    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Lost:
    """The group cannot be read.

    :ivar at: when that was seen, in seconds since the epoch
    :ivar age: seconds since the backend has confirmed it; None: never
    """

    at: float
    group: str
    reason: str
    age: float | None


@dataclasses.dataclass(frozen=True)
class Recovered:
    """The group can be read again.

    :ivar at: when that was seen, in seconds since the epoch
    :ivar after: seconds since the contact was lost
    """

    at: float
    group: str
    after: float


@dataclasses.dataclass(frozen=True)
class Ignored:
    """Checks fail on so many that it is hardly their fault, or do no more.

    :ivar at: when that was seen, in seconds since the epoch
    :ivar checks: all for which nobody is degraded, from now on
    """

    at: float
    group: str
    checks: tuple[str, ...]


Event = Begun | Lost | Recovered | Ignored | watcher.Transition


class EventStream:
    """Watches one group, and the contact with its backend."""

    def __init__(self, servicegroup: api.API, group: str) -> None:
        self.group = group
        self._watcher = watcher.Watcher(servicegroup, group)
        #: Whether the group was ever seen.
        self.begun = False
        self._lost_at: float | None = None
        self._ignored: tuple[str, ...] = ()

    def look(self) -> list[Event]:
        """Look once; return what has happened. Never raises."""
        changes = self._watcher.look()
        return [
            *self._contact(),
            *self._begin(),
            *self._ignore(),
            *changes,
        ]

    @property
    def inventory(self) -> inventory.Inventory:
        """What was seen last."""
        seen = self._watcher.last
        assert seen is not None  # noqa: S101
        return seen

    @property
    def blind_for(self) -> float | None:
        """The seconds for which there has been no contact; None: there is."""
        if self._lost_at is None:
            return None
        return time.monotonic() - self._lost_at

    def _contact(self) -> list[Event]:
        error, blind_for = self.inventory.view.error, self.blind_for
        if (error is None) == (blind_for is None):
            return []
        if error is not None:
            self._lost_at = time.monotonic()
            age = self.inventory.view.age
            return [Lost(time.time(), self.group, str(error), age)]
        self._lost_at = None
        return [Recovered(time.time(), self.group, blind_for or 0.0)]

    def _begin(self) -> list[Event]:
        if self.begun or self.inventory.view.age is None:
            return []
        self.begun = True
        return [Begun(time.time(), self.group, self.inventory.count())]

    def _ignore(self) -> list[Event]:
        ignored = self.inventory.view.ignored
        if ignored == self._ignored:
            return []
        self._ignored = ignored
        return [Ignored(time.time(), self.group, ignored)]


_COLOURS = {
    views.UP: '32',
    views.HELD: '33',
    views.DEGRADED: '33',
    views.DRAINING: '33',
    views.DOWN: '31',
    inventory.FORCED_DOWN: '35',
}


class Lines:
    """A line for each event.

    :param conf: its secrets are taken out of each line
    """

    def __init__(self, stream: TextIO, conf: cfg.ConfigOpts) -> None:
        self._stream = stream
        self._conf = conf

    def show(
        self, events: Sequence[Event], watches: Iterable[EventStream]
    ) -> None:
        """Show what has happened, and how things are now."""
        for each in events:
            line = _startup.hide(self._conf, self._line(each))
            self._stream.write(f'{line}\n')
        if events:
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream tidy."""

    def _line(self, event: Event) -> str:
        group = escaping.printable(event.group)
        return f'{_time(event)} {group} {self._words(event)}'

    def _words(self, event: Event) -> str:
        match event:
            case Begun():
                return _counted(event.counts, self._paint)
            case Lost():
                return f'lost: {escaping.printable(event.reason)}'
            case Recovered():
                return f'recovered after {event.after:.1f} s'
            case Ignored():
                checks = ', '.join(event.checks)
                if not checks:
                    return 'no check is ignored any more'
                return f'ignored, since they fail on many: {checks}'
            case watcher.Transition():
                before, after = map(self._paint, (event.before, event.state))
                host = escaping.printable(event.host)
                reason = escaping.printable(event.reason)
                return f'{host}: {before} -> {after} ({reason})'

    def _paint(self, state: str | None) -> str:
        return 'new' if state is None else state


class JsonLines(Lines):
    """An object of JSON for each event, on a line of its own."""

    def _line(self, event: Event) -> str:
        fields = {
            name: _plain(value)
            for name, value in dataclasses.asdict(event).items()
        }
        kind = type(event).__name__.lower()
        return json.dumps({'event': kind, **fields, 'at': _time(event)})


class Terminal(Lines):
    """Lines, and below them one that is written anew each time."""

    def show(
        self, events: Sequence[Event], watches: Iterable[EventStream]
    ) -> None:
        """See Lines."""
        self._stream.write('\r\x1b[K')
        super().show(events, watches)
        text = _startup.hide(self._conf, '; '.join(map(_summary, watches)))
        self._stream.write(text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def close(self) -> None:
        """Leave the last line as it is, and the prompt below."""
        self._stream.write('\n')
        self._stream.flush()

    def _paint(self, state: str | None) -> str:
        if state is None or os.environ.get('NO_COLOR'):
            return super()._paint(state)
        return f'\x1b[{_COLOURS[state]}m{state}\x1b[0m'


def screen(stream: TextIO, conf: cfg.ConfigOpts, as_json: bool) -> Lines:
    """Return what suits a stream."""
    if as_json:
        return JsonLines(stream, conf)
    return (Terminal if stream.isatty() else Lines)(stream, conf)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, condition.Condition):
        return {**value._asdict(), 'since': condition.date(value)}
    return round(value, 3) if isinstance(value, float) else value


def _time(event: Event) -> str | None:
    return _cells.time(event.at, 'milliseconds')


def _counted(
    counts: Mapping[str, int], paint: Callable[[str], str] = str
) -> str:
    """Return how many are in each state; of no use, where anybody is."""
    return ', '.join(
        f'{count} {paint(state)}'
        for state, count in counts.items()
        if count or state not in (views.DEGRADED, views.DRAINING)
    )


def _summary(watch: EventStream) -> str:
    text = _counted(watch.inventory.count())
    age, blind_for = watch.inventory.view.age, watch.blind_for
    if blind_for is not None:
        text += f'; blind since {blind_for:.0f} s'
    if watch.inventory.view.ignored:
        text += f'; ignored: {", ".join(watch.inventory.view.ignored)}'
    if age is not None:
        text += f'; seen {age:.1f} s ago'
    return f'{escaping.printable(watch.group)}: {text}'
