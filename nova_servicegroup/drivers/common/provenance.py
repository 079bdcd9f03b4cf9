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

"""The origin of a member: the machine and the process behind it."""

import os
import socket
from typing import Any

from nova_servicegroup.drivers import views
from nova_servicegroup import escaping

#: Characters of a text that is shown, at most.
_LONGEST = 255


def origin(reads: str) -> dict[str, Any]:
    """Return the origin of this process.

    :param reads: the driver by which it asks which services are up
    :returns: ``machine``, ``pid`` and ``reads``
    """
    return {
        'machine': socket.gethostname(),
        'pid': os.getpid(),
        'reads': reads,
    }


def incarnation(
    name: str, since: float | None, found: Any
) -> views.Incarnation:
    """Return an incarnation with the origin that it has published.

    :param found: the origin, or any other value of an unknown client
    """
    origin = found if isinstance(found, dict) else {}
    pid = origin.get('pid')
    return views.Incarnation(
        escaping.printable(name, _LONGEST),
        since,
        _text(origin.get('machine')),
        pid if type(pid) is int and 0 < pid < 2**32 else None,
        _text(origin.get('reads')),
    )


def _text(value: Any) -> str | None:
    """Return a text as it can be shown, or None if it is not one."""
    if not isinstance(value, str):
        return None
    return escaping.printable(value, _LONGEST)
