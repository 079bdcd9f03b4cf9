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

"""The oracle, where a read shows only those that are asked for."""

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import oracle
from nova_servicegroup.tests.simulation import truth


class McOracle(oracle.Oracle):
    """The oracle, where a read shows only those that are asked for.

    :ivar forgotten: seconds after which a server that is away has lost all
    """

    forgotten = 0.0

    def last_read(self, eye: eyes.Eye, number: int, t0: float) -> float | None:
        """See Oracle."""
        if self._may_be_new(eye, number, t0):
            return t0
        return eye.asked_at.get(number)

    def known_at(self, eye: eyes.Eye, host: truth.Host) -> float | None:
        """See Oracle."""
        return eye.asked_at.get(host.number)

    def _may_be_lost(self, first: float, t0: float) -> float | None:
        """A server that is away for long has forgotten all.

        Then it is no reason to hold anybody.
        """
        since = max(0.0, self.calm.last(t0))
        if not self.calm.holds(t0) and first - since > self.forgotten:
            return None
        return super()._may_be_lost(first, t0)

    def _may_not_know(self, eye: eyes.Eye, host: truth.Host) -> bool:
        """A join is visible at the next read that asks for the host.

        One that had joined before the process began was lost if such a read
        did not show it, and is protected.
        """
        if host.joined > eye.first_ask:
            return super()._may_not_know(eye, host)
        return eye.asked_at.get(host.number, -1.0) < host.joined

    def _may_be_new(self, eye: eyes.Eye, number: int, t0: float) -> bool:
        """Of those asked about for the first time, one is read for at once.

        The others have a refresh_interval.
        """
        first = eye.first_asked.setdefault(number, t0)
        return t0 - first <= self.rules.refresh + self.rules.slack
