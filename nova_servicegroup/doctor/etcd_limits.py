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

"""What etcd servers grant and refuse."""

from collections.abc import Sequence
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers.etcd import status
from nova_servicegroup import exceptions
from nova_servicegroup import opts

#: What is said while there is none; each server tells that of itself.
_NO_LEADER = 'no leader'

_NO_SPACE = (
    'Members stay, as renewing writes nothing; but no service can join that '
    'is started, and it is down.',
    'Compact and defragment the database, or raise --quota-backend-bytes; '
    'then etcdctl alarm disarm. See who fills it.',
)
_ELECTION = (
    'A lease lasts for one and a half --election-timeout of etcd, at least: '
    'lower that.'
)
_OTHER_ALARM = (
    'etcd says by it that something is wrong with its data.',
    "Read etcd's log, and its guide for disaster recovery.",
)


def judge_alarms(
    check: str, servers: Sequence[status.Words]
) -> list[finding.Finding]:
    """Judge the alarms of the cluster; each server tells all of them."""
    alarms = sorted({alarm for each in servers for alarm in each.alarms})
    return [
        finding.Finding(
            finding.Level.ERROR,
            check,
            f'The cluster has an alarm: {alarm.strip()}.',
            *(_NO_SPACE if 'NOSPACE' in alarm else _OTHER_ALARM),
        )
        for alarm in alarms
        if _NO_LEADER not in alarm
    ]


def judge_joining(
    check: str, conf: cfg.ConfigOpts, answer: asking.Answer[int]
) -> finding.Finding:
    """Judge what became of an attempt to join; see status.join."""
    if answer.value is None:
        return finding.Finding(
            finding.Level.ERROR,
            check,
            f'A member could not join: {reason(answer.error)}.',
            'A service that starts now is down; those that lose their lease '
            'cannot come back.',
            advice(answer.error),
        )
    return _judge_lease(
        check, answer.value, conf.etcd.ttl, opts.service_down_time(conf)
    )


def _judge_lease(
    check: str, granted: int, wish: int, down_time: int
) -> finding.Finding:
    """Compare seconds: of a lease, of [etcd] ttl, of service_down_time."""
    told = functools.partial(finding.Finding, check=check)
    if granted == wish:
        return told(
            finding.Level.OK,
            what=f'A member could join: leases last {wish} s, as configured.',
        )
    if granted > down_time:
        return told(
            finding.Level.ERROR,
            what=f'The servers grant leases of {granted} s, more than '
            f'service_down_time = {down_time}.',
            why='Dead services cannot be found within service_down_time.',
            advice=f'{_ELECTION} Or raise service_down_time.',
        )
    return told(
        finding.Level.WARNING,
        what=f'The servers grant leases of {granted} s instead of [etcd] ttl '
        f'= {wish}.',
        why=f'A dead service is found after {granted} s.',
        advice=f'{_ELECTION} Or change ttl.',
    )


def reason(error: Exception | None) -> str:
    """Return why a server was not asked, in its shortest form."""
    if isinstance(error, exceptions.BackendError) and error.__cause__ is None:
        return error.reason
    root: BaseException = error or exceptions.ServiceGroupError('no answer')
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    return exceptions.first_line(root)


_MUTE = (
    'See that the server runs, with its JSON gateway, that this host may '
    'reach it, and that [etcd] address is right.'
)


def advice(error: Exception | None, otherwise: str = _MUTE) -> str:
    """Return what to do about a server that refuses, or does not answer."""
    said = f'{error}'
    if isinstance(error, exceptions.NoAccess):
        return (
            'See that etcd has the user of [etcd] username and that password '
            'is right; unset both where it has no users.'
        )
    if 'permission denied' in said:
        return (
            'Let the user of [etcd] username read and write what begins with '
            'tooz/groups/ and [etcd] namespace.'
        )
    if 'database space exceeded' in said:
        return _NO_SPACE[1]
    if 'SSL' in said:
        return (
            'See that [etcd] address names each server as its certificate '
            'does, that ca_file has the authority that has signed it, and '
            'cert_file one that the server accepts.'
        )
    return otherwise
