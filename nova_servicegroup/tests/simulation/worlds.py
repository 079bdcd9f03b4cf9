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

"""The histories of each driver."""

from nova_servicegroup.tests.simulation import db_world
from nova_servicegroup.tests.simulation import mc_world
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import world
from nova_servicegroup.tests.simulation import zk_world

_WORLDS: dict[str, type[world.World]] = {
    'db': db_world.DbWorld,
    'mc': mc_world.McWorld,
    'zk': zk_world.ZkWorld,
}


def make(plan: plans.Plan) -> world.World:
    """Return the history of a plan, which has not begun."""
    return _WORLDS[plan.driver](plan)
