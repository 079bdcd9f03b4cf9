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

"""nova-servicegroup watch: state changes, as they happen."""

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
    """Show each state change of the members of some groups as it happens.

    Each change is one line. On a terminal, a last line shows how many members
    are in each state, and how old that is.
    """

    exit_statuses = (
        'Exit status: 0, also when a signal or a closed pipe ends it; 2 when '
        'nothing could be seen for as long as it ran, or something is wrong '
        'with the configuration.'
    )
    arguments = {
        'groups': {
            'nargs': '*',
            'metavar': 'GROUP',
            'help': f'The topic of the services. Default: {GROUP}.',
        },
        '--interval': {
            'type': _command.seconds,
            'metavar': 'SECONDS',
            'help': 'Seconds between two readings. Default: [servicegroup] '
            'refresh_interval.',
        },
        '--for': {
            'dest': 'duration',
            'type': _command.seconds,
            'default': math.inf,
            'metavar': 'SECONDS',
            'help': 'End after so long.',
        },
        '--json': {
            'action': 'store_true',
            'help': 'Write an object of JSON for each change, one a line.',
        },
    }

    _has_warned = False

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """See cliff."""
        if parsed_args.interval is not None:
            self._set_interval(parsed_args.interval)
        streams = [
            _events.EventStream(self.app.servicegroup, group)
            for group in dict.fromkeys(parsed_args.groups or [GROUP])
        ]
        screen = _events.screen(
            self.app.stdout, self.app.conf, parsed_args.json
        )
        with _ended_by_signals(self.app.stdout):
            self._watch(streams, screen, parsed_args.duration)
            if not any(each.begun for each in streams):
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
        streams: Sequence[_events.EventStream],
        screen: _events.Lines,
        duration: float,
    ) -> None:
        """Show events until the time is over or the reader of stdout is gone.

        :param duration: in seconds
        """
        interval = self.app.conf.servicegroup.refresh_interval
        end = time.monotonic() + duration
        with contextlib.suppress(BrokenPipeError), contextlib.closing(screen):
            while True:
                events = [one for each in streams for one in each.poll()]
                self._warn_of_table(streams)
                screen.show(events, streams)
                # An earlier read would be answered from the last one.
                left = end - time.monotonic()
                if left <= 0 or _wait(self.app.stdout, min(interval, left)):
                    break

    def _warn_of_table(self, streams: Sequence[_events.EventStream]) -> None:
        """Report once that Nova's services table cannot be read, and why."""
        reasons = [each.inventory.unregistered for each in streams]
        if any(reasons) and not self._has_warned:
            self._has_warned = True
            self.warn(
                'Hosts that are down already are not counted, and forced-down '
                f'hosts are unknown ({next(filter(None, reasons))}).'
            )


def _wait(stream: TextIO, seconds: float) -> bool:
    """Wait, but not once the reader of a stream is gone.

    :returns: whether the reader is gone
    """
    poll = select.poll()
    # The streams of tests have no file descriptor.
    with contextlib.suppress(io.UnsupportedOperation):
        poll.register(stream.fileno(), 0)
    return bool(poll.poll(1000 * seconds))


class _Ended(BaseException):
    """A signal has ended the command."""


def _end(signum: int, frame: object) -> None:
    raise _Ended


@contextlib.contextmanager
def _ended_by_signals(stream: TextIO) -> Iterator[None]:
    """End the body on SIGINT and SIGTERM, whatever it waits for."""
    try:
        with _command.handled((signal.SIGINT, signal.SIGTERM), _end):
            yield
    except _Ended:
        _drop_unread(stream)


def _drop_unread(stream: TextIO) -> None:
    """Drop the output of a stream whose reader does not read it.

    Flushing it would delay the end of the process.
    """
    with contextlib.suppress(io.UnsupportedOperation):
        if not select.select([], [stream], [], 0)[1]:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
