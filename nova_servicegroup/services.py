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

"""What is asked of the services that join, and of their records."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

#: A record of Nova's services table: an object with mapping access or a dict.
#: Read here: host, topic, binary, last_seen_up, created_at, updated_at.
ServiceRef = Mapping[str, Any]


class Timers(Protocol):
    """What is used of oslo.service's ThreadGroup."""

    def add_timer_args(
        self,
        interval: float,
        callback: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        initial_delay: float | None = None,
        stop_on_exception: bool = True,
    ) -> Any: ...


class Service(Protocol):
    """What a driver may ask of the service that joins.

    ``report_interval`` is in seconds; 0 means that the service never reports.
    """

    report_interval: float
    tg: Timers

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have callback run once, after the service has stopped its work."""

    def save_heartbeat(self) -> None:
        """Write one heartbeat to the service's record.

        :raises RecordDeleted: the record is gone
        :raises BackendError: it could not be written
        """
