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

"""Options of nova-servicegroup-monitor."""

from oslo_config import cfg

GROUP = 'servicegroup_monitor'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'groups',
        default=['compute'],
        help="""
The groups that nova-servicegroup-monitor watches, every ``[servicegroup]
refresh_interval``.
""",
    ),
    cfg.ListOpt(
        'topics',
        default=['servicegroup_notifications'],
        help="""
The topics to which nova-servicegroup-monitor sends its notifications.

Each topic has two queues, ``<topic>.warn`` for members that go down and
``<topic>.info`` for those that come up. Without a consumer they grow.

Related options:

* ``[oslo_messaging_notifications] transport_url``, or else ``[DEFAULT]
  transport_url``, names the message queue
""",
    ),
    cfg.StrOpt(
        'backend_url',
        secret=True,
        help="""
The backend through which several nova-servicegroup-monitor elect the one that
sends.

Possible values:

* A URL of tooz, for example ``etcd3+http://etcd1:2379``.
* Unset: with the drivers ``zk`` and ``etcd`` the same servers are used, with
  ``mc`` the first of the memcached servers. With ``db`` there may be one
  monitor only.
""",
    ),
    cfg.PortOpt(
        'health_port',
        help="""
The port on which nova-servicegroup-monitor serves ``/healthz`` and
``/readyz``, for orchestrators. Unset: it listens on no port.

Related options:

* ``health_listen`` is the address
""",
    ),
    cfg.HostAddressOpt(
        'health_listen',
        default='127.0.0.1',
        help="""
The address on which nova-servicegroup-monitor serves ``/healthz`` and
``/readyz``, without TLS. Any client that can reach it can read them; they name
groups and servers of the backend, and no hosts.

Related options:

* ``health_port`` is the port
""",
    ),
]
