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

"""Which failure domains of a group are lost. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from nova_servicegroup import domains
from nova_servicegroup.drivers import views
from nova_servicegroup.watch import inventory


class Losses:
    """The lost domains of one group, as one process has seen them.

    A domain is lost from when hosts of it are held for that, see
    domains.Domains, until at least half of these are up and not held.

    :ivar lost: its hosts that are not up since then, by the name of the domain
    """

    def __init__(self) -> None:
        self.lost: Mapping[str, Sequence[str]] = {}
        # The hosts that were held, by domain.
        self._held: dict[str, set[str]] = {}

    def update(self, entries: Iterable[inventory.Entry]) -> None:
        """Take over a reading of the group.

        :param entries: also those that were known before and are not seen
        """
        missing = set()
        for each in entries:
            if each.state in (views.HELD, views.DOWN):
                missing.add(each.host)
            if each.domain is not None and is_held(each):
                self._held.setdefault(each.domain, set()).add(each.host)
        self._held = {
            domain: hosts
            for domain, hosts in self._held.items()
            if 2 * len(hosts & missing) > len(hosts)
        }
        self.lost = {
            domain: sorted(hosts & missing)
            for domain, hosts in sorted(self._held.items())
        }


def is_held(entry: inventory.Entry) -> bool:
    """Return whether a service is held since its domain was lost."""
    member, domain = entry.member, entry.domain
    if member is None or domain is None or not member.held:
        return False
    return member.reason == domains.reason(domain)
