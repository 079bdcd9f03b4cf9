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

"""Dates from times of a monotonic clock."""

from collections.abc import Callable
import datetime
import math
import time

from oslo_utils import timeutils


class Dates:
    """A converter of clock times to dates, which caches the last date."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -math.inf, time_ago(0.0)

    def date(self, moment: float | None) -> datetime.datetime | None:
        """Return the aware date of a time of the clock."""
        if moment is None:
            return None
        known, date = self._last
        if moment != known:
            date = time_ago(max(0.0, self._clock() - moment))
            self._last = moment, date
        return date


def time_ago(seconds: float) -> datetime.datetime:
    """Return the aware date of so many seconds ago."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now - datetime.timedelta(seconds=seconds)


def aware(value: datetime.datetime | str | None) -> datetime.datetime | None:
    """Return a record's time as an aware one.

    :param value: aware, or naive in UTC, or either as text
    :raises ValueError: the text is no time
    """
    if isinstance(value, str):
        value = timeutils.parse_isotime(value)
    if value is None or value.tzinfo is not None:
        return value
    return value.replace(tzinfo=datetime.timezone.utc)
