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

"""Checks which step of a migration from one driver to another is safe."""

from collections.abc import Iterable, Iterator
import dataclasses

from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import members
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.watch import inventory

#: The number of services that one finding names.
_NAMED = 20
_API = (
    'each nova-api and nova-metadata has been restarted: they do not join, so '
    'what they read from cannot be seen'
)

#: A group and a host.
Service = tuple[str, str]


def check(subject: finding.Subject) -> Iterator[finding.Finding]:
    """See finding.Check."""
    own = subject.driver
    names = [*opts.secondary_drivers(subject.conf), *subject.towards]
    others = [name for name in dict.fromkeys(names) if name != own]
    if not others:
        yield finding.ok(
            f'Services report to {own} alone; none is under way here.'
        )
    for other in others:
        if 'db' in (own, other) and subject.databases is None:
            yield finding.ok(backend.NO_DATABASE)
        else:
            yield from _compare(subject, own, other)


@dataclasses.dataclass(frozen=True)
class Reports:
    """The services that report to one driver.

    :ivar name: the driver's
    :ivar up: the services that are seen to report
    :ivar reads: by which drivers their processes ask; empty if unknown
    :ivar unregistered: why the services table cannot be read, or None
    """

    name: str
    up: frozenset[Service]
    reads: dict[Service, frozenset[str]]
    unregistered: exceptions.BackendError | None


def _compare(
    subject: finding.Subject, own: str, other: str
) -> Iterator[finding.Finding]:
    both = []
    for name in (own, other):
        try:
            both.append(_read(subject, name))
        except exceptions.ServiceGroupError as error:
            yield _unreadable(name, error)
    if len(both) == 2:
        here, there = both
        yield _reporting(here, there)
        yield from _called_down(subject, here, there)
        for each in both:
            yield _asking(each, both)


def _read(subject: finding.Subject, name: str) -> Reports:
    """Read all groups by a driver.

    :raises ServiceGroupError: it cannot be used, or cannot be asked
    """
    inventories = members.read_groups(subject.api(name), subject.conf)
    reads: dict[Service, frozenset[str]] = {}
    unregistered = None
    for group, seen in inventories.items():
        if seen.view.error is not None:
            raise seen.view.error
        unregistered = unregistered or seen.unregistered
        for host, entry in seen.entries.items():
            if _reports(entry, seen.unregistered is None):
                reads[group, host] = _reads(entry)
    return Reports(name, frozenset(reads), reads, unregistered)


def _reports(entry: inventory.Entry, registered: bool) -> bool:
    """Return whether a service is seen to report, and Nova will ask for it.

    One that is only held is no proof that it reports.
    """
    if entry.member is None or entry.member.state != views.UP:
        return False
    return entry.record is not None or not registered


def _reads(entry: inventory.Entry) -> frozenset[str]:
    processes = entry.member.incarnations if entry.member else ()
    return frozenset(each.reads for each in processes if each.reads)


def _reporting(here: Reports, there: Reports) -> finding.Finding:
    """Judge the first step: whether all services report to both drivers."""
    missing, total = here.up - there.up, len(here.up)
    what = (
        f'{total - len(missing)} of {total} services that report to '
        f'{here.name} report to {there.name}, too'
    )
    if here.up and not missing:
        return finding.ok(
            f'{what}. It is safe to switch readers to {there.name}.'
            + _doubt(here)
        )
    return finding.warning(
        f'{what}. It is not safe to switch readers to {there.name}; missing '
        f'there: {_names(missing) or "all members"}.',
        f'Any service that reads from {there.name} sees these as down.',
        f'Start them with {opts.ALSO_REPORT_TO} = {there.name}, and look '
        'again.',
    )


def _doubt(here: Reports) -> str:
    """Return what is unknown without the services table."""
    if here.unregistered is None:
        return ''
    return (
        f' The services table cannot be read here ({here.unregistered}), so '
        'members that are not registered with Nova are counted, too.'
    )


def _called_down(
    subject: finding.Subject, here: Reports, there: Reports
) -> Iterator[finding.Finding]:
    """Judge whether services report to the other driver only."""
    hidden = there.up - here.up
    if hidden:
        yield finding.error(
            f'{len(hidden)} reporting to {there.name}, but not to '
            f'{here.name}: {_names(hidden)}.',
            f'This host reads from {here.name}, and sees them as down.',
            f'Start them with {here.name} as servicegroup_driver or in '
            f'{opts.ALSO_REPORT_TO}. Look again after '
            f'{opts.service_down_time(subject.conf)} s: one that has just '
            'ended is listed until then.',
        )


def _asking(side: Reports, both: Iterable[Reports]) -> finding.Finding:
    """Judge the last step: whether no service reads from a driver any more.

    A service that does not report to it does not read from it either.
    """
    own, *_ = both
    reads = {
        each: {name for one in both for name in one.reads.get(each, ())}
        for each in side.up
    }
    if not reads:
        return finding.ok(f'No service reports to {side.name}.')
    still = {each for each, names in reads.items() if side.name in names}
    unknown = {each for each, names in reads.items() if not names}
    if not still and not unknown:
        return finding.ok(
            f'None of {len(reads)} services that report to {side.name} reads '
            f'from it. It is safe to stop reporting to it if {_API}.'
        )
    what = f'{len(still)} of {len(reads)} services read from {side.name}'
    return _not_safe(f'{what}{_which(still, unknown)}', side, own)


def _which(still: set[Service], unknown: set[Service]) -> str:
    names = f': {_names(still)}' if still else ''
    if unknown:
        names += f'; {len(unknown)} do not report it: {_names(unknown)}'
    return names


def _not_safe(what: str, side: Reports, own: Reports) -> finding.Finding:
    what += '. It is not safe to stop reporting to it.'
    if side is own:
        return finding.ok(what)
    return finding.warning(
        what,
        'They see services that stop reporting to it as down.',
        f'Start them with servicegroup_driver = {own.name}; see that {_API}.',
    )


def _names(services: Iterable[Service]) -> str:
    """Return the sorted names of some services, or the first of many."""
    return escaping.names(
        {
            host if group == 'compute' else f'{host} ({group})'
            for group, host in services
        },
        _NAMED,
    )


def _unreadable(name: str, error: Exception) -> finding.Finding:
    return finding.error(
        f'{name} cannot be read: {error}',
        'It is not known which step is safe.',
        'Look again when it can, and take no step before.',
    )
