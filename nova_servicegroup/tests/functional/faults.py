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


"""What the tests of the drivers under faults share."""

from collections.abc import Callable
import random
import time
from typing import Any

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.harness import observer
from nova_servicegroup.tests.harness import process

#: What a busy machine adds to a bound.
NOISE = 0.5


class Faults(contract.Contract):
    """Real servers, members and observers, and what is expected of them.

    Times are in seconds: those of Contract, ``expiry`` (a member that is
    silent for so long is gone), ``beat`` (between two renewals of it), and
    ``dead_within`` (from a SIGKILL to down). Give them, and
    ``restore_backend``, which also mends whatever a test has done.
    """

    hold = 20
    report_interval = 2
    expiry: float
    beat: float
    dead_within: float

    def lose_backend(self) -> None:
        """End every server as a crash would."""
        raise NotImplementedError

    def restore_backend(self) -> None:
        """Have every server run, and answer."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()
        self.observers: list[observer.Observer] = []
        self.addCleanup(self.restore_backend)  # type: ignore[attr-defined]

    @property
    def back_within(self) -> float:
        """The time in which a live member is back after its fault."""
        return self.beat + 1 + self.refresh

    def members_of(self, *hosts: str, **how: Any) -> list[Any]:
        """Return running members, started side by side."""
        started = [self.make_member(host, **how) for host in hosts]
        for each in started:
            each.start()
        for each in started:
            self.wait_up(each.host, each.group)
        return started

    def make_observer(self, *hosts: str, **how: Any) -> observer.Observer:
        """Return an observer that has not been started."""
        made = observer.Observer(
            self.directory / f'observer{len(self.observers)}',
            how.pop('config', self.config),
            hosts,
            **how,
        )
        self.observers.append(made)
        self.addCleanup(made.kill)  # type: ignore[attr-defined]
        return made

    def observe(self, *hosts: str, **how: Any) -> observer.Observer:
        """Return an observer that sees all hosts up."""
        made = self.make_observer(*hosts, **how)
        made.start()
        made.wait('up', contract.START)
        return made

    def kill(self, member: Any) -> float:
        """Kill a member at a random time of its beat; return when."""
        time.sleep(random.uniform(0, self.beat))
        killed = time.monotonic()
        member.kill()
        return killed

    def assert_never_down(self, fault: float, *hosts: str) -> None:
        """Check that no observer has seen a host down since the fault."""
        for each in self.observers:
            downs = [
                f'{host} at {at - fault:+.2f} s'
                for at, host in each.downs(fault, *hosts)
            ]
            if downs:
                raise AssertionError(
                    f'{each.directory.name} saw down, after the fault: '
                    f'{", ".join(downs)}; it ran for '
                    f'{time.monotonic() - fault:.2f} s'
                )
            stale = each.stale(fault)
            if stale:
                raise AssertionError(
                    f'{each.directory.name} saw up, but updated long ago: '
                    f'{stale[0]} and {len(stale) - 1} times more'
                )

    def remove_until_down(
        self, watcher: observer.Observer, host: str, remove: Callable[[], Any]
    ) -> float:
        """Remove a member that lives, until its host is seen down, once.

        :param remove: removes it from the backend, as a stranger may
        :returns: the seconds for which it is down
        """
        fault = time.monotonic()
        while not watcher.downs(fault):
            # A heartbeat may be faster than a look.
            remove()
            time.sleep(self.back_within)
        (down, seen), *more = watcher.downs(fault)
        if (seen, more) != (host, []):
            raise AssertionError(f'{seen} was seen down, and {more}')
        return next(at for at, _ in watcher.changes(host) if at > down) - down

    def assert_calls_bounded(self, fault: float, bound: float = 2.0) -> None:
        """Check that no verdict took longer than read_timeout."""
        for each in self.observers:
            longest = each.longest_call(fault)
            self.measured(f'longest call of {each.directory.name}', longest)
            self.assert_within(  # type: ignore[attr-defined]
                longest, bound + NOISE
            )

    def wait_all_up(self, since: float, within: float) -> float:
        """Wait until every observer has fresh proof of all its hosts.

        :returns: the seconds since ``since``
        """
        last = max(
            each.wait('up', within + contract.START) for each in self.observers
        )
        self.assert_within(last - since, within)  # type: ignore[attr-defined]
        return max(0.0, last - since)


def sleep_until(moment: float) -> None:
    """Sleep until a moment of time.monotonic()."""
    time.sleep(max(0.0, moment - time.monotonic()))


wait_until = process.wait_until
