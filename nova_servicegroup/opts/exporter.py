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

"""Options of nova-servicegroup-exporter."""

from oslo_config import cfg

GROUP = 'servicegroup_exporter'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'groups',
        default=['compute', 'conductor', 'scheduler'],
        help="""
The groups that the exporter watches. Each is read once in ``[servicegroup]
refresh_interval``.
""",
    ),
    cfg.HostAddressOpt(
        'listen',
        default='127.0.0.1',
        help="""
The address on which the exporter serves its metrics and its status page. Any
client that can reach it can read them: by default, only clients on this
machine.

Related options:

* ``client_ca_file`` restricts access to clients with a certificate
""",
    ),
    cfg.PortOpt(
        'port',
        default=18774,
        help="""
The port on which the exporter serves ``/metrics``, ``/healthz``, ``/readyz``
and, at ``/``, its status page.
""",
    ),
    cfg.BoolOpt(
        'canary',
        default=True,
        help="""
Whether the exporter joins the group ``servicegroup-exporter`` itself, which
shows whether services of this host can report. It never does with a driver
whose members need a record in Nova's services table, like ``db``.
""",
    ),
    cfg.BoolOpt(
        'per_host',
        default=False,
        help="""
Whether to export a metric for each host. With thousands of hosts, these are
thousands of time series.
""",
    ),
    cfg.StrOpt(
        'cert_file',
        help="""
File with the certificate of the exporter. With it, and ``key_file``, all is
served with TLS only.
""",
    ),
    cfg.StrOpt(
        'key_file',
        help="""
File with the private key of ``cert_file``, without a password.
""",
    ),
    cfg.StrOpt(
        'client_ca_file',
        help="""
File with the certificates of the authorities that sign those of clients. If
set, clients must present a certificate. Needs ``cert_file``.
""",
    ),
    cfg.BoolOpt(
        'status_page',
        default=True,
        help="""
Whether the exporter serves a page for people at ``/``. It names all hosts that
are not up, and shows any client that can reach it which hosts there are.

Related options:

* ``listen`` restricts who can reach it, and ``client_ca_file`` who is served
""",
    ),
]
