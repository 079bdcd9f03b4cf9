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

"""Real servers for tests, with failures as verbs.

It needs nothing but the standard library.
"""

from nova_servicegroup.tests.harness.mariadb import MariaDB
from nova_servicegroup.tests.harness.memcached import Memcached
from nova_servicegroup.tests.harness.ports import free_port
from nova_servicegroup.tests.harness.ports import free_ports
from nova_servicegroup.tests.harness.postgresql import PostgreSQL
from nova_servicegroup.tests.harness.process import Process
from nova_servicegroup.tests.harness.process import wait_until
from nova_servicegroup.tests.harness.rabbitmq import RabbitMQ
from nova_servicegroup.tests.harness.server import MissingProgram
from nova_servicegroup.tests.harness.server import Server
from nova_servicegroup.tests.harness.zookeeper import Ensemble
from nova_servicegroup.tests.harness.zookeeper import ZooKeeper

__all__ = [
    'Ensemble',
    'MariaDB',
    'Memcached',
    'MissingProgram',
    'PostgreSQL',
    'Process',
    'RabbitMQ',
    'Server',
    'ZooKeeper',
    'free_port',
    'free_ports',
    'wait_until',
]
