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

"""Hosts that are alive but unfit, and which readers may skip them.

Written from the promise alone: a healthy, connected member is never passed
over because of a shared fault; at worst for hold_time. One whose fault is its
own is passed over as soon as that was to be read for a moment, and by
schedulers alone.
"""

from collections.abc import Callable, Collection
import dataclasses
import math
import random

from nova_servicegroup import condition
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import oracle
from nova_servicegroup.tests.promises import plan

#: Seconds within which all members notice a shared fault, and its end.
_NOTICE = 30.0
#: Seconds after which one that fails alone is passed over.
_ALONE = 5.0
#: Seconds after which three that fail alike are no sign of one any more.
_UNLIKE = 150.0


@dataclasses.dataclass
class Ailment:
    """The truth about one host.

    :ivar own: the checks that fail by its own fault, once for each fault
    :ivar shared: those that fail by no fault of its own
    :ivar since: when it began to say so; None: it says nothing
    :ivar said: when a mark of it was last there
    :ivar strange: when many last failed what it fails
    """

    own: list[str] = dataclasses.field(default_factory=list)
    shared: list[str] = dataclasses.field(default_factory=list)
    since: float | None = None
    said: float = -math.inf
    strange: float = -math.inf

    @property
    def check(self) -> str | None:
        """The check that it names: the first that fails."""
        return min(self.own + self.shared, default=None)

    def mark(self) -> str | None:
        """Return its mark; None: it has none."""
        if self.check is None:
            return None
        return condition.encode(
            condition.Condition(condition.DEGRADED, self.check, 1.0)
        )


class Ailments:
    """All hosts, and what they say."""

    def __init__(self, names: Collection[str]) -> None:
        self.hosts = {name: Ailment() for name in names}

    def sample(self, marked: Collection[str], now: float) -> None:
        """Note who has a mark now."""
        for name, each in self.hosts.items():
            if name not in marked:
                each.since = None
                continue
            each.since = now if each.since is None else each.since
            each.said = now
        for name in marked:
            each = self.hosts[name]
            alike = sum(
                other.check == each.check and now - other.said < _NOTICE
                for other in self.hosts.values()
            )
            if alike > 2:
                each.strange = now

    def check(
        self,
        rules: oracle.Oracle,
        process: oracle.Process,
        name: str,
        up: bool,
        now: float,
    ) -> bool:
        """Check what a scheduler says; tell whether it passes over a host.

        :raises Violation: it breaks a promise
        """
        host, each = rules.hosts[name], self.hosts[name]
        if up:
            self._check_chosen(rules, process, host, now)
            return False
        read = -math.inf if process.read is None else process.read
        unread = read <= each.said + oracle.EPSILON
        # A host that was lost and may be held is as unfit as it was.
        was = host.since is None and host.lost - oracle.EPSILON <= each.said
        if not (unread or was or now - each.said <= rules.lag):
            return False
        self._check_passed(rules, process, name, now)
        return True

    def _check_passed(
        self,
        rules: oracle.Oracle,
        process: oracle.Process,
        name: str,
        now: float,
    ) -> None:
        """It has a mark, or had a moment ago: by whose fault?

        Where the servers are not well, those of others may yet have to come.
        """
        each = self.hosts[name]
        if each.own or each.since is None or not each.shared:
            return
        alive = sum(host.alive for host in rules.hosts.values())
        since = max(each.since, process.resumed, rules.disturbed)
        late = now - since > rules.hold + rules.lag
        if late and alive > 2 and now - each.strange < rules.lag:
            raise oracle.Violation(
                f'{now:.1f} s: {name} is passed over for a fault that all '
                f'share, since {each.since:.1f} s; {each}'
            )

    def _check_chosen(
        self,
        rules: oracle.Oracle,
        process: oracle.Process,
        host: oracle.Host,
        now: float,
    ) -> None:
        """One that is unfit by its own fault is passed over."""
        each = self.hosts[host.name]
        since = each.since
        if since is None or not host.alive or host.since is None:
            return
        since = max(since, host.since, rules.disturbed)
        if (
            now - since > rules.lag + rules.rejoin + _ALONE
            and now - each.strange > _UNLIKE
            and process.read is not None
            and process.read > since + _ALONE + oracle.EPSILON
        ):
            raise oracle.Violation(
                f'{now:.1f} s: {host.name} is unfit since {since:.1f} s '
                f'and is not passed over; {each}, {process}'
            )


def fail(
    ailments: Ailments,
    fault: plan.Event,
    name: str,
    tell: Callable[[str], None],
    chance: random.Random,
) -> None:
    """Have a check of one host fail for a while.

    :param tell: called when it says something else
    """
    each = ailments.hosts[name]
    shared = fault.what == 'shared'
    checks = each.shared if shared else each.own
    check = 'rpc' if shared else fault.what
    if shared:
        kernel.sleep(chance.uniform(0, _NOTICE))
    checks.append(check)
    tell(name)
    kernel.sleep(fault.size)
    checks.remove(check)
    tell(name)
