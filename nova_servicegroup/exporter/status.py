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


"""What the status page shows: the last readings, in words and in order."""

from collections.abc import Iterable, Sequence
import dataclasses
import datetime
import time

from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup.exporter import history
from nova_servicegroup.exporter import hostmap
from nova_servicegroup.exporter import watch
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory
from nova_servicegroup.watch import watcher

#: The most services of one page of the table.
ROWS = 200
#: The most services of a group that are named, instead of a map.
_NAMED = 24
#: The most characters of a name or a reason.
_LONGEST = 300

#: The states of the table, the worst first.
_ORDER = {
    state: number
    for number, state in enumerate(
        (
            views.DOWN,
            inventory.FORCED_DOWN,
            views.HELD,
            views.DEGRADED,
            views.DRAINING,
        )
    )
}


@dataclasses.dataclass(frozen=True)
class Service:
    """A service of a group that is not plainly up.

    :ivar reason: why
    :ivar since: since when, in seconds since the epoch; None if unknown
    :ivar proof_age: seconds since it was proved alive; None if unknown
    :ivar evidence: why it is down, unless that is unknown or its state
    """

    group: str
    host: str
    state: str
    reason: str
    since: float | None
    proof_age: float | None
    evidence: str | None


@dataclasses.dataclass(frozen=True)
class Group:
    """A group.

    :ivar counts: the number of its services in each state
    :ivar hosts: the printable names and states of those that are chosen
    :ivar age: seconds since the backend confirmed it, or None if it never did
    :ivar blindness: see health.Health
    :ivar notices: what else is wrong, in sentences
    """

    name: str
    counts: dict[str, int]
    hosts: list[hostmap.Host]
    age: float | None
    blindness: tuple[float, str] | None
    notices: list[str]

    @property
    def total(self) -> int:
        """The number of its services."""
        return sum(self.counts.values())

    @property
    def named(self) -> bool:
        """Whether its chosen services are named, instead of a map."""
        return len(self.hosts) <= _NAMED

    def map(self) -> hostmap.Map:
        """Return the map of the chosen services."""
        return hostmap.draw(self.hosts)


class Status:
    """What the page shows of the last readings of the groups.

    :param needle: choose the hosts whose names contain this, in any case
    """

    def __init__(
        self, watches: Sequence[watch.GroupWatch], needle: str
    ) -> None:
        self._watches = watches
        self._needle = needle.casefold()
        self.now = time.time()
        self.groups: list[Group] = []
        self._unfit: list[tuple[inventory.Entry, watch.GroupWatch]] = []
        for each in watches:
            self._add(each)
        self._unfit.sort(key=lambda found: _ORDER[found[0].state])

    def _add(self, watched: watch.GroupWatch) -> None:
        seen, hosts = watched.seen, []
        for entry in seen.entries.values() if seen else ():
            name = shown(entry.host)
            if self._chooses(name):
                hosts.append((name, entry.state))
                if entry.state != views.UP:
                    self._unfit.append((entry, watched))
        health = watched.health
        self.groups.append(
            Group(
                health.name,
                seen.count() if seen else dict.fromkeys(inventory.STATES, 0),
                hosts,
                health.age() if health.is_confirmed() else None,
                health.blindness(),
                [] if seen is None else list(_notices(seen)),
            )
        )

    def _chooses(self, name: str) -> bool:
        return self._needle in name.casefold()

    @property
    def unfit(self) -> int:
        """The number of chosen services that are not plainly up."""
        return len(self._unfit)

    def services(self, begin: int) -> list[Service]:
        """Return a page of the services that are not up, the worst first."""
        found = self._unfit[begin : begin + ROWS]
        return [_service(*each) for each in found]

    def transitions(self) -> list[watcher.Transition]:
        """Return the last transitions, the latest first, printable."""
        found: Iterable[watcher.Transition] = (
            dataclasses.replace(
                change,
                group=shown(change.group),
                host=shown(change.host),
                reason=shown(change.reason),
            )
            for each in self._watches
            for change in each.history.recent
        )
        chosen = [each for each in found if self._chooses(each.host)]
        chosen.sort(key=lambda change: -change.at)
        return chosen[: history.MOST]

    def headline(self) -> str:
        """Return the state of all groups in one sentence."""
        sums = {
            state: sum(each.counts[state] for each in self.groups)
            for state in _ORDER
        }
        found = [f'{sums[each]:,} {each}' for each in _ORDER if sums[each]]
        blind = [each.name for each in self.groups if each.blindness]
        if blind:
            return ', '.join([f'Blind: {" and ".join(blind)}', *found])
        return ', '.join(found) or 'All services are up'


def _service(entry: inventory.Entry, watched: watch.GroupWatch) -> Service:
    change, condition = watched.history.last(entry), entry.condition
    since = None if change is None else change.at
    if condition is not None and entry.state == condition.state:
        since = condition.since
    return Service(
        watched.health.name,
        shown(entry.host),
        entry.state,
        shown(_reason(entry, change)),
        since,
        watched.proof_age(entry.host),
        deaths.telling(entry.evidence),
    )


def _reason(entry: inventory.Entry, change: watcher.Transition | None) -> str:
    if change is not None:
        return change.reason
    if entry.state == inventory.FORCED_DOWN:
        return 'forced down by an operator'
    if entry.member is not None and entry.member.reason is not None:
        return entry.member.reason
    if entry.state == views.HELD:
        return 'not seen, but its absence is no evidence'
    return 'registered, but not seen'


def _notices(seen: inventory.Inventory) -> Iterable[str]:
    if seen.unregistered is not None:
        yield (
            "Nova's services table cannot be read: registered and forced-down "
            'services are unknown.'
        )
    if seen.view.ignored:
        names = ', '.join(map(shown, seen.view.ignored))
        yield f'Checks that are ignored, as so many fail them: {names}.'


def shown(text: str) -> str:
    """Return a foreign text in one printable line of limited length."""
    return escaping.printable(text, _LONGEST)


def moment(seconds: float) -> str:
    """Return a time in ISO 8601 and UTC, with whole seconds."""
    try:
        found = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return 'out of range'
    return found.strftime('%Y-%m-%d %H:%M:%S')


def duration(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, name in ((86400, 'd'), (3600, 'h'), (60, 'min')):
        if seconds >= 2 * unit:
            return f'{seconds / unit:.0f} {name}'
    return f'{seconds:.0f} s' if seconds >= 10 else f'{seconds:.1f} s'
