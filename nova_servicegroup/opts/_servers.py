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

"""Options that the groups of several backends share."""

from oslo_config import cfg

#: The characters allowed in the names of keys and nodes.
NAME = r'^[A-Za-z0-9._-]+$'

ttl = cfg.IntOpt(
    'ttl',
    default=10,
    min=2,
    max=3600,
    help="""
Seconds without a heartbeat after which the server drops a member: the time in
which a dead service is found. A service renews its membership three times in
it, or each ``report_interval`` if that is shorter.

Related options:

* ``service_down_time`` should not be smaller
""",
)

password = cfg.StrOpt(
    'password',
    secret=True,
    help="""
The password of ``username``.
""",
)

cert_file = cfg.StrOpt(
    'cert_file',
    help="""
File with this host's certificate.
""",
)

key_file = cfg.StrOpt(
    'key_file',
    help="""
File with the private key of ``cert_file``, unless that file has it, too.
""",
)

key_password = cfg.StrOpt(
    'key_password',
    secret=True,
    help="""
The password of ``key_file``.
""",
)
