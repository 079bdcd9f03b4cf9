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

"""Checks the third and the sixth promise: the asker, and the log.

It imports nothing of the core: a promise is written down here again. Where a
promise is for nobody to keep, since nobody could know, the reading that was
agreed on is a method whose name begins with ``_may``.
"""

import collections
from collections.abc import Sequence
import logging

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import truth

#: What computing may take in all (seconds).
EPSILON = 0.06


class Violation(Exception):
    """A promise that was broken.

    :ivar kind: of which promise
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f'{kind}: {text}')
        self.kind = kind


class AskerOracle:
    """Checks what the processes of one history say.

    :ivar calm: when there is no trouble that makes the backend lose members
    :ivar evicting: when the backend drops members now and then
    :ivar found: the first violation; None: there is none
    :ivar verdicts: the number of those that were checked
    :ivar ignored: kinds of violations that are of no interest
    :ivar trace: whether to print what is read, and each change of a verdict
    """

    def __init__(self, rules: eyes.Rules, hosts: Sequence[truth.Host]) -> None:
        self.rules = rules
        self.hosts = list(hosts)
        self.calm = truth.Timeline()
        self.calm.begin(0.0)
        self.evicting = truth.Timeline()
        self.found: Violation | None = None
        self.verdicts = 0
        self.trace = False
        self.ignored: frozenset[str] = frozenset()

    def ready(self, eye: eyes.Eye, host: truth.Host) -> truth.Timeline:
        """Return when a process reads without fail what tells of a host."""
        return eye.ready

    def group(self, host: truth.Host) -> list[truth.Host]:
        """Return the hosts that are judged together."""
        return self.hosts

    def blame(self, kind: str, eye: eyes.Eye | None, text: str) -> None:
        """Note a violation, unless there is one."""
        if self.found is None and kind not in self.ignored:
            who = '' if eye is None else f'{eye.process.name}: '
            self.found = Violation(kind, who + text)

    # Promise 3: the asker.

    def raised(self, eye: eyes.Eye, what: str, error: BaseException) -> None:
        """Nothing is ever raised."""
        self.blame('raises', eye, f'{what} raised {error!r}')

    def waited(self, eye: eyes.Eye, what: str, t0: float, t1: float) -> None:
        """A question waits for read_timeout in all."""
        spare = EPSILON + (0.1 if eye.process.green else 0.0)
        if t1 - t0 > self.rules.timeout + spare:
            self.blame(
                'waits',
                eye,
                f'{what} at {t0:.3f} took {t1 - t0:.2f} s; read_timeout is '
                f'{self.rules.timeout}',
            )

    def read(
        self,
        eye: eyes.Eye,
        issued: float,
        valid: float,
        now: float,
        hosts: frozenset[int],
        source: str = '',
        asked: frozenset[int] | None = None,
        confirmed: bool = True,
    ) -> None:
        """One read in a refresh_interval, for all; one more for strangers."""
        if self.trace:
            print(
                f'{now:10.3f} {eye.process.name} reads {sorted(hosts)}, '
                f'issued {issued:.3f}, valid {valid:.3f}, {source}'
            )
        present = eye.union(hosts, source, asked)
        self._protect(eye, present, valid)
        eye.read(issued, valid, now, hosts, present, source, confirmed)
        if eye.is_too_frequent(self.rules.refresh, source):
            self.blame('reads', eye, f'too many reads until {now:.3f}')

    def _same(
        self, eye: eyes.Eye, number: int, now: float, verdict: bool
    ) -> None:
        """All threads of a process get the same verdict."""
        last = eye.answers.get(number)
        eye.answers[number] = now, eye.count, verdict
        if last == (now, eye.count, not verdict):
            self.blame(
                'threads',
                eye,
                f'{self.hosts[number].name} is up and down at {now:.3f}',
            )

    def last_read(self, eye: eyes.Eye, number: int, t0: float) -> float | None:
        """Return for when that holds which tells of a host; None: nothing."""
        return eye.read_at

    def _fresh(self, eye: eyes.Eye, number: int, t0: float) -> None:
        """A question is answered by what was read not long ago."""
        rules = self.rules
        oldest = t0 - rules.refresh - rules.slack
        since = eye.ready.since(t0)
        if since is None or since > oldest - rules.timeout:
            return
        if eye.first_ask >= t0 - rules.slack - rules.timeout:
            return
        read = self.last_read(eye, number, t0)
        if read is None or read < oldest:
            self.blame(
                'stale',
                eye,
                f'the question at {t0:.3f} was answered by a read of '
                f'{read}, and the backend is well since {since:.1f}',
            )

    def _show(self, eye: eyes.Eye, number: int, now: float, up: bool) -> None:
        last = eye.answers.get(number)
        if last is None or last[2] is not up:
            name, word = self.hosts[number].name, 'up' if up else 'down'
            print(f'{now:10.3f} {eye.process.name} calls {name} {word}')

    # Promise 6: the log.

    def check_log(
        self, records: Sequence[logging.LogRecord], eye: eyes.Eye, most: int
    ) -> None:
        """No error is logged, and no transition twice.

        :param most: so many lines of one kind may be logged
        """
        lines = collections.Counter(each.msg for each in records)
        for each in records:
            if each.levelno >= logging.ERROR or each.exc_info:
                self.blame('log', eye, each.getMessage())
        for text, count in lines.items():
            if count > most:
                self.blame('log', eye, f'{count} times: {text!r}')
