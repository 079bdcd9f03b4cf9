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

"""Checks whether each agent claims that a watchdog resets its host."""

from collections.abc import Iterator

from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import groups
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import fencing
from nova_servicegroup import services


def check(subject: finding.Subject) -> Iterator[finding.Finding]:
    """See finding.Check. Nothing is found where no watchdogs are used."""
    asked = subject.api(subject.driver)
    if not asked.has_watchdogs:
        return
    try:
        claims = fencing.group(subject.conf, asked.driver)
    except exceptions.ConfigurationError as error:
        yield finding.error(
            str(error),
            'No agent starts with it, and no host is ever fenced.',
            'Unset it, or use another driver.',
        )
        return
    found = groups.read(asked, services.HOST_GROUP, claims)
    if found:
        yield judge(*found)


def judge(agents: views.View, claimed: views.View) -> finding.Finding:
    """Judge which agents claim a watchdog, with the options of this host.

    :param claimed: the group of claims
    """
    alive = groups.alive(agents)
    missing = alive - groups.alive(claimed)
    if not missing:
        return finding.ok(f'{len(alive)} agents claim a watchdog.')
    return finding.warning(
        f'{len(missing)} agents claim no watchdog: {finding.names(missing)}.',
        'If one of these hosts dies, it is silent, and never fenced.',
        'Set the options of [servicegroup_agent], and those of the driver, '
        'there as here, and read the log of the agent. One that has just '
        'started claims its watchdog after watchdog_timeout.',
    )
