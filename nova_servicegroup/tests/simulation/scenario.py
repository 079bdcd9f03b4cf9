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

"""What scenarios are made of. The times are seconds."""

from typing import Any, NamedTuple

from nova_servicegroup.tests.simulation import plan

Asker, Event, Plan = plan.Asker, plan.Event, plan.Plan


def options(**changed: float) -> tuple[tuple[str, float], ...]:
    """Return the options of most operators, some of them changed."""
    return tuple({**dict(plan.OPTIONS), **changed}.items())


def settings(**changed: Any) -> tuple[tuple[str, Any], ...]:
    """Return the usual backend, with some things changed."""
    return tuple({**dict(plan.SETTINGS), **changed}.items())


def outages(length: float, every: float, count: int) -> tuple[Event, ...]:
    """Return outages of one length, one after the other."""
    return tuple(
        Event(100.0 + number * every, 'away', size=length)
        for number in range(count)
    )


def all_die(at: float, hosts: int) -> tuple[Event, ...]:
    """Return the death of all hosts."""
    return tuple(Event(at, 'die', host) for host in range(hosts))


class Scenario(NamedTuple):
    """A history.

    :ivar plan: what happens
    :ivar kinds: of the promises that were broken
    """

    plan: plan.Plan
    kinds: tuple[str, ...]


TWO_SERVERS = settings(servers=2)
TWO_CELLS = settings(cells=2)
