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

"""What may happen to hosts, whatever their backend."""

from typing import Any

from nova_servicegroup.tests.simulation import plan as plans


class HostFaults:
    """What may happen to hosts in a history; a part of a World.

    :ivar members: each has ``works`` and the verbs ``start``, ``die`` and
        ``leave``
    """

    members: list[Any]
    kernel: Any
    later: Any

    def _member(self, event: plans.Event) -> Any:
        return self.members[event.where % len(self.members)]

    def _host_die(self, event: plans.Event) -> None:
        self._member(event).die()

    def _host_leave(self, event: plans.Event) -> None:
        self._member(event).leave()

    def _host_revive(self, event: plans.Event) -> None:
        if not self._member(event).works:
            self._member(event).start()

    def _host_restart(self, event: plans.Event) -> None:
        member = self._member(event)
        member.leave() if event.much < 0.5 else member.die()
        self.later(event.size, self._host_revive, event)
