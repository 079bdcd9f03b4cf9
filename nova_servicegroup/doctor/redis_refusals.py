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

"""What redis servers refuse, and what is to be done about it."""

import re

from nova_servicegroup import exceptions

#: What a refusal says, and what is to be done.
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
_MUTE = (
    'See that the server runs, that this host may reach it, and that '
    '[redis] address, or what the Sentinels say, is right.'
)


def reason(error: Exception | None) -> str:
    """Return why a server was not asked, without the names of classes."""
    said = str(
        getattr(error, 'reason', None)
        or exceptions.first_line(error or exceptions.ServiceGroupError())
    )
    return re.sub(r'^(\w+Error: )+', '', said).rstrip('.')


def advice(said: str) -> str:
    """Return what to do about a server that refuses, or does not answer."""
    for parts, what in _ADVICE:
        if any(part in said for part in parts):
            return what
    return _MUTE
