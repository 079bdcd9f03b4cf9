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

"""Judges what etcd servers grant and refuse."""

from collections.abc import Iterator, Sequence

from oslo_config import cfg

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers.etcd import status
from nova_servicegroup import exceptions
from nova_servicegroup import opts

#: The alarm while there is no leader, a finding of each server already.
_NO_LEADER = 'no leader'

_NO_SPACE = (
    'Members stay, as renewing writes nothing; but no service can join that '
    'is started, and it is down.',
    'Compact and defragment the database, or raise --quota-backend-bytes; '
    'then etcdctl alarm disarm. See which client fills it.',
)
_ELECTION = (
    'A lease lasts for one and a half --election-timeout of etcd, at least: '
    'lower that.'
)
_OTHER_ALARM = (
    'With this alarm, etcd reports that something is wrong with its data.',
    "Read etcd's log, and its guide for disaster recovery.",
)
_NO_ANSWER = (
    'See that the server runs, with its JSON gateway, that this host may '
    'reach it, and that [etcd] address is right.'
)


def judge_alarms(
    servers: Sequence[status.ServerStatus],
) -> Iterator[finding.Finding]:
    """Judge the alarms of the cluster, all of which each server reports."""
    for alarm in sorted({alarm for each in servers for alarm in each.alarms}):
        if _NO_LEADER not in alarm:
            yield finding.error(
                f'The cluster has an alarm: {alarm.strip()}.',
                *(_NO_SPACE if 'NOSPACE' in alarm else _OTHER_ALARM),
            )


def judge_joining(
    conf: cfg.ConfigOpts, answer: asking.Answer[int]
) -> finding.Finding:
    """Judge the result of an attempt to join; see status.join."""
    granted = answer.value
    if granted is None:
        return finding.error(
            f'A member could not join: {reason(answer.error)}.',
            'A service that starts now is down; those that lose their lease '
            'cannot come back.',
            advice(answer.error),
        )
    return _judge_lease(granted, conf.etcd.ttl, opts.service_down_time(conf))


def _judge_lease(
    granted: int, configured: int, down_time: int
) -> finding.Finding:
    """Judge the seconds for which a lease was granted."""
    if granted == configured:
        return finding.ok(
            f'A member could join: leases last {granted} s, as configured.'
        )
    what = f'The servers grant leases of {granted} s'
    if granted > down_time:
        return common.granted_too_long(
            what, down_time, f'{_ELECTION} Or raise service_down_time.'
        )
    return common.granted_otherwise(
        what,
        granted,
        f'[etcd] ttl = {configured}',
        f'{_ELECTION} Or change ttl.',
    )


def reason(error: Exception | None) -> str:
    """Return why a server did not answer, by the innermost error."""
    if isinstance(error, exceptions.BackendError) and error.__cause__ is None:
        return error.reason
    root: BaseException = error or exceptions.ServiceGroupError('no answer')
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    return exceptions.first_line(root)


def advice(error: Exception | None, otherwise: str = _NO_ANSWER) -> str:
    """Return what to do about a server that refuses, or does not answer.

    :param otherwise: the advice for an error that is not known here
    """
    text = str(error)
    if isinstance(error, exceptions.NoAccess):
        return (
            'See that etcd has the user of [etcd] username and that password '
            'is right; unset both where it has no users.'
        )
    if 'permission denied' in text:
        return (
            'Let the user of [etcd] username read and write what begins with '
            'tooz/groups/ and [etcd] namespace.'
        )
    if 'database space exceeded' in text:
        return _NO_SPACE[1]
    if 'SSL' in text:
        return (
            'See that [etcd] address names each server as its certificate '
            'does, that ca_file has the authority that has signed it, and '
            'cert_file one that the server accepts.'
        )
    return otherwise
