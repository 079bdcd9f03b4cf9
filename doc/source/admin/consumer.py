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

"""Print the hosts that go down: consumer.py --config-file nova.conf."""

import collections
import threading
import time

from oslo_config import cfg
import oslo_messaging as messaging

#: Seconds for which a host must be down before it is handled.
GRACE = 2.0


class Hosts:
    """The last notification of each host, and the hosts to be handled."""

    filter_rule = messaging.NotificationFilter(
        event_type=r'^servicegroup\.member\.'
    )

    def __init__(self):
        self._lock = threading.Lock()
        self._ids = collections.deque(maxlen=1000)
        self._last = {}
        self._waiting = {}

    def warn(self, context, publisher_id, event_type, payload, metadata):
        """Receive a notification of a member that went down."""
        self._take(
            payload['nova_servicegroup_object.data'], metadata['message_id']
        )

    # Notifications of members that come up have another priority.
    info = warn

    def _take(self, member, message_id):
        key = member['group'], member['host']
        with self._lock:
            # A monitor that takes over may repeat the last second.
            if message_id in self._ids:
                return
            self._ids.append(message_id)
            last = self._last.get(key)
            # The two priorities are two queues: drop what is older than the
            # last notification, or repeats it.
            if last and (
                member['since'] <= last['since']
                or _told(member) == _told(last)
            ):
                return
            self._last[key] = member
            self._waiting.pop(key, None)
            if member['state'] == 'down':
                self._waiting[key] = time.monotonic() + GRACE

    def run(self):
        """Handle the hosts that stay down, for ever."""
        while True:
            for member in self._due():
                # Ask Nova once more here before you evacuate anything.
                state, evidence = _told(member)
                print(f'{state}:', member['host'], evidence, flush=True)
            time.sleep(0.1)

    def _due(self):
        now = time.monotonic()
        with self._lock:
            due = [key for key, at in self._waiting.items() if at <= now]
            for key in due:
                del self._waiting[key]
            return [self._last[key] for key in due]


def _told(member):
    """Return the state, and why it is down; monitors before 1.2 do not say."""
    return member['state'], member.get('evidence')


def main():
    conf = cfg.CONF
    conf(project='nova')
    hosts = Hosts()
    listener = messaging.get_notification_listener(
        messaging.get_notification_transport(conf),
        [messaging.Target(topic='servicegroup_notifications')],
        [hosts],
        executor='threading',
    )
    listener.start()
    hosts.run()


if __name__ == '__main__':
    main()
