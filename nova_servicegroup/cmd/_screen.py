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


"""How events are shown: as lines, on a terminal, or as JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import json
import os
import shutil
from typing import Protocol, TextIO

from nova_servicegroup.cmd import _cells
from nova_servicegroup.cmd import _events
from nova_servicegroup.drivers import base
from nova_servicegroup import escaping
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

_COLOURS = {
    base.UP: '32',
    base.HELD: '33',
    base.DOWN: '31',
    inventory.FORCED_DOWN: '35',
}


class Screen(Protocol):
    """Where events are shown."""

    def show(
        self,
        events: Sequence[_events.Event],
        watches: Iterable[_events.Watch],
    ) -> None:
        """Show what has happened, and how things are now."""

    def close(self) -> None:
        """Leave it tidy."""


class Lines:
    """A line for each event.

    :param hide: takes secrets out of a text
    """

    def __init__(self, stream: TextIO, hide: Callable[[str], str]) -> None:
        self._stream = stream
        self._hide = hide

    def show(
        self,
        events: Sequence[_events.Event],
        watches: Iterable[_events.Watch],
    ) -> None:
        """See Screen."""
        for each in events:
            self._stream.write(f'{self._hide(self._line(each))}\n')
        if events:
            self._stream.flush()

    def close(self) -> None:
        """See Screen."""

    def _line(self, event: _events.Event) -> str:
        return _as_text(event, _plain)


class JsonLines(Lines):
    """An object of JSON for each event, on a line of its own."""

    def _line(self, event: _events.Event) -> str:
        fields = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(event).items()
        }
        kind = type(event).__name__.lower()
        return json.dumps({'event': kind, **fields, 'at': _time(event)})


class Terminal(Lines):
    """Lines, and below them one that is written anew each time.

    :param colour: whether to use colours
    """

    def __init__(
        self, stream: TextIO, hide: Callable[[str], str], colour: bool
    ) -> None:
        super().__init__(stream, hide)
        self._paint = _coloured if colour else _plain

    def show(
        self,
        events: Sequence[_events.Event],
        watches: Iterable[_events.Watch],
    ) -> None:
        """See Screen."""
        self._stream.write('\r\x1b[K')
        super().show(events, watches)
        text = self._hide('; '.join(map(_summary, watches)))
        self._stream.write(text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def close(self) -> None:
        """Leave the last line as it is, and the prompt below."""
        self._stream.write('\n')
        self._stream.flush()

    def _line(self, event: _events.Event) -> str:
        return _as_text(event, self._paint)


def screen(
    stream: TextIO, hide: Callable[[str], str], as_json: bool
) -> Screen:
    """Return what suits a stream."""
    if as_json:
        return JsonLines(stream, hide)
    if stream.isatty():
        return Terminal(stream, hide, not os.environ.get('NO_COLOR'))
    return Lines(stream, hide)


def _time(event: _events.Event) -> str | None:
    return _cells.time(event.at, 'milliseconds')


def _plain(state: str) -> str:
    return state


def _coloured(state: str) -> str:
    return f'\x1b[{_COLOURS[state]}m{state}\x1b[0m'


def _as_text(event: _events.Event, paint: Callable[[str], str]) -> str:
    group = escaping.printable(event.group)
    return f'{_time(event)} {group} {_words(event, paint)}'


def _words(event: _events.Event, paint: Callable[[str], str]) -> str:
    match event:
        case _events.Begun():
            return _counts(event.counts, paint)
        case _events.Lost():
            return f'lost: {escaping.printable(event.reason)}'
        case _events.Recovered():
            return f'recovered after {event.after:.1f} s'
        case watcher.Transition():
            before = 'new' if event.before is None else paint(event.before)
            host, reason = map(escaping.printable, (event.host, event.reason))
            return f'{host}: {before} -> {paint(event.state)} ({reason})'


def _counts(
    counts: Mapping[str, int], paint: Callable[[str], str] = _plain
) -> str:
    return ', '.join(f'{n} {paint(state)}' for state, n in counts.items())


def _summary(watch: _events.Watch) -> str:
    group = escaping.printable(watch.group)
    text = f'{group}: {_counts(watch.inventory.count())}'
    age, blind_for = watch.inventory.view.age, watch.blind_for
    if blind_for is not None:
        text += f'; blind since {blind_for:.0f} s'
    if age is not None:
        text += f'; seen {age:.1f} s ago'
    return text
