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

"""Sends notifications with oslo.messaging and reports whether it failed."""

import datetime
import logging as std_logging
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_utils import timeutils

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import entries
from nova_servicegroup.monitor import loop
from nova_servicegroup.monitor import outbox
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

LOG = logging.getLogger(__name__)

#: Seconds between two checks for entries to send.
_INTERVAL = 0.1
#: The longest pause between two attempts, in seconds.
_LONGEST = 5.0

#: The version of the payload: the first number changes with the meaning of a
#: field, the second when a field is added.
VERSION = '1.3'
#: The same for domains.
DOMAIN_VERSION = '1.0'

#: The type and the priority of the notification for each state.
EVENT_TYPES = {
    views.DOWN: ('servicegroup.member.down', 'WARN'),
    views.UP: ('servicegroup.member.up', 'INFO'),
    views.DEGRADED: ('servicegroup.member.degraded', 'WARN'),
    views.DRAINING: ('servicegroup.member.draining', 'INFO'),
}
#: The same for domains.
DOMAIN_EVENT_TYPES = {
    views.DOWN: ('servicegroup.domain.lost', 'WARN'),
    views.UP: ('servicegroup.domain.recovered', 'INFO'),
}
#: Those for a member that stays down, of which more is known.
EVIDENCE = 'servicegroup.member.evidence', 'WARN'


def event(entry: entries.Entry) -> tuple[str, str]:
    """Return the type and the priority of a notification."""
    if entry.transition.is_of_domain:
        return DOMAIN_EVENT_TYPES[entry.state]
    return EVIDENCE if entry.only_evidence else EVENT_TYPES[entry.state]


def payload(entry: entries.Entry, driver: str) -> dict[str, Any]:
    """Return the payload of a notification.

    doc/source/admin/notification.json shows one.

    :param driver: the name of the driver that gave the verdict
    """
    name, version, data = (
        ('DomainPayload', DOMAIN_VERSION, _domain_data)
        if entry.transition.is_of_domain
        else ('MemberPayload', VERSION, _data)
    )
    return {
        'nova_servicegroup_object.name': name,
        'nova_servicegroup_object.version': version,
        'nova_servicegroup_object.namespace': 'nova_servicegroup',
        'nova_servicegroup_object.data': data(entry, driver),
    }


def _domain_data(entry: entries.Entry, driver: str) -> dict[str, Any]:
    change = entry.transition
    return {
        'domain': change.host,
        'group': change.watched_group,
        'driver': driver,
        'state': 'lost' if entry.state == views.DOWN else 'recovered',
        'since': _date(change),
        'reason': change.reason,
        'hosts': list(change.hosts),
    }


def _date(change: watcher.Transition) -> str:
    since = datetime.datetime.fromtimestamp(change.at, datetime.timezone.utc)
    return since.isoformat(timespec='microseconds')


def _data(entry: entries.Entry, driver: str) -> dict[str, Any]:
    change = entry.transition
    age, reported = change.proof_age, change.condition
    evidence = change.evidence or deaths.UNKNOWN
    return {
        'host': change.host,
        'group': change.group,
        'driver': driver,
        'state': entry.state,
        'since': _date(change),
        'reason': change.reason,
        'proof_age': None if age is None else round(age, 3),
        'forced_down': change.state == inventory.FORCED_DOWN,
        'condition': reported and reported.reason,
        'condition_since': reported and condition.date(reported),
        'evidence': evidence if entry.state == views.DOWN else None,
        'domain': change.domain,
    }


#: The logger that logs every failed attempt as an error.
_RABBIT_LOGGER = 'oslo.messaging._drivers.impl_rabbit'


class Sender:
    """A notifier with the format of oslo.messaging's ``messagingv2`` driver.

    oslo.messaging's own Notifier logs an error of its driver and continues, so
    the notification is lost without the caller's knowledge. This class uses
    the transport directly.

    :param conf: as get_notification_transport takes it
    :param publisher_id: identifies this monitor in a notification
    :raises ConfigurationError: transport_url cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts, publisher_id: str) -> None:
        # The exchange of Nova's own notifications, unless nova.conf sets one.
        messaging.set_transport_defaults('nova')
        self._transport = _transport(conf)
        self._topics = list(conf.servicegroup_monitor.topics)
        self._driver = conf.servicegroup_driver
        self._publisher_id = publisher_id
        self._sent: set[tuple[str, str]] = set()
        quieten(conf)

    def send(self, entry: entries.Entry) -> None:
        """Send one notification to every topic; return when all have it.

        It may be repeated after an error: no topic gets the notification
        twice, unless the message queue took it and could not confirm that.

        :raises BackendError: the message queue did not confirm it
        """
        event_type, priority = event(entry)
        for topic in self._topics:
            if (entry.message_id, topic) in self._sent:
                continue
            message = {
                'message_id': entry.message_id,
                'publisher_id': self._publisher_id,
                'event_type': event_type,
                'priority': priority,
                'payload': payload(entry, self._driver),
                'timestamp': str(timeutils.utcnow()),
            }
            self._send(f'{topic}.{priority.lower()}', message)
            self._sent.add((entry.message_id, topic))
        self._sent.clear()

    def _send(self, topic: str, message: dict[str, Any]) -> None:
        try:
            self._transport._send_notification(
                messaging.Target(topic=topic),
                {},
                message,
                version=2.0,
                retry=0,
            )
        except Exception as error:
            raise exceptions.BackendError(
                f'topic {topic}', exceptions.first_line(error)
            ) from error


def _transport(conf: cfg.ConfigOpts) -> Any:
    try:
        return messaging.get_notification_transport(conf)
    except (
        messaging.InvalidTransportURL,
        messaging.DriverLoadFailure,
    ) as error:
        # The URL is not shown: it contains a password.
        raise exceptions.ConfigurationError(
            '[oslo_messaging_notifications] transport_url, or else '
            '[DEFAULT] transport_url',
            None,
            'a URL of oslo.messaging, as rabbit://host:5672/',
        ) from error


def quieten(conf: cfg.ConfigOpts) -> None:
    """Keep oslo.messaging from logging every attempt to reconnect.

    The announcer logs the outage once. A level that was set is kept, and with
    the option debug nothing is changed.
    """
    logger = std_logging.getLogger(_RABBIT_LOGGER)
    debug = 'debug' in conf and conf.debug
    if logger.level == std_logging.NOTSET and not debug:
        logger.setLevel(std_logging.CRITICAL)


class Announcer(loop.Loop):
    """The thread that sends the entries of the outbox while it leads."""

    def __init__(
        self,
        outbox: outbox.Outbox,
        election: election.SoleMonitor,
        sender: Sender,
    ) -> None:
        super().__init__('announce', _INTERVAL)
        self._outbox = outbox
        self._election = election
        self._sender = sender
        self._breaker = backoff.CircuitBreaker(_LONGEST)
        self._outage = loop.Outage()

    def work(self) -> None:
        """Send the due entries in order, until one fails."""
        for entry in self._outbox.due():
            if not self._election.leads():
                return
            try:
                with self._breaker.guard('message queue'):
                    self._sender.send(entry)
            except exceptions.BackendError as error:
                if self._outage.failed():
                    LOG.warning(
                        'Notifications cannot be delivered: %s. They are '
                        'kept, and sent in order when they can be.',
                        error,
                    )
                return
            self._outbox.sent(entry)
            lasted = self._outage.over()
            if lasted is not None:
                LOG.info(
                    'Notifications are delivered again, after %.1f s.', lasted
                )
