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

"""Checks whether each host that runs nova-compute has an agent."""

from collections.abc import Iterator, Set

from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import groups
from nova_servicegroup.drivers import views
from nova_servicegroup import membership
from nova_servicegroup import services
from nova_servicegroup.watch import deaths

#: What an agent reports of a nova-compute that it does not see.
_UNSEEN = (deaths.PROCESS_DIED, deaths.PROCESS_STOPPED)


def check(subject: finding.Subject) -> Iterator[finding.Finding]:
    """See finding.Check. Nothing is found where there are no agents."""
    if not subject.conf.servicegroup.agents:
        return
    asked = subject.api(subject.driver)
    if not asked.has_agents:
        yield finding.warning(
            f'[servicegroup] agents is true, and {subject.driver} has none.',
            'The evidence for a service that is down is always unknown.',
            'Use another driver, or set it to false.',
        )
        return
    found = groups.read(asked, services.WATCHED_GROUP, services.HOST_GROUP)
    if found:
        yield from judge(*found)


def judge(seen: views.View, agents: views.View) -> Iterator[finding.Finding]:
    """Judge which hosts have an agent that sees their nova-compute.

    :param seen: the nova-computes
    """
    alive = groups.alive(seen)
    states = {
        membership.canonical(each.host): deaths.reported_state(each)
        for each in agents.members
    }
    missing = alive - states.keys()
    unseen = {each for each in alive - missing if states[each] in _UNSEEN}
    if missing:
        yield _judge_missing(missing)
    if unseen:
        yield _judge_unseen(unseen)
    if not missing and not unseen:
        yield finding.ok(f'{len(alive)} hosts have an agent.')


def _judge_missing(hosts: Set[str]) -> finding.Finding:
    return finding.warning(
        f'{len(hosts)} hosts have no agent: {finding.names(hosts)}.',
        'If one of them is down, it may be taken for silent though only its '
        'nova-compute has died.',
        'Start nova-servicegroup-agent there, or set [servicegroup] agents to '
        'false here.',
    )


def _judge_unseen(hosts: Set[str]) -> finding.Finding:
    return finding.warning(
        f'{len(hosts)} agents do not see a nova-compute that is up: '
        f'{finding.names(hosts)}.',
        'They cannot find out when it dies.',
        'Set [servicegroup] process_directory to the same directory for both, '
        'and restart nova-compute.',
    )
