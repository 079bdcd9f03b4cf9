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

"""Options of nova-servicegroup-agent."""

from oslo_config import cfg

GROUP = 'servicegroup_agent'

#: The options, as written in errors.
WATCHDOG = f'[{GROUP}] watchdog'
WATCHDOG_TIMEOUT = f'[{GROUP}] watchdog_timeout'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'watchdog',
        help="""
The watchdog of the kernel that nova-servicegroup-agent feeds for as long as
the backend confirms that it is a member. A host whose agent cannot have that
confirmed is reset by its own hardware, with all its servers, so that the
evidence ``silent`` becomes ``fenced`` after a known time.

A host is also reset when the backend stays away for longer than that: use it
only with a backend of several servers.

Possible values:

* The path of a device that nothing else uses, for example ``/dev/watchdog``.
  Set the same on the controllers: programs that show services then read which
  hosts have it. They open no device.
* Unset: no device is used, and nothing is ever ``fenced``.

Related options:

* ``watchdog_timeout``
* ``[servicegroup] agents``
""",
    ),
    cfg.IntOpt(
        'watchdog_timeout',
        default=10,
        min=2,
        max=255,
        help="""
Seconds after which the watchdog resets a host if it is not fed.

An agent that is restarted has to feed it within this time, and a host is reset
no later than three times this time and the session timeout or ``ttl`` after
the backend has confirmed its agent for the last time. Hosts and controllers
need the same value: otherwise nothing is ``fenced``.

Related options:

* ``watchdog``
""",
    ),
]
