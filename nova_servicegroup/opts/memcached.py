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

"""Options of [memcached]."""

from oslo_config import cfg

from nova_servicegroup.opts import _servers

GROUP = 'memcached'

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'timeout',
        default=1,
        min=1,
        max=10,
        help="""
Seconds that a server may take to answer. A server that takes longer is not
asked for a while.
""",
    ),
    cfg.StrOpt(
        'key_prefix',
        regex=_servers.NAME,
        default='nova_servicegroup',
        help="""
The beginning of every key. Every service of one Nova must use the same; give
each Nova its own where several share their servers. Letters, digits and
``._-``.
""",
    ),
    cfg.BoolOpt(
        'use_tls',
        default=False,
        help="""
Whether to connect with TLS. Needs ``cert_file``.
""",
    ),
    cfg.StrOpt(
        'ca_file',
        help="""
File with the certificates of the authorities that sign the servers'. Unset:
those that the system trusts.
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
written in ``memcached_servers``.
""",
    ),
]
