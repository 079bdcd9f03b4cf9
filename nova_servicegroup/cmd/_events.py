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

"""Events of a group and its backend, and the lines that show them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import json
import os
import shutil
import time
from typing import Any, TextIO

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.cmd import _columns
from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup.opts import secrets
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher


@dataclasses.dataclass(frozen=True)
class _GroupEvent:
    """An event of a group as a whole.

    :ivar at: when it was seen, in seconds since the epoch
    """

    at: float
    group: str


@dataclasses.dataclass(frozen=True)
class Begun(_GroupEvent):
    """The group was read for the first time.

    :ivar counts: the number of services in each of inventory.STATES
    """

    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Lost(_GroupEvent):
    """The group cannot be read.

    :ivar age: seconds since the backend confirmed it, or None if it never did
    """

    reason: str
    age: float | None


@dataclasses.dataclass(frozen=True)
class Recovered(_GroupEvent):
    """The group can be read again.

    :ivar after: seconds since contact was lost
    """

    after: float


@dataclasses.dataclass(frozen=True)
class Ignored(_GroupEvent):
    """The checks that are ignored, since they fail on many, have changed.

    :ivar checks: all that are ignored from now on
    """

    checks: tuple[str, ...]


#: Hosts of a lost domain that a line names, at most.
_MOST_HOSTS = 10

Event = Begun | Lost | Recovered | Ignored | watcher.Transition


class EventStream:
    """The events of one group and of the contact with its backend.

    :ivar begun: whether the group has ever been read
    """

    def __init__(self, servicegroup: api.API, group: str) -> None:
        self.group = group
        self.begun = False
        self._watcher = watcher.Watcher(servicegroup, group)
        self._lost_at: float | None = None
        self._ignored: tuple[str, ...] = ()

    def poll(self) -> list[Event]:
        """Read the group once and return its events. Never raises."""
        changes = self._watcher.poll()
        return [*self._contact(), *self._begin(), *self._ignore(), *changes]

    @property
    def inventory(self) -> inventory.Inventory:
        """The inventory of the last poll."""
        seen = self._watcher.last
        assert seen is not None  # noqa: S101
        return seen

    @property
    def blind_for(self) -> float | None:
        """Seconds since contact was lost, or None if there is contact."""
        if self._lost_at is None:
            return None
        return time.monotonic() - self._lost_at

    def _contact(self) -> Iterator[Event]:
        error, blind_for = self.inventory.view.error, self.blind_for
        if error is not None and blind_for is None:
            self._lost_at = time.monotonic()
            age = self.inventory.view.age
            yield Lost(time.time(), self.group, str(error), age)
        elif error is None and blind_for is not None:
            self._lost_at = None
            yield Recovered(time.time(), self.group, blind_for)

    def _begin(self) -> Iterator[Event]:
        if not self.begun and self.inventory.view.age is not None:
            self.begun = True
            yield Begun(time.time(), self.group, self.inventory.count())

    def _ignore(self) -> Iterator[Event]:
        ignored = self.inventory.view.ignored
        if ignored != self._ignored:
            self._ignored = ignored
            yield Ignored(time.time(), self.group, ignored)


_COLOURS = {
    views.UP: '32',
    views.HELD: '33',
    views.DEGRADED: '33',
    views.DRAINING: '33',
    views.DOWN: '31',
    inventory.FORCED_DOWN: '35',
}


class Lines:
    """A screen that shows a line for each event.

    :param conf: the configuration whose secrets are masked in each line
    """

    def __init__(self, stream: TextIO, conf: cfg.ConfigOpts) -> None:
        self._stream = stream
        self._conf = conf

    def show(
        self, events: Sequence[Event], streams: Iterable[EventStream]
    ) -> None:
        """Show events and, on a terminal, the present state of each group."""
        for each in events:
            line = secrets.hide(self._conf, self._line(each))
            self._stream.write(f'{line}\n')
        if events:
            self._stream.flush()

    def close(self) -> None:
        """End the output."""

    def _line(self, event: Event) -> str:
        group = escaping.printable(event.group)
        return f'{_time(event)} {group} {self._text(event)}'

    def _text(self, event: Event) -> str:
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
                return self._change(event)

    def _change(self, event: watcher.Transition) -> str:
        before, after = map(self._paint, (event.before, event.state))
        host = escaping.printable(event.host)
        reason = escaping.printable(event.reason)
        if event.hosts:
            hosts = escaping.names(event.hosts, _MOST_HOSTS)
            return f'{host}: {before} -> {after} ({reason}: {hosts})'
        if event.keeps_state:
            return f'{host}: {after} ({reason})'
        if deaths.telling(event.evidence):
            reason = f'{reason}; evidence: {event.evidence}'
        return f'{host}: {before} -> {after} ({reason})'

    def _paint(self, state: str | None) -> str:
        return 'new' if state is None else state


class JsonLines(Lines):
    """A screen that shows a line with an object of JSON for each event."""

    def _line(self, event: Event) -> str:
        fields = {
            name: _plain(value)
            for name, value in dataclasses.asdict(event).items()
        }
        kind = type(event).__name__.lower()
        return json.dumps({'event': kind, **fields, 'at': _time(event)})


class Terminal(Lines):
    """A screen that keeps a summary up to date below the lines."""

    def show(
        self, events: Sequence[Event], streams: Iterable[EventStream]
    ) -> None:
        """See Lines."""
        self._stream.write('\r\x1b[K')
        super().show(events, streams)
        text = secrets.hide(self._conf, '; '.join(map(_summary, streams)))
        self._stream.write(text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def close(self) -> None:
        """End the line of the summary, so that the prompt follows it."""
        self._stream.write('\n')
        self._stream.flush()

    def _paint(self, state: str | None) -> str:
        if state is None or os.environ.get('NO_COLOR'):
            return super()._paint(state)
        return f'\x1b[{_COLOURS[state]}m{state}\x1b[0m'


def screen(stream: TextIO, conf: cfg.ConfigOpts, as_json: bool) -> Lines:
    """Return a screen that writes to a stream."""
    if as_json:
        return JsonLines(stream, conf)
    return (Terminal if stream.isatty() else Lines)(stream, conf)


def _plain(value: Any) -> Any:
    """Return a value of an event as JSON shows it."""
    if isinstance(value, condition.Condition):
        return {**value._asdict(), 'since': condition.date(value)}
    return round(value, 3) if isinstance(value, float) else value


def _time(event: Event) -> str | None:
    return _columns.time(event.at, 'milliseconds')


def _counted(
    counts: Mapping[str, int], paint: Callable[[str], str] = str
) -> str:
    """Return the counts as text; degraded and draining only if not zero."""
    return ', '.join(
        f'{count} {paint(state)}'
        for state, count in counts.items()
        if count or state not in (views.DEGRADED, views.DRAINING)
    )


def _summary(stream: EventStream) -> str:
    view, blind_for = stream.inventory.view, stream.blind_for
    text = _counted(stream.inventory.count())
    if blind_for is not None:
        text += f'; blind since {blind_for:.0f} s'
    if view.ignored:
        text += f'; ignored: {", ".join(view.ignored)}'
    if view.age is not None:
        text += f'; seen {view.age:.1f} s ago'
    return f'{escaping.printable(stream.group)}: {text}'
