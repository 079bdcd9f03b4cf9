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


"""Monitors, and a consumer of what they announce."""

import dataclasses
import threading
import time
from typing import Any

from nova_servicegroup.tests.harness import daemon

#: What a monitor logs when it begins to announce, and when it stands by.
LEADS = 'This monitor announces now'
STANDS_BY = 'This monitor stands by'


class Monitor(daemon.Daemon):
    """One nova-servicegroup-monitor."""

    name = 'monitor'


@dataclasses.dataclass(frozen=True)
class Received:
    """A notification.

    :ivar at: when it came, by the monotonic clock
    :ivar data: of its payload
    """

    at: float
    event_type: str
    priority: str
    publisher_id: str
    message_id: str
    payload: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.payload['nova_servicegroup_object.data']
        return data


class Consumer:
    """A listener of oslo.messaging that keeps what it gets."""

    def __init__(self, url: str, topic: str) -> None:
        from oslo_config import cfg
        import oslo_messaging as messaging

        # Parts of oslo.messaging know only the global one.
        cfg.CONF([], default_config_files=[])
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._transport = messaging.get_notification_transport(cfg.CONF, url)
        # Back soon after an outage.
        cfg.CONF.set_override(
            'rabbit_interval_max', 1, 'oslo_messaging_rabbit'
        )
        self._listener = messaging.get_notification_listener(
            self._transport,
            [messaging.Target(topic=topic, exchange='nova')],
            [self],
            executor='threading',
        )

    def start(self) -> None:
        self._listener.start()

    def stop(self) -> None:
        """End it; bounded, also while the message queue is away."""
        ending = threading.Thread(target=self._stop, daemon=True)
        ending.start()
        ending.join(10)

    def _stop(self) -> None:
        self._listener.stop()
        self._listener.wait()
        self._transport.cleanup()

    def warn(self, *message: Any) -> None:
        self._take('WARN', *message)

    def info(self, *message: Any) -> None:
        self._take('INFO', *message)

    def _take(
        self,
        priority: str,
        context: Any,
        publisher_id: str,
        event_type: str,
        payload: Any,
        metadata: Any,
    ) -> None:
        received = Received(
            time.monotonic(),
            event_type,
            priority,
            publisher_id,
            metadata['message_id'],
            payload,
        )
        with self._lock:
            self._received.append(received)

    def received(
        self, state: str = '', *, repeats: bool = False
    ) -> list[Received]:
        """Return what came, or only what is about a state.

        :param repeats: also what has the id of one that came before
        """
        with self._lock:
            found, ids = [], set[str]()
            for each in self._received:
                if state in ('', each.data['state']) and (
                    repeats or each.message_id not in ids
                ):
                    found.append(each)
                ids.add(each.message_id)
            return found

    def hosts(self, state: str) -> list[str]:
        """Return which hosts came in a state, in order."""
        return [each.data['host'] for each in self.received(state)]
