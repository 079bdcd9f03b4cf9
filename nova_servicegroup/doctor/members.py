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


"""Do Nova and the backend know the same services, and are they well?"""

import datetime
import time

from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import fitness
from nova_servicegroup.doctor import fleet
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import views
from nova_servicegroup import services
from nova_servicegroup.watch import inventory

NAME = 'members'

#: Seconds, at most, until a second look, which knows more than the first.
_SECOND_LOOK = 2.0


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    driver = subject.driver
    in_database = subject.backend == base.DATABASE
    if in_database and subject.databases is None:
        return [_ok(backend.NO_DATABASE)]
    asked = subject.api(driver)
    calls = [inventory.Reader(asked, group) for group in services.GROUPS]
    for each in calls:
        each.call()
    time.sleep(
        min(_SECOND_LOOK, 0.1 + subject.conf.servicegroup.refresh_interval)
    )
    inventories = {each.group: each.call(detailed=True) for each in calls}
    now = datetime.datetime.now(datetime.timezone.utc)
    judge = fleet.Judge(driver, in_database, subject.conf, now)
    return [
        *judge_registration(
            inventories, subject.databases is not None, in_database
        ),
        *judge_reading(inventories),
        *(
            each
            for group, seen in inventories.items()
            if seen.view.error is None
            for each in [
                *judge_inventory(group, seen, judge),
                *fitness.judge_group(group, seen),
                *judge(group, seen),
            ]
        ),
    ]


def judge_registration(
    inventories: dict[str, inventory.Inventory],
    configured: bool,
    in_database: bool,
) -> list[finding.Finding]:
    """Judge whether the services table can be read.

    :param configured: there is a database
    :param in_database: members report to it
    """
    unread = [each.unregistered for each in inventories.values()]
    error = next((each for each in unread if each is not None), None)
    if error is None:
        return []
    if not configured:
        return [
            _ok(
                'Not compared with the services table: no database is '
                'configured here.'
            )
        ]
    return [
        finding.Finding(
            finding.Level.ERROR if in_database else finding.Level.WARNING,
            NAME,
            f'{error}.',
            'Who is registered with Nova cannot be compared with who is '
            'alive.',
            'See what the check of the clock says of the databases.',
        )
    ]


def judge_reading(
    inventories: dict[str, inventory.Inventory],
) -> list[finding.Finding]:
    """Judge whether the groups themselves can be read."""
    errors = {
        group: seen.view.error
        for group, seen in inventories.items()
        if seen.view.error is not None
    }
    if not errors:
        return []
    reason = next(iter(errors.values()))
    return [
        finding.Finding(
            finding.Level.ERROR,
            NAME,
            f'{", ".join(errors)} cannot be read: {reason}.',
            'It cannot be told who is alive.',
            'See what the check of the backend says.',
        )
    ]


def judge_inventory(
    group: str, seen: inventory.Inventory, judge: fleet.Judge
) -> list[finding.Finding]:
    """Judge one group by its inventory, in which every service is once.

    :param judge: knows who reports by another driver
    """
    if not seen.entries:
        return []
    counts = [f'{n} {state}' for state, n in seen.count().items() if n]
    found = [_ok(f'{group}: {", ".join(counts)}.')]
    elsewhere = judge.elsewhere(seen)
    absent = {
        each.host
        for each in seen.entries.values()
        if _is_absent(each) and each.host not in elsewhere
    }
    held = {
        each.host for each in seen.entries.values() if each.state == views.HELD
    }
    strange = {
        each.host
        for each in seen.entries.values()
        if each.record is None and each.member is not None and each.member.up
    }
    if absent:
        found.append(_absent(group, absent))
    if held:
        found.append(_held(group, held))
    if strange and seen.unregistered is None:
        found.append(_strange(group, strange))
    return found


def _is_absent(entry: inventory.Entry) -> bool:
    """Tell whether a service ought to be alive, and is not."""
    return (
        entry.state == views.DOWN
        and entry.record is not None
        and not entry.record.get('disabled', False)
    )


def _absent(group: str, hosts: set[str]) -> finding.Finding:
    return finding.Finding(
        finding.Level.WARNING,
        NAME,
        f'{group}: {len(hosts)} registered with Nova and enabled, but not '
        f'alive: {finding.names(hosts)}.',
        'They get no work, and their servers may be evacuated.',
        'See why the service does not run, or does not report: its log tells '
        'lost contact. Disable or delete the record of a host that is gone '
        'for good.',
    )


def _held(group: str, hosts: set[str]) -> finding.Finding:
    return finding.Finding(
        finding.Level.WARNING,
        NAME,
        f'{group}: {len(hosts)} held up: {finding.names(hosts)}.',
        'They are missing, but their absence is no evidence yet. They are '
        'down when hold_time is over.',
        'See whether they run, and what the check of the backend says.',
    )


def _strange(group: str, hosts: set[str]) -> finding.Finding:
    return finding.Finding(
        finding.Level.WARNING,
        NAME,
        f'{group}: {len(hosts)} alive, but not registered with Nova: '
        f'{finding.names(hosts)}.',
        'Nova does not know them, so nothing is sent to them. Perhaps another '
        'Nova uses the same servers and the same names.',
        'Give each Nova a [zookeeper] namespace, or a [memcached] key_prefix, '
        'of its own. A service whose record was deleted must be restarted.',
    )


def _ok(what: str) -> finding.Finding:
    return finding.Finding(finding.Level.OK, NAME, what)
