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

"""Options of [zookeeper]."""

from oslo_config import cfg

from nova_servicegroup.opts import _servers

GROUP = 'zookeeper'

#: Values of the old driver's option begin with a slash.
_NAMESPACE = r'^/?[A-Za-z0-9._-]+$'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'address',
        default='',
        help="""
The ZooKeeper servers of the zk driver.

Possible values:

* ``host:port`` of each server, separated by commas, for example
  ``"zk1:2181,zk2:2181,zk3:2181"``. The port is 2181 when left out. An IPv6
  address is put in brackets.

Related options:

* ``servicegroup_driver`` must be ``zk``
""",
    ),
    cfg.IntOpt(
        'session_timeout',
        default=10,
        min=1,
        max=3600,
        help="""
Seconds without contact after which ZooKeeper ends a session: the time in
which a dead service is found. The servers silently raise or lower it to
between 2 and 20 times their tick.

Related options:

* ``service_down_time`` should not be smaller
""",
    ),
    cfg.StrOpt(
        'namespace',
        default='nova_servicegroup',
        regex=_NAMESPACE,
        deprecated_name='sg_prefix',
        help="""
The node below ZooKeeper's root that contains the groups. Every service of one
Nova must use the same. Letters, digits and ``._-``.
""",
    ),
    cfg.StrOpt(
        'username',
        help="""
The user of the digest scheme. With it, only this user can read and change
the groups. Needs ``password``.
""",
    ),
    _servers.password,
    cfg.BoolOpt(
        'use_tls',
        default=False,
        help="""
Whether to connect with TLS.
""",
    ),
    cfg.StrOpt(
        'ca_file',
        help="""
File with the certificates of the authorities that sign the servers'. No other
authority is trusted. Unset: those that the system trusts.
""",
    ),
    _servers.cert_file,
    _servers.key_file,
    _servers.key_password,
    cfg.BoolOpt(
        'check_hostname',
        default=True,
        help="""
Whether a server's certificate must contain its host name or IP address as
written in ``address``. Otherwise, anyone with a certificate of these
authorities can impersonate a server, and receives ``password``.
""",
    ),
    cfg.IntOpt(
        'recv_timeout',
        min=1000,
        deprecated_for_removal=True,
        deprecated_reason='Use session_timeout, in seconds.',
        deprecated_since='1.0.0',
        help="""
The session timeout in milliseconds. Used when ``session_timeout`` is not set.
""",
    ),
    cfg.IntOpt(
        'sg_retry_interval',
        deprecated_for_removal=True,
        deprecated_reason='Retries now back off by themselves.',
        deprecated_since='1.0.0',
        help="""
Ignored.
""",
    ),
]
