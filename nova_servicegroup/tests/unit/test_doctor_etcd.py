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

"""Tests of the check of etcd servers."""

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import etcd
from nova_servicegroup.doctor import etcd_limits
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers.etcd import status
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

OK, WARNING, ERROR = finding.Level


def report(member='1', leader='1', cluster='c', alarms=(), learner=False):
    return status.ServerStatus(
        '3.4.23', member, cluster, leader, learner, alarms, 2**20
    )


def serving(address, member='1', members=3, latency=0.002, **more):
    return etcd.Server(
        address,
        report(member, **more),
        status.GroupRead(latency, members),
    )


def unreachable(address, error=None, report=None):
    error = error or exceptions.BackendError(address, 'refused')
    return etcd.Server(address, report, error=error)


class ServersTest(base.TestCase):
    def test_well(self):
        servers = [serving(str(number), str(number)) for number in (1, 2, 3)]
        found = [*etcd.judge_servers(servers), *etcd.judge_cluster(servers)]
        self.assertEqual({OK}, {each.level for each in found})
        self.assertEqual(
            '1: leader, 3.4.23, 1 MiB, answered in 2.0 ms.', found[0].what
        )
        self.assertIn('follower', found[1].what)
        self.assertIn('1 leader, 2 followers', found[3].what)

    def test_a_slow_server(self):
        (found,) = etcd.judge_servers([serving('a', latency=common.SLOW)])
        self.assertEqual(WARNING, found.level)
        self.assertIn('answered in 500.0 ms', found.what)

    def test_one_is_unreachable(self):
        found = etcd.judge_servers([serving('a'), unreachable('b')])[1]
        self.assertEqual(WARNING, found.level)
        self.assertIn('b does not answer: refused', found.what)
        self.assertIn('1 of 2 servers serve', found.why)
        self.assertIn('JSON gateway', found.advice)

    def test_all_are_unreachable(self):
        (found,) = etcd.judge_servers([unreachable('a')])
        self.assertEqual(ERROR, found.level)
        self.assertIn('No service can report', found.why)

    def assert_trouble(self, what, advice, error=None, report=None):
        (found,) = etcd.judge_servers([unreachable('a', error, report)])
        self.assertIn(what, found.what)
        self.assertIn(advice, found.advice)

    def test_troubles(self):
        mute = exceptions.BackendUnreachable('a', 'timed out')
        self.assert_trouble(
            'knows no leader', 'most of the servers', mute, report(leader='')
        )
        self.assert_trouble(
            'does not read: timed out', 'most of the servers', mute, report()
        )
        self.assert_trouble(
            'is a learner', 'Promote', mute, report('2', '1', learner=True)
        )
        self.assert_trouble(
            'authentication failed',
            '[etcd] username',
            exceptions.NoAccess('a', '400 authentication failed'),
        )
        self.assert_trouble(
            'permission denied',
            'tooz/groups/',
            exceptions.BackendError('a', '403 permission denied'),
        )
        self.assert_trouble(
            'SSLError', 'ca_file', exceptions.BackendError('a', 'SSLError: x')
        )

    def test_the_reason_is_the_innermost(self):
        try:
            try:
                raise ConnectionRefusedError(111, 'Connection refused')
            except OSError as error:
                raise exceptions.BackendError('a', 'long') from error
        except exceptions.BackendError as error:
            self.assertEqual(
                '[Errno 111] Connection refused', etcd_limits.reason(error)
            )


class ClusterTest(base.TestCase):
    def judge(self, *servers):
        return list(etcd.judge_cluster(servers))

    def test_servers_of_several_clusters(self):
        (found,) = self.judge(
            serving('a', cluster='x'), serving('b', cluster='y')
        )
        self.assertEqual(ERROR, found.level)
        self.assertIn('not one cluster', found.what)

    def test_servers_that_are_not_named(self):
        found = self.judge(serving('a', members=3))[0]
        self.assertEqual(WARNING, found.level)
        self.assertIn('3 servers; 1 of them named', found.what)

    def test_an_even_number(self):
        found = self.judge(serving('a', members=2), serving('b', members=2))[0]
        self.assertEqual(WARNING, found.level)
        self.assertIn('2 servers, an even number', found.what)
        self.assertIn('outlive the failure of 0', found.why)

    def test_an_unknown_size(self):
        (found,) = self.judge(serving('a', members=None))
        self.assertEqual(OK, found.level)

    def test_no_answer(self):
        self.assertEqual(
            [], self.judge(unreachable('a'), unreachable('b', report=report()))
        )


class LimitsTest(base.TestCase):
    def alarms(self, *alarms):
        servers = [report(alarms=alarms)] * 2
        return list(etcd_limits.judge_alarms(servers))

    def test_alarms(self):
        (found,) = self.alarms('memberID:1 alarm:NOSPACE ')
        self.assertEqual(ERROR, found.level)
        self.assertIn('alarm:NOSPACE.', found.what)
        self.assertIn('alarm disarm', found.advice)
        (found,) = self.alarms('memberID:1 alarm:CORRUPT ')
        self.assertIn('disaster', found.advice)
        # That is a finding of each server already.
        self.assertEqual([], self.alarms('etcdserver: no leader'))

    def lease(self, granted, ttl=10, down_time=60):
        conf = self.make_conf(
            f'[DEFAULT]\nservice_down_time = {down_time}\n'
            f'[etcd]\nttl = {ttl}\n'
        )
        return etcd_limits.judge_joining(conf, asking.Answer(granted))

    def test_a_lease(self):
        for granted, level, what in (
            (10, OK, '10 s, as configured'),
            (15, WARNING, '15 s instead of [etcd] ttl = 10'),
            (75, ERROR, '75 s, more than service_down_time = 60'),
        ):
            found = self.lease(granted)
            self.assertEqual(level, found.level)
            self.assertIn(what, found.what)
        # That is a finding of the options already.
        self.assertEqual(OK, self.lease(75, ttl=75).level)

    def test_no_member_can_join(self):
        error = exceptions.BackendError('a', '429 database space exceeded')
        found = etcd_limits.judge_joining(
            self.make_conf(), asking.Answer(error=error)
        )
        self.assertEqual(ERROR, found.level)
        self.assertIn('could not join: 429', found.what)
        self.assertIn('defragment', found.advice)
