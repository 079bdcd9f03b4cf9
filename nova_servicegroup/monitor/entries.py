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

"""What waits to be sent, and what a leader has left of it."""

from collections.abc import Sequence
import dataclasses

from nova_servicegroup.monitor import publication
from nova_servicegroup.watch import watcher


@dataclasses.dataclass
class Entry:
    """A transition to send.

    :ivar state: views.UP, views.DOWN, views.DEGRADED or views.DRAINING
    :ivar seen: when it was seen, by the monotonic clock
    :ivar message_id: of the notification; empty until it is due
    :ivar only_evidence: whether consumers know already that it is down
    """

    transition: watcher.Transition
    state: str
    seen: float
    message_id: str = ''
    only_evidence: bool = False

    @property
    def key(self) -> publication.Key:
        """The group and the host of the member."""
        return self.transition.group, self.transition.host

    @property
    def news(self) -> str:
        """What consumers know once it is sent; see publication.news."""
        return publication.news(self.state, self.transition.evidence)


def unsent(waiting: Sequence[Entry], known: int, now: int) -> list[Entry]:
    """Return the entries of a member that a leader has not sent.

    Monitors see the same states of a member, but some see two changes of its
    evidence as one. So states are counted, and evidence is compared.

    :param known: the count of the member when the entries were seen
    :param now: that of the leader
    """
    left, sent = list(waiting), publication.states_of(now)
    sent -= publication.states_of(known)
    while left and sent > 0:
        sent -= not left.pop(0).only_evidence
    for index, each in enumerate(left):
        if not each.only_evidence:
            break
        if each.news == publication.news_of(now):
            return left[index + 1 :]
    return left
