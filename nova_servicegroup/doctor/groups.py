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

"""Reads groups for checks that compare them."""

from nova_servicegroup import api
from nova_servicegroup.doctor import members
from nova_servicegroup.drivers import views
from nova_servicegroup import membership


def read(servicegroup: api.API, *groups: str) -> list[views.View]:
    """Return the groups, or nothing if one cannot be read.

    The check of the backend finds that.
    """
    for group in groups:
        servicegroup.view(group)
    # The first reading may not know all yet.
    members.pause(servicegroup.driver.conf)
    found = [servicegroup.view(group) for group in groups]
    return [] if any(each.error for each in found) else found


def alive(view: views.View) -> set[str]:
    """Return the canonical names of the hosts that are up for sure."""
    return {
        membership.canonical(each.host)
        for each in view.members
        if each.up and not each.held
    }
