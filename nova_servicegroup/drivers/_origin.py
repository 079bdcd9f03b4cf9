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


"""Where the processes behind members run."""

import os
import socket
from typing import Any

from nova_servicegroup.drivers import base


def origin(reads: str) -> dict[str, Any]:
    """Return what tells two processes with one host name apart.

    :param reads: the driver by which this one asks who is up
    """
    return {
        'machine': socket.gethostname(),
        'pid': os.getpid(),
        'reads': reads,
    }


def incarnation(
    name: str, since: float | None, found: Any
) -> base.Incarnation:
    """Return an incarnation by what it said of its origin.

    :param found: anything is possible
    """
    origin = found if isinstance(found, dict) else {}
    machine, pid, reads = map(origin.get, ('machine', 'pid', 'reads'))
    return base.Incarnation(
        name,
        since,
        machine if isinstance(machine, str) else None,
        pid if isinstance(pid, int) else None,
        reads if isinstance(reads, str) else None,
    )
