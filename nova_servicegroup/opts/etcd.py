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

"""Options of [etcd]."""

from oslo_config import cfg

from nova_servicegroup.opts import _servers

GROUP = 'etcd'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'address',
        default='',
        help="""
The etcd servers of the etcd driver.

Possible values:

* ``host:port`` of each server, separated by commas, for example
  ``"etcd1:2379,etcd2:2379,etcd3:2379"``. The port is 2379 when left out. An
  IPv6 address is put in brackets.
* Empty: those of ``[coordination] backend_url``, if that begins with
  ``etcd3+http:`` or ``etcd3+https:``, with the certificates that it names.

Related options:

* ``servicegroup_driver`` must be ``etcd``
""",
    ),
    _servers.ttl,
    cfg.StrOpt(
        'namespace',
        default='nova_servicegroup',
        regex=_servers.NAME,
        help="""
The beginning of every key, after ``tooz/groups/``. Every service of one Nova
must use the same; give each Nova its own where several share their servers.
Letters, digits and ``._-``.
""",
    ),
    cfg.StrOpt(
        'username',
        help="""
The user of etcd, if it requires authentication. Needs ``password``.
""",
    ),
    _servers.password,
    cfg.BoolOpt(
        'use_tls',
        default=False,
        help="""
Whether to connect to ``address`` with TLS. A server's certificate must contain
its host name or IP address as written there.
""",
    ),
    cfg.StrOpt(
        'ca_file',
        help="""
File with the certificates of the authorities that sign the servers'. No other
authority is trusted. Unset: those that come with the library requests.
""",
    ),
    _servers.cert_file,
    cfg.StrOpt(
        'key_file',
        help="""
File with the private key of ``cert_file``, unless that file contains it, too.
It must not have a password.
""",
    ),
]
