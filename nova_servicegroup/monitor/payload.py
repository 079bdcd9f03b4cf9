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


"""What a notification says. See doc/source/admin/notification.json."""

import datetime
from typing import Any

from nova_servicegroup.drivers import base
from nova_servicegroup.monitor import ledger
from nova_servicegroup.watch import inventory

NAME = 'MemberPayload'
#: The first number changes with the meaning of a field, the second when one
#: is added.
VERSION = '1.0'
NAMESPACE = 'nova_servicegroup'
PREFIX = 'nova_servicegroup_object'

_EVENT_TYPES = {
    base.DOWN: ('servicegroup.member.down', 'WARN'),
    base.UP: ('servicegroup.member.up', 'INFO'),
}


def event_type(state: str) -> tuple[str, str]:
    """Return the type and the priority of a notification of a state."""
    return _EVENT_TYPES[state]


def payload(entry: ledger.Entry, driver: str) -> dict[str, Any]:
    """Return the payload of a notification.

    :param driver: the name of the driver that gave the verdict
    """
    change = entry.transition
    age = change.proof_age
    since = datetime.datetime.fromtimestamp(change.at, datetime.timezone.utc)
    return {
        f'{PREFIX}.name': NAME,
        f'{PREFIX}.version': VERSION,
        f'{PREFIX}.namespace': NAMESPACE,
        f'{PREFIX}.data': {
            'host': change.host,
            'group': change.group,
            'driver': driver,
            'state': entry.state,
            'since': since.isoformat(timespec='microseconds'),
            'reason': change.reason,
            'proof_age': None if age is None else round(age, 3),
            'forced_down': change.state == inventory.FORCED_DOWN,
        },
    }
