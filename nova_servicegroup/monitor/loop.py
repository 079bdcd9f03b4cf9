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

"""The base class of a monitor's threads, and the logging of outages."""

import threading
import time

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Loop(threading.Thread):
    """A thread that calls work at an interval until it is stopped.

    :param name: what it does, as a verb
    :param interval: seconds from the start of one call to that of the next
    """

    def __init__(self, name: str, interval: float) -> None:
        super().__init__(name=f'servicegroup-{name}', daemon=True)
        self.interval = min(interval, threading.TIMEOUT_MAX)
        self._what = name
        self._stopped = threading.Event()

    def work(self) -> None:
        """Do one round of work."""
        raise NotImplementedError

    def stop(self, wait: float) -> None:
        """Stop the thread, waiting at most so many seconds for it."""
        self._stopped.set()
        if self.is_alive():
            self.join(wait)

    def run(self) -> None:
        """See threading.Thread."""
        while not self._stopped.is_set():
            due = time.monotonic() + self.interval
            try:
                self.work()
            except Exception:
                LOG.exception('The monitor failed to %s', self._what)
            self._stopped.wait(max(0.0, due - time.monotonic()))


class Outage:
    """An outage that is logged once when it begins and once when it is over.

    :param patience: seconds that it must last before it is logged
    """

    def __init__(self, patience: float = 0.0) -> None:
        self._patience = patience
        self._since: float | None = None
        self._logged = False

    def failed(self) -> bool:
        """Record a failure; return whether to log it."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        before = self._logged
        self._logged = before or now - self._since >= self._patience
        return self._logged and not before

    def over(self) -> float | None:
        """End the outage; return its seconds, or None if nothing is logged."""
        since, logged = self._since, self._logged
        self._since, self._logged = None, False
        if since is None or not logged:
            return None
        return time.monotonic() - since
