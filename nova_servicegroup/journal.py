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

"""Logs what an observer sees: each transition once, with its reason."""

from collections.abc import Iterable, Mapping
import logging as levels

from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup import escaping
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import fitness

LOG = logging.getLogger(__name__)

#: So many hosts are named in one line of the log.
_NAMED = 50
#: So many reasons why members are of no use are named at once: whoever writes
#: to the backend can make up any number of them.
_REASONS = 20
#: Seconds that an outage lasts before it is logged: one answer that is late
#: changes no verdict, and under load there are many.
_BLIP = 5.0
#: Seconds without a doubt after which the same one is logged again.
_CALM = 3600.0


class Journal:
    """What is logged of one group.

    :ivar name: what to call the group and its driver
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._counted = self._blind = False
        self._doubts: dict[str, float] = {}

    def confirmed(
        self,
        reading: evidence.Reading,
        changes: evidence.Changes,
        blind: float | None,
        now: float,
    ) -> None:
        """Log what a reading has changed.

        :param blind: the seconds without contact that it has ended, if any
        """
        if self._blind and blind is not None:
            LOG.info('%s: contact is back after %.1f s.', self.name, blind)
        self._blind = False
        if reading.doubt is not None:
            self._doubt(reading.doubt, now)
        if self._counted:
            self._hosts(levels.INFO, 'up', changes.up)
        else:
            LOG.info('%s: %d members.', self.name, len(reading.present))
        self._counted = True
        self._hosts(levels.WARNING, 'down: not in the group', changes.down)
        # The doubt itself was logged.
        known = reading.doubt is not None
        self._held(changes.held, levels.INFO if known else levels.WARNING)
        self.expired(changes, blind is not None)

    def unfit(self, changes: fitness.Changes) -> None:
        """Log who is of no use, or is again."""
        for check in sorted(changes.shared):
            LOG.warning(
                '%s: the check %s fails on many members at about the same '
                'time. It is hardly their fault, and they are not passed '
                'over for it.',
                self.name,
                check,
            )
        by_reason: dict[tuple[str, str], list[str]] = {}
        for host, each in changes.unfit.items():
            by_reason.setdefault((each.state, each.reason), []).append(host)
        for (state, reason), hosts in sorted(by_reason.items())[:_REASONS]:
            draining = state == condition.DRAINING
            level = levels.INFO if draining else levels.WARNING
            self._hosts(level, f'{state}: {reason}', hosts)
        if len(by_reason) > _REASONS:
            LOG.warning(
                '%s: members are of no use for %d reasons more.',
                self.name,
                len(by_reason) - _REASONS,
            )
        self._hosts(levels.INFO, 'of use again', changes.fit)

    def lost(
        self,
        error: exceptions.BackendError,
        members: int | None,
        changes: evidence.Changes,
        lasted: float,
    ) -> None:
        """Log what a read that failed has changed.

        :param members: how many are held; None: nothing was ever confirmed
        :param lasted: the seconds without contact until now
        """
        if members is not None and lasted < _BLIP:
            LOG.debug('%s: %s', self.name, error)
        elif not self._blind:
            self._blind = True
            self._log_lost(error, members)
        self.expired(changes, True)

    def _log_lost(
        self, error: exceptions.BackendError, members: int | None
    ) -> None:
        if members is None:
            LOG.warning(
                '%s cannot be read (%s). It cannot be told who is '
                'alive; every member is presumed up at first.',
                self.name,
                error,
            )
            return
        LOG.warning(
            '%s cannot be read any more (%s). Its %d members are '
            'held up until the hold time is over.',
            self.name,
            error,
            members,
        )

    def expired(self, changes: evidence.Changes, blind: bool) -> None:
        """Log who is down without evidence.

        :param blind: whether there is no contact
        """
        reason = 'down: not seen for the hold time'
        if blind:
            reason = 'down: blind, and not seen for the hold time'
        self._hosts(levels.WARNING, reason, changes.expired)

    def _doubt(self, doubt: str, now: float) -> None:
        last = self._doubts.get(doubt)
        self._doubts[doubt] = now
        if last is None or now - last > _CALM:
            LOG.warning(
                '%s: %s. Members that are missing now are held up for a '
                'while.',
                self.name,
                doubt,
            )

    def _held(self, held: Mapping[str, str], level: int) -> None:
        for reason in sorted(set(held.values())):
            hosts = [host for host, why in held.items() if why == reason]
            self._hosts(level, f'missing, but held up: {reason}', hosts)

    def _hosts(self, level: int, what: str, hosts: Iterable[str]) -> None:
        found = list(hosts)
        if found:
            names = escaping.names(found, _NAMED)
            LOG.log(level, '%s: %s: %s', self.name, names, what)
