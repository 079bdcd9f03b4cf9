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

"""Options of [redis]."""

from oslo_config import cfg

from nova_servicegroup.opts import _servers

GROUP = 'redis'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'address',
        default='',
        help="""
The redis or Valkey server of the redis driver.

Possible values:

* ``host:port`` of one server. The port is 6379 when left out. An IPv6 address
  is put in brackets.
* Empty: the server is the one that the Sentinels of ``sentinel_addresses``
  name. If those are not set either, ``[coordination] backend_url`` is used, if
  it begins with ``redis:``, with all parameters that tooz accepts in it.

Related options:

* ``servicegroup_driver`` must be ``redis``
""",
    ),
    cfg.StrOpt(
        'sentinel_addresses',
        default='',
        help="""
The Sentinels that watch the server: ``host:port`` of each, separated by
commas. The port is 26379 when left out. Needs ``sentinel_name``.
""",
    ),
    cfg.StrOpt(
        'sentinel_name',
        help="""
The name of the server in the Sentinels, for example ``mymaster``.
""",
    ),
    _servers.ttl,
    cfg.IntOpt(
        'database',
        default=0,
        min=0,
        help="""
The number of the database on the server.
""",
    ),
    cfg.StrOpt(
        'namespace',
        default='nova_servicegroup',
        regex=_servers.NAME,
        help="""
The beginning of every key. Every service of one Nova must use the same; give
each Nova its own where several share a server. Letters, digits and ``._-``.
""",
    ),
    cfg.StrOpt(
        'username',
        help="""
The user on the server. Unset: the server's default user.
""",
    ),
    _servers.password,
    cfg.StrOpt(
        'sentinel_username',
        help="""
The user on the Sentinels. Unset: their default user.
""",
    ),
    cfg.StrOpt(
        'sentinel_password',
        secret=True,
        help="""
The password of ``sentinel_username``.
""",
    ),
    cfg.BoolOpt(
        'use_tls',
        default=False,
        help="""
Whether to connect with TLS, also to the Sentinels.
""",
    ),
    cfg.StrOpt(
        'ca_file',
        help="""
File with the certificates of authorities that sign the servers', in addition
to those that the system trusts.
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
written in ``address``, or as reported by the Sentinels. Otherwise, anyone with
a certificate of these authorities can impersonate the server, and receives
``password``.
""",
    ),
]
