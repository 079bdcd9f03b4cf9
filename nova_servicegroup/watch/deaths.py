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

"""What is known of why a service is down: its evidence.

The agents of hosts, which are members of a group of their own, tell a service
that has died from a host that is gone. Pure: views and times are handed in.
"""

from collections.abc import Mapping
import math
from typing import NamedTuple

from nova_servicegroup import condition
from nova_servicegroup.drivers import views
from nova_servicegroup import membership
from nova_servicegroup.opts import evidence as words
from nova_servicegroup import services

#: The service was stopped; or its process has died; or it runs but does not
#: report: in all three the host lives, as its agent shows.
PROCESS_STOPPED, PROCESS_DIED = condition.STOPPED, condition.DIED
NOT_REPORTING = 'not-reporting'
#: Neither the service nor the agent reports any more.
SILENT = words.SILENT
#: So it is, and the watchdog of its host has reset it; see claims.
FENCED = words.FENCED
#: An operator has declared it down.
FORCED = 'forced'
#: Its host has no agent, or nothing is known of it now.
UNKNOWN = 'unknown'
EVIDENCE = (
    PROCESS_STOPPED,
    PROCESS_DIED,
    NOT_REPORTING,
    SILENT,
    FENCED,
    FORCED,
    UNKNOWN,
)


def telling(evidence: str | None) -> str | None:
    """Return evidence that tells more than the state does, or None."""
    return None if evidence in (FORCED, UNKNOWN) else evidence


class _Agent(NamedTuple):
    """An agent as it was last seen.

    :ivar proof: when it was last proved alive, by the monotonic clock
    :ivar stops: whether it reported that it stops
    """

    proof: float
    stops: bool


class Agents:
    """The agents of all hosts, as one process has seen them.

    :param margin: the most seconds by which an agent may be lost before the
        service that is lost together with it
    """

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._present: Mapping[str, views.Member] = {}
        self._seen: dict[str, _Agent] = {}
        self._is_blind = True
        # When the group was first read: an agent that was never seen was
        # gone by then.
        self._begun = math.inf

    def update(self, view: views.View, now: float) -> None:
        """Take over a reading of the group of hosts.

        :param now: by the monotonic clock
        """
        self._is_blind = view.error is not None or view.age is None
        if not self._is_blind:
            self._begun = min(self._begun, now)
        self._present = {
            membership.canonical(each.host): each
            for each in view.members
            if each.up
        }
        for host, each in self._present.items():
            if each.proof_age is not None and not each.held:
                self._seen[host] = _Agent(now - each.proof_age, stops(each))

    def evidence(
        self, host: str, group: str, proof: float | None, agent_is_up: bool
    ) -> str:
        """Return the evidence of a service that is down, one of EVIDENCE.

        :param proof: when the service was last proved alive, by the monotonic
            clock; None: never
        :param agent_is_up: the verdict on the agent of its host
        """
        if self._is_blind:
            return UNKNOWN
        name = membership.canonical(host)
        agent = self._present.get(name)
        if agent is not None and not agent.held:
            watched = group == services.WATCHED_GROUP
            return _reported(agent) if watched else UNKNOWN
        if agent_is_up or self._shows_nothing(name, group, proof):
            return UNKNOWN
        return SILENT

    def _shows_nothing(
        self, host: str, group: str, proof: float | None
    ) -> bool:
        """Return whether the absence of an agent shows nothing of its host.

        It was stopped, or was lost before its service; or there may be none.
        """
        seen = self._seen.get(host)
        if seen is None:
            # Only hosts of the watched group must have one.
            if not self._seen or group != services.WATCHED_GROUP:
                return True
            seen = _Agent(self._begun, False)
        return seen.stops or (
            proof is not None and seen.proof + self._margin < proof
        )


def _reported(agent: views.Member) -> str:
    """Return what an agent that is alive reports of its service."""
    state = reported_state(agent)
    if state in (PROCESS_STOPPED, PROCESS_DIED):
        return str(state)
    return UNKNOWN if state == condition.DRAINING else NOT_REPORTING


def stops(agent: views.Member) -> bool:
    """Return whether an agent reports that it stops."""
    return reported_state(agent) == condition.DRAINING


def reported_state(agent: views.Member) -> str | None:
    """Return the state that an agent reports, see condition, or None."""
    return None if agent.condition is None else agent.condition.state
