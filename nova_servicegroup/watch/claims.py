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

"""Which hosts were reset by their watchdogs: see fencing. Pure."""

from collections.abc import Mapping
import dataclasses
import math

from nova_servicegroup.drivers import views
from nova_servicegroup import membership
from nova_servicegroup import sleep
from nova_servicegroup.watch import deaths


#: Seconds by which the clocks may differ without a suspension.
_SUSPENDED = 1.0


@dataclasses.dataclass
class _Lost:
    """A claim that is not seen any more.

    Times are of the monotonic clock.

    :ivar missed: when the first reading without it had come
    :ivar since: since when it is absent, and not only held; None: it is held
    """

    missed: float
    since: float | None = None


class Claims:
    """The claims of all hosts, as one process has seen them.

    A claim that is lost shows that its host is reset only if no agent can have
    withdrawn it, or made it anew, unseen. An agent that stops shows that
    before it withdraws its claim, and for some time after that. So what
    was read before a longer time without readings counts for nothing.

    :param within: seconds from the last confirmation to the reset, at most
    :param margin: seconds in which the driver finds a dead member; also those
        by which one server may lag behind another
    :param gap: the most seconds between two readings: fencing.NOTICE, and not
        longer than a claim that is made anew lasts
    :param clocks: see sleep.Sleep
    """

    def __init__(
        self,
        within: float,
        margin: float,
        gap: float,
        clocks: sleep.Clocks = sleep.CLOCKS,
    ) -> None:
        self._within = within
        self._margin = margin
        self._gap = gap
        self._sleep = sleep.Sleep(clocks, _SUSPENDED)
        self._had: set[str] = set()
        self._lost: dict[str, _Lost] = {}
        self._read = -math.inf

    def update(
        self,
        claims: views.View,
        agents: views.View,
        begun: float,
        now: float,
    ) -> None:
        """Take over a reading of the claims, and one of the group of hosts.

        :param begun: when the first of them was begun, by the monotonic clock
        :param now: when both had come
        """
        if _is_blind(claims) or _is_blind(agents):
            return
        if now - self._read > self._gap or self._sleep.was_noticed():
            self._forget()
        self._read = begun - max(claims.asked or 0.0, agents.asked or 0.0)
        found = _present(claims)
        proven = {host for host, each in found.items() if not each.held}
        for host in proven:
            self._lost.pop(host, None)
        for host in self._had - proven:
            self._lost[host] = _Lost(now)
        self._had = proven
        self._judge(found, _present(agents), now)

    def is_fenced(self, host: str) -> bool:
        """Return whether the watchdog of a host has reset it."""
        lost = self._lost.get(membership.canonical(host))
        return (
            lost is not None
            and lost.since is not None
            and self._read - lost.since >= self._within + self._margin
        )

    def _forget(self) -> None:
        self._had = set()
        self._lost.clear()

    def _judge(
        self,
        claims: Mapping[str, views.Member],
        agents: Mapping[str, views.Member],
        now: float,
    ) -> None:
        for host, lost in list(self._lost.items()):
            if host in claims:
                lost.since = None
            elif lost.since is None:
                lost.since = now
            if self._is_withdrawn(lost, agents.get(host), now):
                del self._lost[host]

    def _is_withdrawn(
        self, lost: _Lost, agent: views.Member | None, now: float
    ) -> bool:
        """Return whether a host may be alive without its claim."""
        if agent is None or agent.held:
            return False
        # Two sessions that end together do not expire together. An agent that
        # goes on for longer has another watchdog, or none.
        return deaths.stops(agent) or now - lost.missed > 2 * self._margin


def _is_blind(view: views.View) -> bool:
    return view.error is not None or view.age is None or view.asked is None


def _present(view: views.View) -> dict[str, views.Member]:
    return {
        membership.canonical(each.host): each
        for each in view.members
        if each.up
    }
