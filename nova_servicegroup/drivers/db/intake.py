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

"""How a collector takes messages from the queue, and which one gets them.

RabbitMQ gives a message to the consumers of the highest priority that have
room for it. So collectors in processes of their own get all of them, and those
in nova-conductors only what the others have no room for, or all as soon as
RabbitMQ has closed the connections of the others.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

#: All services are late while it waits to connect again (seconds).
_RECONNECT = 5
#: A sender that does not exist must not delay the answers to others (seconds).
_REPLY = 1
#: RabbitMQ's name for the priority of a consumer.
_PRIORITY = 'x-priority'


@dataclasses.dataclass(frozen=True)
class Intake:
    """How one collector takes messages.

    :ivar gather: the most seconds to collect a batch
    :ivar ahead: the most messages to prefetch. These no longer expire: a
        process that had prefetched all might read only messages that are too
        old
    :ivar priority: that of its consumers
    :ivar heartbeat: seconds of AMQP's heartbeat. RabbitMQ closes the
        connection of a process that is mute for two to three times as long.
        None: as the operator has configured it
    """

    gather: float = 1.0
    ahead: int = 200
    priority: int = 0
    heartbeat: int | None = None

    def paced(self, report_interval: float) -> 'Intake':
        """Return the same for services that report as often."""
        gather = min(self.gather, report_interval / 10)
        return dataclasses.replace(self, gather=gather)

    @property
    def transport_options(self) -> Mapping[str, str]:
        """The options of the transport."""
        options = {
            'rabbit_qos_prefetch_count': self.ahead,
            'rabbit_interval_max': _RECONNECT,
            'kombu_missing_consumer_retry_timeout': _REPLY,
        }
        if self.heartbeat is not None:
            options['heartbeat_timeout_threshold'] = self.heartbeat
        return {name: str(value) for name, value in options.items()}


#: In a nova-conductor, which has other things to do.
CONDUCTOR = Intake()
#: In a process of its own. What comes while it collects a batch has to fit
#: into the buffers of its connection, or else the rest goes to a
#: nova-conductor: in 0.2 s, more than 200 heartbeats do. RabbitMQ closes the
#: connection of a frozen one after 10 to 15 s; it must not do so while one
#: waits for its database, see calls.HANG.
DAEMON = Intake(gather=0.2, ahead=500, priority=1, heartbeat=5)


def prefer(listener: Any, priority: int) -> None:
    """Give a listener's consumers a priority, before it is polled.

    oslo.messaging has no option for that, so this uses what is its own.

    :param listener: oslo.messaging's poll-style listener
    :raises AttributeError: it is not one for RabbitMQ, as known here
    """
    for consumer in listener.conn.connection._consumers:
        _prefer(consumer, priority)


def leave(listener: Any) -> None:
    """Have RabbitMQ give to others what a listener has not been given yet.

    oslo.messaging acknowledges a message when it arrives, also while it closes
    the connection. Nobody would process it then.

    :param listener: oslo.messaging's poll-style listener, which is stopped
    :raises AttributeError: it is not one for RabbitMQ, as known here
    """
    for consumer in listener.conn.connection._consumers:
        consumer.callback = _ignore


def _ignore(message: object) -> None:
    """Do not acknowledge a message: RabbitMQ keeps it."""


def _prefer(consumer: Any, priority: int) -> None:
    declare = consumer.declare

    def declare_again(connection: Any) -> None:
        """Declare the queue again, after a new connection."""
        declare(connection)
        _set_priority(consumer.queue, priority)

    consumer.declare = declare_again
    _set_priority(consumer.queue, priority)


def _set_priority(queue: Any, priority: int) -> None:
    arguments = queue.consumer_arguments or {}
    queue.consumer_arguments = {**arguments, _PRIORITY: priority}
