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

"""Checks whether Nova and the backend know the same services, all up."""

from collections.abc import Iterator
import datetime
import time

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import fitness
from nova_servicegroup.doctor import fleet
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import views
from nova_servicegroup import services
from nova_servicegroup.watch import inventory

#: Seconds, at most, between two readings of the groups.
_LONGEST_PAUSE = 2.0


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    driver = subject.driver
    in_database = subject.backend == base.DATABASE
    if in_database and subject.databases is None:
        return [finding.ok(backend.NO_DATABASE)]
    inventories = read_groups(subject.api(driver), subject.conf)
    now = datetime.datetime.now(datetime.timezone.utc)
    judge = fleet.Judge(driver, in_database, subject.conf, now)
    found = [
        *judge_registration(
            inventories, subject.databases is not None, in_database
        ),
        *judge_reading(inventories),
    ]
    for group, seen in inventories.items():
        if seen.view.error is None:
            found += judge_inventory(group, seen, judge)
            found += fitness.judge_group(group, seen)
            found += judge.judge(group, seen)
    return found


def read_groups(
    asked: api.API, conf: cfg.ConfigOpts
) -> dict[str, inventory.Inventory]:
    """Return the inventories of all groups.

    Each is read twice: the first reading may not know all yet.
    """
    readers = [inventory.Reader(asked, group) for group in services.GROUPS]
    for each in readers:
        each.read()
    pause(conf)
    return {each.group: each.read(detailed=True) for each in readers}


def pause(conf: cfg.ConfigOpts) -> None:
    """Wait until a group is read anew."""
    time.sleep(min(_LONGEST_PAUSE, 0.1 + conf.servicegroup.refresh_interval))


def judge_registration(
    inventories: dict[str, inventory.Inventory],
    configured: bool,
    in_database: bool,
) -> Iterator[finding.Finding]:
    """Judge whether the services table can be read.

    :param configured: whether there is a database
    :param in_database: whether members report to it
    """
    unread = [each.unregistered for each in inventories.values()]
    error = next((each for each in unread if each is not None), None)
    if error is not None and not configured:
        yield finding.ok(
            'Not compared with the services table: no database is configured '
            'here.'
        )
    elif error is not None:
        report = finding.error if in_database else finding.warning
        yield report(
            f'{error}.',
            'The services registered with Nova cannot be compared with the '
            'members.',
            'See what the check of the clock says of the databases.',
        )


def judge_reading(
    inventories: dict[str, inventory.Inventory],
) -> Iterator[finding.Finding]:
    """Judge whether the groups themselves can be read."""
    errors = {
        group: seen.view.error
        for group, seen in inventories.items()
        if seen.view.error is not None
    }
    if errors:
        reason = next(iter(errors.values()))
        yield finding.error(
            f'{", ".join(errors)} cannot be read: {reason}.',
            'The state of the members is unknown.',
            'See what the check of the backend says.',
        )


def judge_inventory(
    group: str, seen: inventory.Inventory, judge: fleet.Judge
) -> Iterator[finding.Finding]:
    """Judge the states of the services of one group.

    :param judge: knows the hosts that report by another driver
    """
    entries = seen.entries.values()
    if not entries:
        return
    counts = [f'{n} {state}' for state, n in seen.count().items() if n]
    yield finding.ok(f'{group}: {", ".join(counts)}.')
    absent = {each.host for each in entries if _is_absent(each)}
    absent -= judge.elsewhere(seen)
    if absent:
        yield _absent(group, absent)
    held = {each.host for each in entries if each.state == views.HELD}
    if held:
        yield _held(group, held)
    unregistered = {each.host for each in entries if _is_unregistered(each)}
    if unregistered and seen.unregistered is None:
        yield _unregistered(group, unregistered)


def _is_absent(entry: inventory.Entry) -> bool:
    """Return whether a service should be alive, and is not."""
    return (
        entry.state == views.DOWN
        and entry.record is not None
        and not entry.record.get('disabled', False)
    )


def _is_unregistered(entry: inventory.Entry) -> bool:
    member = entry.member
    return entry.record is None and member is not None and member.up


def _absent(group: str, hosts: set[str]) -> finding.Finding:
    return finding.warning(
        f'{group}: {len(hosts)} registered with Nova and enabled, but not '
        f'alive: {finding.names(hosts)}.',
        'They get no work, and their servers may be evacuated.',
        'See why the service does not run, or does not report: look for lost '
        'contact in its log. Disable or delete the record of a host that is '
        'gone for good.',
    )


def _held(group: str, hosts: set[str]) -> finding.Finding:
    return finding.warning(
        f'{group}: {len(hosts)} held up: {finding.names(hosts)}.',
        'They are missing, but their absence is no evidence yet. They are '
        'down when hold_time is over.',
        'See whether they run, and what the check of the backend says.',
    )


def _unregistered(group: str, hosts: set[str]) -> finding.Finding:
    return finding.warning(
        f'{group}: {len(hosts)} alive, but not registered with Nova: '
        f'{finding.names(hosts)}.',
        'Nova does not know them, so nothing is sent to them. Perhaps another '
        'Nova uses the same servers and the same names.',
        'Give each Nova a [zookeeper] namespace, or a [memcached] key_prefix, '
        'of its own. A service whose record was deleted must be restarted.',
    )
