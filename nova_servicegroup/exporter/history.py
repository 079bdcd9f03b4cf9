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


"""The last transitions of a group, for people who look at the exporter."""

from collections.abc import Mapping, Sequence

from nova_servicegroup.drivers import views
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

#: The most transitions that are kept.
MOST = 50


class History:
    """The last transitions of a group, and those into the present states.

    One thread adds, others read: what they read is replaced and not changed.

    :ivar recent: the last MOST transitions, the latest first
    """

    def __init__(self) -> None:
        self.recent: tuple[watcher.Transition, ...] = ()
        self._last: Mapping[str, watcher.Transition] = {}

    def add(
        self,
        changes: Sequence[watcher.Transition],
        entries: Mapping[str, inventory.Entry],
    ) -> None:
        """Add the transitions that a reading has found.

        Those of the evidence alone are left out.

        :param entries: the services now
        """
        changes = [each for each in changes if not each.keeps_state]
        if not changes:
            return
        latest = tuple(reversed(changes[-MOST:]))
        self.recent = (*latest, *self.recent)[:MOST]
        of_hosts = [each for each in changes if not each.is_of_domain]
        known = {**self._last, **{each.host: each for each in of_hosts}}
        self._last = {
            host: each
            for host, each in known.items()
            if host in entries and entries[host].state != views.UP
        }

    def last(self, entry: inventory.Entry) -> watcher.Transition | None:
        """Return the transition into the state that a service is in.

        None if it is up, or was in this state when it was first seen.
        """
        found = self._last.get(entry.host)
        return found if found and found.state == entry.state else None
