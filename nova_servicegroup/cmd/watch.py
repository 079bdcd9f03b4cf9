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


"""nova-servicegroup watch: what happens, as it happens."""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import io
import math
import os
import select
import signal
import time
from typing import TextIO

from nova_servicegroup.cmd import _command
from nova_servicegroup.cmd import _events
from nova_servicegroup import exceptions

GROUP = 'compute'


class Watch(_command.Command):
    """Show each change of a member of some groups as it happens.

    One line for each. On a terminal, the last line tells how many are in
    which state, and how old that is.
    """

    _has_said = False

    exit_statuses = (
        'Exit status: 0, also when a signal or a closed pipe ends it; 2 when '
        'nothing could be seen for as long as it ran, or something is wrong '
        'with the configuration.'
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            'groups',
            nargs='*',
            metavar='GROUP',
            help=f'The topic of the services. Default: {GROUP}.',
        )
        parser.add_argument(
            '--interval',
            type=_command.seconds,
            metavar='SECONDS',
            help='Seconds between two looks. Default: [servicegroup] '
            'refresh_interval.',
        )
        parser.add_argument(
            '--for',
            dest='duration',
            type=_command.seconds,
            default=math.inf,
            metavar='SECONDS',
            help='End after so long.',
        )
        parser.add_argument(
            '--json',
            action='store_true',
            help='Write an object of JSON for each change, one a line.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """See cliff."""
        if parsed_args.interval is not None:
            self._set_interval(parsed_args.interval)
        watches = [
            _events.EventStream(self.servicegroup, group)
            for group in dict.fromkeys(parsed_args.groups or [GROUP])
        ]
        screen = _events.screen(
            self.app.stdout, self.app.conf, parsed_args.json
        )
        with _ended_by_signals(self.app.stdout):
            self._watch(watches, screen, parsed_args.duration)
            if not any(each.begun for each in watches):
                return _command.ERROR
        return 0

    def _set_interval(self, interval: float) -> None:
        try:
            self.app.conf.set_override(
                'refresh_interval', interval, 'servicegroup'
            )
        except ValueError as error:
            raise exceptions.ArgumentError(
                '--interval', interval, f'a refresh_interval: {error}'
            ) from None

    def _watch(
        self,
        watches: Sequence[_events.EventStream],
        screen: _events.Lines,
        duration: float,
    ) -> None:
        """Look and show until the time is over or nobody reads it."""
        interval = self.app.conf.servicegroup.refresh_interval
        pause = _Pause(self.app.stdout)
        end = time.monotonic() + duration
        with contextlib.suppress(BrokenPipeError):
            try:
                while True:
                    events = [one for each in watches for one in each.look()]
                    self._warn_of_doubts(watches)
                    screen.show(events, watches)
                    # From here on: sooner, nothing would be read anew.
                    left = end - time.monotonic()
                    if left <= 0 or pause(min(interval, left)):
                        break
            finally:
                screen.close()

    def _warn_of_doubts(self, watches: Sequence[_events.EventStream]) -> None:
        """Say, once, that Nova's services table cannot be read, and why."""
        reasons = [each.inventory.unregistered for each in watches]
        if any(reasons) and not self._has_said:
            self._has_said = True
            self.warn(
                'Hosts that are down already are not counted, and who is '
                f'forced down is not known ({next(filter(None, reasons))}).'
            )


class _Pause:
    """Waits, but not after a stream's reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._poll = select.poll()
        # In tests it has no number.
        with contextlib.suppress(io.UnsupportedOperation):
            self._poll.register(stream.fileno(), 0)

    def __call__(self, seconds: float) -> bool:
        """Wait so many seconds; tell whether the reader has gone."""
        return bool(self._poll.poll(1000 * seconds))


class _Ended(BaseException):
    """A signal has ended the command."""


def _end(signum: int, frame: object) -> None:
    raise _Ended


@contextlib.contextmanager
def _ended_by_signals(stream: TextIO) -> Iterator[None]:
    """End what runs inside when a signal says so, whatever it waits for."""
    try:
        with _command.handled((signal.SIGINT, signal.SIGTERM), _end):
            yield
    except _Ended:
        _drop_unread(stream)


def _drop_unread(stream: TextIO) -> None:
    """Keep what a reader does not take from delaying the end."""
    with contextlib.suppress(io.UnsupportedOperation):
        if not select.select([], [stream], [], 0)[1]:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
