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


"""The part of the election that orchestrators probe."""

from nova_servicegroup.monitor import election


class Role:
    """Whether a monitor takes part in the election; see web.probes.Probed."""

    name = 'election'

    def __init__(self, taking_part: election.SoleMonitor) -> None:
        self._election = taking_part

    def stuck(self) -> str | None:
        """Return None: only readings of groups tell whether to restart."""
        return None

    def unready(self) -> str | None:
        """Return why the monitor neither leads nor follows, or None."""
        return self._election.unready()
