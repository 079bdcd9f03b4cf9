# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""How the readings of a group go: whether it is known, and who is stuck."""

from collections.abc import Iterator
import contextlib
import time

from oslo_config import cfg

from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup.opts import secrets

#: Seconds after which a reading that has not ended, or that should have begun,
#: counts as blind.
_SLOW = 10.0
#: Seconds after which it never will: each call in it ends much earlier, also
#: while the backend or the database does not answer.
_STUCK = 60.0

#: The most characters of an error.
_LONGEST = 300


class Health:
    """The health of one group's readings, for the thread that reads, and all.

    :param group: the name of the group
    :ivar name: the same, printable
    """

    def __init__(self, conf: cfg.ConfigOpts, group: str) -> None:
        self.name = escaping.printable(group)
        self._conf = conf
        self._confirmed: float | None = None
        self._error: str | None = 'it has not been read yet'
        # When a reading began, when one began or ended last, and when one
        # succeeded last.
        self._begun: float | None = None
        self._moved = self._succeeded = self._started = time.monotonic()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Note that a reading is under way."""
        self._begun = self._moved = time.monotonic()
        try:
            yield
        except Exception:
            self._error = 'it cannot be read; see the log'
            raise
        finally:
            self._begun, self._moved = None, time.monotonic()

    def update(self, view: views.View) -> None:
        """Note the result of a reading."""
        now = time.monotonic()
        if view.age is not None:
            self._confirmed = now - view.age
        if view.error is None:
            self._succeeded, self._error = now - (view.age or 0.0), None
        else:
            text = escaping.line(secrets.hide(self._conf, str(view.error)))
            self._error = escaping.printable(text, _LONGEST)

    def age(self) -> float:
        """Return seconds since the group was confirmed, or since the start."""
        since = self._started if self._confirmed is None else self._confirmed
        return time.monotonic() - since

    def blindness(self) -> tuple[float, str] | None:
        """Return the seconds since the last reading that succeeded, and why.

        None if that was the last one, and the next one is not overdue.
        """
        error = self._error or self._overdue()
        if error is None:
            return None
        return time.monotonic() - self._succeeded, error

    def _overdue(self) -> str | None:
        """Return why there is no newer reading although there should be."""
        begun = self._begun
        if begun is not None:
            hangs = time.monotonic() - begun > _SLOW
            return 'a reading has not ended' if hangs else None
        late = _SLOW + float(self._conf.servicegroup.refresh_interval)
        if time.monotonic() - self._moved > late:
            return 'it is not read any more'
        # A reading that the driver has begun by itself may hang.
        old = self.is_confirmed() and self.age() > late
        return 'the last readings had nothing new' if old else None

    def is_confirmed(self) -> bool:
        """Return whether the backend has confirmed the group at least once."""
        return self._confirmed is not None

    def unready(self) -> str | None:
        """See web.probes.Probed."""
        found = self.blindness()
        if found is not None:
            return f'blind for {found[0]:.0f} s: {found[1]}'
        return None if self.is_confirmed() else 'not confirmed yet'

    def stuck(self) -> str | None:
        """See web.probes.Probed. An outage of the backend is no reason."""
        lasts = time.monotonic() - self._moved
        interval = float(self._conf.servicegroup.refresh_interval)
        if lasts <= _STUCK + interval:
            return None
        what = 'not read' if self._begun is None else 'hung in a reading'
        return f'the thread has {what} for {lasts:.0f} s'
