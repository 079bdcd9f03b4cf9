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

import collections
from collections.abc import Iterable, Mapping, Sequence

from nova_servicegroup import domains
from nova_servicegroup.drivers import views
from nova_servicegroup.watch import inventory


class Losses:
    """The lost domains of one group, as one process has seen them.

    A domain is lost from when more than half of its hosts are lost at once,
    see domains.Domains, until at least half of them are up and not held.

    :ivar lost: its hosts that are not up, by the name of the domain
    """

    def __init__(self) -> None:
        self.lost: Mapping[str, Sequence[str]] = {}

    def update(self, entries: Iterable[inventory.Entry]) -> None:
        """Take over a reading of the group.

        :param entries: also those that were known before and are not seen
        """
        hosts, missing = collections.Counter[str](), _Missing(list)
        held = set()
        for each in entries:
            if each.domain is None:
                continue
            hosts[each.domain] += 1
            if each.state in (views.HELD, views.DOWN):
                missing[each.domain].append(each.host)
            if is_held(each):
                held.add(each.domain)
        self.lost = {
            domain: found
            for domain, found in sorted(missing.items())
            if domain in held
            or (domain in self.lost and 2 * len(found) > hosts[domain])
        }


_Missing = collections.defaultdict[str, list[str]]


def is_held(entry: inventory.Entry) -> bool:
    """Return whether a service is held since its domain was lost."""
    member, domain = entry.member, entry.domain
    if member is None or domain is None or not member.held:
        return False
    return member.reason == domains.reason(domain)
