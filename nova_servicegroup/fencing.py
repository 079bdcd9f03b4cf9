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

"""What the agents with a watchdog and their observers have agreed upon.

An agent that feeds a watchdog is a member of one more group, its *claim*: that
its host is reset no later than so many seconds after the backend has confirmed
the claim for the last time. The name of the group has that time. So nothing is
claimed towards an observer with other options.
"""

import math

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup.opts import agent as options

#: Seconds for which an agent that stops shows that before its watchdog is
#: disarmed. An observer that has not read for longer cannot know of it.
NOTICE = 5.0
#: Seconds that a reading of a group takes which shows a change, at most.
_READ = 5.0


def is_wanted(conf: cfg.ConfigOpts) -> bool:
    """Return whether watchdogs are used at all."""
    return bool(conf.servicegroup_agent.watchdog)


def reset_within(conf: cfg.ConfigOpts, driver: base.Driver) -> int:
    """Return the seconds from the last confirmation to the reset, at most.

    The last feed is begun within the lease. The process may be frozen before
    it writes for as long as the watchdog permits, and that is fed then. Then
    it may be killed within the same time, which feeds once more: the kernel
    does so when a watchdog is closed that is not disarmed.

    :raises ConfigurationError: see lease
    """
    timeout: int = conf.servicegroup_agent.watchdog_timeout
    return math.ceil(lease(conf, driver) + 3 * timeout)


def lease(conf: cfg.ConfigOpts, driver: base.Driver) -> float:
    """Return the seconds for which a confirmation permits to feed.

    It is a member for at least as long.

    :raises ConfigurationError: a reading of the driver may lack a member that
        was confirmed before
    """
    if not driver.readings_agree or driver.kept_for is None:
        raise exceptions.ConfigurationError(
            options.WATCHDOG,
            conf.servicegroup_agent.watchdog,
            'unset, or servicegroup_driver = zk or etcd, or redis without '
            'Sentinels, or mc with one server: other backends may lose what '
            'they have confirmed',
        )
    return driver.kept_for


def stop_within(driver: base.Driver) -> float:
    """Return the seconds in which a clean stop has to be confirmed.

    A predecessor that was killed shows no stop until its membership expires.
    """
    return (driver.found_within or 0.0) + NOTICE + 2 * _READ


def group(conf: cfg.ConfigOpts, driver: base.Driver) -> str:
    """Return the name of the group of claims.

    :raises ConfigurationError: see lease
    """
    timeout: int = conf.servicegroup_agent.watchdog_timeout
    return f'watchdog-{lease(conf, driver):g}-{timeout}'
