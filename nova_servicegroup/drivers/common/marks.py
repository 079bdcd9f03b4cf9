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

"""The marks of a group: nodes by which members say that they are unfit."""

from collections.abc import Mapping, Set

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import naming
from nova_servicegroup import membership


class Marks:
    """The marks of a group: nodes, each beside the member that has made it.

    :ivar unfit: the conditions of the hosts of which all members have a mark
    :ivar ended: the ids of members that an agent has ended
    """

    def __init__(self) -> None:
        self.unfit: Mapping[str, condition.Condition] = {}
        self.ended: set[bytes] = set()
        self._by_id: dict[bytes, set[condition.Condition]] = {}

    def add(self, node: bytes) -> bool:
        """Add a node if it is a mark; return whether it is."""
        member_id, found = _parse(node)
        if found is not None and found.state == condition.ENDED:
            self.ended.add(member_id)
        elif found is not None:
            self._by_id.setdefault(member_id, set()).add(found)
        return found is not None

    def remove(self, node: bytes) -> None:
        """Remove a node if it is a mark."""
        member_id, found = _parse(node)
        known = self._by_id.get(member_id, set())
        if found is not None and found.state == condition.ENDED:
            self.ended.discard(member_id)
        elif found in known:
            known.discard(found)
            if not known:
                del self._by_id[member_id]

    def match(self, ids: Mapping[str, Set[bytes]]) -> None:
        """Update unfit after marks or members have changed.

        :param ids: the member ids of each host
        """
        self.unfit = {
            host: newest(
                {found for each in ids[host] for found in self._by_id[each]}
            )
            for host in {_host_of(each) for each in self._by_id}
            if host in ids and ids[host] <= self._by_id.keys()
        }


def newest(conditions: Set[condition.Condition]) -> condition.Condition:
    """Return the condition that began last; of several, always the same."""
    return max(conditions, key=lambda each: (each.since, each))


def _host_of(member_id: bytes) -> str:
    return membership.canonical(naming.host_of(member_id))


def _parse(node: bytes) -> tuple[bytes, condition.Condition | None]:
    """Return the member id and the condition of a mark; None: it is none."""
    member_id, found = naming.split(node)
    try:
        naming.host_of(member_id)
    except ValueError:
        return member_id, None
    return member_id, found
