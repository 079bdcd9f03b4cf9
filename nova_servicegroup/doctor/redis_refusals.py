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

"""Explains the errors with which redis servers refuse a request."""

import re

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import servers

#: Parts of an error, and what to do about it.
_ADVICE = (
    (
        ('invalid username', 'HELLO', 'Authentication', 'NOAUTH', 'WRONGPASS'),
        'See that [redis] username and password are those of the server.',
    ),
    (
        ('permissions', 'NOPERM'),
        'Give the user the rights that the documentation of the driver names.',
    ),
    (
        ('read only replica',),
        'Name its master in [redis] address, or Sentinels.',
    ),
    (
        ('maxmemory',),
        'Give the server more memory (maxmemory), or the services a server '
        'of their own.',
    ),
    (
        ('MISCONF',),
        'The server cannot save its data: see its log and its disc, or set '
        'stop-writes-on-bgsave-error to no.',
    ),
    (
        ('NOREPLICAS',),
        'The server has fewer replicas than min-replicas-to-write: see why.',
    ),
    (
        ('certificate', 'SSL'),
        'See that use_tls is right, that the server has its name in its '
        'certificate, and that ca_file has the authority that has signed it.',
    ),
)


def reason(error: Exception | None) -> str:
    """Return why a server did not answer, without the names of classes."""
    return re.sub(r'^(\w+Error: )+', '', asking.reason(error)).rstrip('.')


def advice(reason: str) -> str:
    """Return what to do about a server that refuses, or does not answer."""
    for parts, what in _ADVICE:
        if any(part in reason for part in parts):
            return what
    return servers.reach_advice('[redis] address, or what the Sentinels say,')
