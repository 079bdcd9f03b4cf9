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

"""Options of [DEFAULT]."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'memcached_servers',
        default=None,
        help="""
The memcached servers of the mc driver.

Every heartbeat goes to all of them, and a service is up when any of them has
it: each server added is one more that may fail.

Possible values:

* A list of ``host:port``, ``[IPv6 address]:port`` or ``host`` (port 11211).
  ``inet:[host]:port`` and ``inet6:[IPv6 address]:port`` are taken, too.
* Unset: the servers of ``[cache] memcache_servers`` are used. When those are
  unset too, services are kept in the memory of their own process, which is
  useful only for trials.

Related options:

* ``servicegroup_driver`` must be ``mc``
""",
    ),
]
