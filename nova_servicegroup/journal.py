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

"""Logs the transitions that an observer sees, each once, with its reason."""

from collections.abc import Collection, Mapping
import logging as levels

from oslo_log import log as logging

from nova_servicegroup import condition
from nova_servicegroup import escaping
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import fitness

LOG = logging.getLogger(__name__)

#: The most hosts named in one line of the log.
_MAX_NAMES = 50
#: The most reasons of unfit members logged at once: anyone who can write to
#: the backend can invent any number of them.
_MAX_REASONS = 20
#: Seconds after which an outage is logged. A shorter one changes no verdict:
#: under load, single answers are often late.
_LOG_AFTER = 5.0
#: Seconds without a doubt after which the same doubt is logged again.
_REPEAT_AFTER = 3600.0


class Journal:
    """The log of the transitions of one group.

    :ivar name: of the group and its driver, for the log
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._counted = self._blind = False
        # When each doubt was last there.
        self._doubts: dict[str, float] = {}

    def confirmed(
        self,
        reading: evidence.Reading,
        changes: evidence.Changes,
        blind: float | None,
        now: float,
    ) -> None:
        """Log the changes that a successful read has made.

        :param blind: the seconds of an outage that it has ended, if any
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
        self._held(changes.held, reading.doubt)
        self.expired(changes, blind is not None)

    def unfit(self, changes: fitness.Changes) -> None:
        """Log the members that became unfit or fit, and the shared faults."""
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
        for (state, reason), hosts in sorted(by_reason.items())[:_MAX_REASONS]:
            fails = state in (condition.DEGRADED, condition.DIED)
            level = levels.WARNING if fails else levels.INFO
            self._hosts(level, f'{state}: {reason}', hosts)
        if len(by_reason) > _MAX_REASONS:
            LOG.warning(
                '%s: %d more reasons for which members are unfit are not '
                'named.',
                self.name,
                len(by_reason) - _MAX_REASONS,
            )
        self._hosts(levels.INFO, 'fit again', changes.fit)

    def lost(
        self,
        error: exceptions.BackendError,
        members: int | None,
        changes: evidence.Changes,
        lasted: float,
    ) -> None:
        """Log the changes that a failed read has made.

        :param members: how many are held; None: nothing was ever confirmed
        :param lasted: the seconds without contact until now
        """
        if members is not None and lasted < _LOG_AFTER:
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
                '%s cannot be read (%s). The state of its members is '
                'unknown; all are presumed up at first.',
                self.name,
                error,
            )
        else:
            LOG.warning(
                '%s cannot be read any more (%s). Its %d members are '
                'held up until the hold time is over.',
                self.name,
                error,
                members,
            )

    def expired(self, changes: evidence.Changes, blind: bool) -> None:
        """Log the members whose hold has ended.

        :param blind: whether contact is lost, or was until now
        """
        reason = 'down: not seen for the hold time'
        if blind:
            reason = 'down: blind, and not seen for the hold time'
        self._hosts(levels.WARNING, reason, changes.expired)

    def _doubt(self, doubt: str, now: float) -> None:
        last = self._doubts.get(doubt)
        self._doubts[doubt] = now
        if last is None or now - last > _REPEAT_AFTER:
            LOG.warning(
                '%s: %s. Members that are missing now are held up for a '
                'while.',
                self.name,
                doubt,
            )

    def _held(self, held: Mapping[str, str], doubt: str | None) -> None:
        # A doubt has a warning of its own.
        level = levels.WARNING if doubt is None else levels.INFO
        for reason in sorted(set(held.values())):
            hosts = [host for host, why in held.items() if why == reason]
            self._hosts(level, f'missing, but held up: {reason}', hosts)

    def _hosts(self, level: int, state: str, hosts: Collection[str]) -> None:
        if hosts:
            names = escaping.names(hosts, _MAX_NAMES)
            LOG.log(level, '%s: %s: %s', self.name, names, state)
