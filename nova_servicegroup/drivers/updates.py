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

"""When a service was updated, as Nova asks its drivers for it."""

import datetime

from nova_servicegroup import dates
from nova_servicegroup import services


def newer(
    age: float | None, service_ref: services.ServiceRef
) -> datetime.datetime | None:
    """Return the newer of a proof of life and the record's own update.

    :param age: seconds since the proof, or None if there is none
    :returns: see later
    """
    proof = None if age is None else dates.time_ago(age)
    return later(proof, service_ref)


def later(
    last_up: datetime.datetime | None, service_ref: services.ServiceRef
) -> datetime.datetime | None:
    """Return the later of when a host was up and the record's own update.

    Nova expects a time of the record as its own driver returns it: unchanged.

    :param last_up: an aware time, or None if it is not known
    :returns: last_up, or the record's ``updated_at`` as it is
    """
    updated: datetime.datetime | None = service_ref['updated_at']
    if last_up is None:
        return updated
    recorded = dates.aware(updated or None)
    return updated if recorded is not None and recorded > last_up else last_up
