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

"""What systemd is told of a daemon: that it is ready, alive, and how it is."""

from collections.abc import Callable, Sequence
import os
import time

import sdnotify

from nova_servicegroup import process
from nova_servicegroup.web import probes

#: Seconds between two reports, at most; and until the daemon has started.
_INTERVAL, _SOON = 10.0, 1.0
#: The most characters of the status.
_LONGEST = 500


class Reports:
    """The reports to the systemd that started this process, or to nobody.

    :param parts: the parts of the daemon
    :param is_started: returns whether systemd may start what comes after it
    """

    def __init__(
        self,
        parts: Sequence[probes.Probed],
        is_started: Callable[[], bool] = lambda: True,
    ) -> None:
        self._parts = parts
        self._is_started = is_started
        self._notifier = sdnotify.SystemdNotifier()
        # systemd kills a process that it does not hear for this time.
        text = os.environ.get('WATCHDOG_USEC', '')
        watchdog = int(text) / 1e6 if text.isdecimal() else 0.0
        self.interval = min(_INTERVAL, watchdog / 3 or _INTERVAL)

    def run(self) -> None:
        """Report that the daemon is ready, and from then on how it is."""
        while not self._is_started():
            self.report()
            time.sleep(_SOON)
        self._notifier.notify('READY=1')
        while True:
            self.report()
            time.sleep(self.interval)

    def report(self) -> None:
        """Report how the daemon is, and that it lives unless it is stuck."""
        stuck = [each.stuck() for each in self._parts]
        status = '; '.join(
            f'{each.name}: {problem or each.unready() or "ready"}'
            for each, problem in zip(self._parts, stuck, strict=True)
        )
        # What is not in Latin-1 would not be sent.
        shown = status[:_LONGEST].encode('ascii', 'backslashreplace').decode()
        self._notifier.notify(f'STATUS={shown}')
        if not any(stuck):
            self._notifier.notify('WATCHDOG=1')


def start(
    parts: Sequence[probes.Probed],
    is_started: Callable[[], bool] = lambda: True,
) -> None:
    """Report to systemd in a thread, if it has started this process.

    Must be called before oslo.service starts, which removes from the
    environment where to report.
    """
    if 'NOTIFY_SOCKET' in os.environ:
        made = Reports(parts, is_started)
        process.start_thread(made.run, 'servicegroup-systemd')
