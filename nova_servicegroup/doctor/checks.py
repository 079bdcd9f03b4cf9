# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""All checks, in the order in which their findings are shown."""

from nova_servicegroup.doctor import agents
from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import clock
from nova_servicegroup.doctor import driver
from nova_servicegroup.doctor import etcd
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import fitness
from nova_servicegroup.doctor import heartbeats
from nova_servicegroup.doctor import hook
from nova_servicegroup.doctor import mc
from nova_servicegroup.doctor import members
from nova_servicegroup.doctor import migration
from nova_servicegroup.doctor import options
from nova_servicegroup.doctor import redis
from nova_servicegroup.doctor import watchdogs
from nova_servicegroup.doctor import zk

#: By name. A check that is made for another driver finds nothing.
CHECKS: dict[str, finding.Check] = {
    'hook': hook.check,
    'driver': driver.check,
    'options': options.check,
    'backend': backend.check,
    'zookeeper': zk.check,
    'etcd': etcd.check,
    'memcached': mc.check,
    'redis': redis.check,
    'clock': clock.check,
    'heartbeats': heartbeats.check,
    'fitness': fitness.check,
    'members': members.check,
    'agents': agents.check,
    'watchdogs': watchdogs.check,
    'migration': migration.check,
}
