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

"""What members say of themselves in their values: conditions and domains."""

from collections.abc import Mapping, Set

from nova_servicegroup import condition
from nova_servicegroup.drivers.common import marks
from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.mc import keyspace
from nova_servicegroup.drivers.mc import wanted

#: The values of members by their ids.
_Values = Mapping[str, bytes]


class Details:
    """The conditions and the domains of the members of a group.

    Values that have not changed are not looked into again.

    :ivar domains: see evidence.Reading
    """

    def __init__(self, wanted: wanted.Wanted) -> None:
        self._wanted = wanted
        # The values, by server, that are more than a token.
        self._longer: list[_Values] = []
        self._marked: Set[str] = frozenset()
        self.domains: Mapping[str, str] = {}

    def update(self, servers: Mapping[str, _Values]) -> None:
        """Replace the values.

        :param servers: the values that each server has, by its name
        """
        longer: list[_Values] = [
            {
                member_id: value
                for member_id, value in values.items()
                if len(value) > naming.TOKEN
            }
            for values in servers.values()
        ]
        if longer != self._longer:
            self._longer = longer
            self._marked = {
                member_id
                for values in longer
                for member_id, value in values.items()
                if keyspace.has_mark(value)
            }
            self.domains = self._find_domains()

    def _find_domains(self) -> Mapping[str, str]:
        return {
            host: domain
            for values in self._longer
            for member_id, value in values.items()
            if (domain := keyspace.domain_of(value)) is not None
            for host in self._wanted.hosts([member_id])
        }

    def unfit(
        self, servers: Mapping[str, _Values]
    ) -> dict[str, condition.Condition]:
        """Return the conditions of hosts that are unfit on every server.

        :param servers: see update
        """
        conditions = {
            member_id: {
                keyspace.condition_of(values[member_id])
                for values in servers.values()
                if member_id in values
            }
            for member_id in self._marked
        }
        return {
            host: marks.newest({each for each in found if each is not None})
            for member_id, found in conditions.items()
            if None not in found
            for host in self._wanted.hosts([member_id])
        }
