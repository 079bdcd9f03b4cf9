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

"""How far a Nova has come on its way from one driver to another."""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import time

from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup import services
from nova_servicegroup.watch import inventory

NAME = 'migration'
#: So many services are named.
_NAMED = 20
#: Seconds, at most, until a second look, which knows more than the first.
_SECOND_LOOK = 2.0
_API = (
    'each nova-api and nova-metadata has been restarted: they do not join, so '
    'what they ask by cannot be seen'
)

#: A group and a host.
Place = tuple[str, str]


def check(
    subject: finding.Subject, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[finding.Finding]:
    """Tell which step of a migration is safe."""
    own = subject.driver
    names = [*opts.secondary_drivers(subject.conf), *subject.towards]
    others = [name for name in dict.fromkeys(names) if name != own]
    if not others:
        yield _ok(f'Services report to {own} alone; none is under way here.')
    for other in others:
        if 'db' in (own, other) and subject.databases is None:
            yield _ok(backend.NO_DATABASE)
        else:
            yield from _compare(subject, own, other, sleep)


@dataclasses.dataclass(frozen=True)
class Side:
    """What one driver knows.

    :ivar up: who reports to it
    :ivar reads: by which drivers the processes of these ask; empty: unknown
    :ivar unregistered: why the services table cannot be read; None: it can
    """

    name: str
    up: frozenset[Place]
    reads: dict[Place, frozenset[str]]
    unregistered: exceptions.BackendError | None


def _compare(
    subject: finding.Subject,
    own: str,
    other: str,
    sleep: Callable[[float], None],
) -> Iterator[finding.Finding]:
    sides, wait = [], 0.1 + subject.conf.servicegroup.refresh_interval
    for name in (own, other):
        try:
            calls = _first_look(subject, name)
            sleep(min(wait, _SECOND_LOOK))
            sides.append(_look(name, calls))
        except exceptions.ServiceGroupError as error:
            yield _blind(name, error)
    if len(sides) == 2:
        here, there = sides
        yield _reporting(here, there)
        yield from _called_down(subject, here, there)
        for side in sides:
            yield _reading(side, sides)


def _first_look(subject: finding.Subject, name: str) -> list[inventory.Reader]:
    """Begin to watch by a driver.

    :raises ServiceGroupError: it cannot be used
    """
    api = subject.api(name)
    calls = [inventory.Reader(api, group) for group in services.GROUPS]
    for each in calls:
        each.call()
    return calls


def _look(name: str, calls: Iterable[inventory.Reader]) -> Side:
    """Return what a driver knows.

    :raises BackendError: it cannot be asked
    """
    up: set[Place] = set()
    reads: dict[Place, frozenset[str]] = {}
    unregistered = None
    for call in calls:
        seen = call.call(detailed=True)
        if seen.view.error is not None:
            raise seen.view.error
        unregistered = unregistered or seen.unregistered
        for host, entry in seen.entries.items():
            if _reports(entry, seen.unregistered is None):
                up.add((call.group, host))
                reads[call.group, host] = _reads(entry)
    return Side(name, frozenset(up), reads, unregistered)


def _reports(entry: inventory.Entry, registered: bool) -> bool:
    """Tell whether a service is seen to report, and Nova will ask for it.

    One that is only held is no proof that it reports.
    """
    if entry.member is None or entry.member.state != views.UP:
        return False
    return entry.record is not None or not registered


def _reads(entry: inventory.Entry) -> frozenset[str]:
    processes = entry.member.incarnations if entry.member else ()
    return frozenset(each.reads for each in processes if each.reads)


def _reporting(here: Side, there: Side) -> finding.Finding:
    """Judge the first step: everybody reports to both."""
    missing, total = here.up - there.up, len(here.up)
    told = (
        f'{total - len(missing)} of {total} services that report to '
        f'{here.name} report to {there.name}, too'
    )
    if here.up and not missing:
        return _ok(
            f'{told}. It is safe to switch readers to {there.name}.'
            + _doubt(here, there)
        )
    return _warning(
        f'{told}. It is not safe to switch readers to {there.name}; missing '
        f'there: {_list(missing) or "everybody"}.',
        f'Whoever asks by {there.name} calls these services down.',
        f'Start them with {opts.ALSO_REPORT_TO} = {there.name}, and look '
        'again.',
    )


def _doubt(*sides: Side) -> str:
    """Return what cannot be known without the services table."""
    reason = next((each.unregistered for each in sides), None)
    if reason is None:
        return ''
    return (
        f' The services table cannot be read here ({reason}), so it was not '
        'compared whom Nova asks about.'
    )


def _called_down(
    subject: finding.Subject, here: Side, there: Side
) -> Iterator[finding.Finding]:
    """Tell who lives by another driver than the one that is asked."""
    hidden = there.up - here.up
    if hidden:
        yield finding.Finding(
            finding.Level.ERROR,
            NAME,
            f'{len(hidden)} reporting to {there.name}, but not to '
            f'{here.name}: {_list(hidden)}.',
            f'This host asks by {here.name}, which calls them down.',
            f'Start them with {here.name} as servicegroup_driver or in '
            f'{opts.ALSO_REPORT_TO}. Look again after '
            f'{opts.service_down_time(subject.conf)} s: one that has just '
            'ended is listed until then.',
        )


def _reading(side: Side, sides: Iterable[Side]) -> finding.Finding:
    """Judge the last step: nobody asks by a driver any more.

    Who does not report to it does not ask by it either.
    """
    own, *_ = sides
    known = {
        place: frozenset().union(
            *(each.reads.get(place, frozenset()) for each in sides)
        )
        for place in side.up
    }
    still = {place for place in known if side.name in known[place]}
    unknown = {place for place in known if not known[place]}
    if not known:
        return _ok(f'Nobody reports to {side.name}.')
    if not still and not unknown:
        return _ok(
            f'None of {len(known)} services that report to {side.name} asks '
            f'by it. It is safe to stop reporting to it if {_API}.'
        )
    told = f'{len(still)} of {len(known)} services ask by {side.name}'
    if still:
        told += f': {_list(still)}'
    if unknown:
        told += f'; {len(unknown)} do not say: {_list(unknown)}'
    told += '. It is not safe to stop reporting to it.'
    if side is own:
        return _ok(told)
    return _warning(
        told,
        'They call down who does not report to it any more.',
        f'Start them with servicegroup_driver = {own.name}; see that {_API}.',
    )


def _list(places: Iterable[Place]) -> str:
    """Return the first names, by host."""
    names = [
        host if group == 'compute' else f'{host} ({group})'
        for host, group in sorted((host, group) for group, host in places)
    ]
    more = len(names) - _NAMED
    shown = ', '.join(names[:_NAMED])
    return f'{shown} and {more} more' if more > 0 else shown


def _ok(what: str) -> finding.Finding:
    return finding.Finding(finding.Level.OK, NAME, what)


def _warning(what: str, why: str, advice: str) -> finding.Finding:
    return finding.Finding(finding.Level.WARNING, NAME, what, why, advice)


def _blind(name: str, error: Exception) -> finding.Finding:
    return finding.Finding(
        finding.Level.ERROR,
        NAME,
        f'{name} cannot be read: {error}',
        'It cannot be told which step is safe.',
        'Look again when it can, and take no step before.',
    )
