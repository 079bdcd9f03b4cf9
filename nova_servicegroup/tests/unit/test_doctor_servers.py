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


"""Tests of the checks of ZooKeeper and memcached servers."""

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import mc
from nova_servicegroup.doctor import mc_stats
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.doctor import zk
from nova_servicegroup.doctor import zk_limits
from nova_servicegroup.drivers.zk import status
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

OK, WARNING, ERROR = finding.Level

# As ZooKeeper 3.8 answers.
SRVR = """Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2022
Latency min/avg/max: 0/0.0/0
Received: 5
Mode: follower
Node count: 5
"""
NOT_SERVING = 'This ZooKeeper instance is not currently serving requests\n'
REFUSED = 'conf is not executed because it is not in the whitelist.\n'
CONF = 'clientPort=2181\ntickTime=500\nmaxClientCnxns=60\nserverId=1\n'
CONS = """ /10.0.0.1:40872[1](queued=0,recved=7,sent=7,sid=0x1000,lop=PING)
 /10.0.0.2:40880[1](queued=0,recved=7,sent=7,sid=0x1001,lop=PING)
 /10.0.0.1:40882[1](queued=0,recved=7,sent=7,sid=0x1002,lop=PING)
 /[0:0:0:0:0:0:0:1]:40884[0](queued=0,recved=1,sent=0)

"""


class WordsTest(base.TestCase):
    def test_srvr(self):
        self.assertEqual('follower', status.mode(SRVR))
        self.assertEqual('', status.mode(NOT_SERVING))
        self.assertIsNone(status.mode(REFUSED))

    def test_conf(self):
        self.assertEqual(60, status.limit(CONF))
        self.assertIsNone(status.limit(REFUSED))

    def test_cons(self):
        self.assertEqual(('10.0.0.1', 2), status.busiest(CONS))
        self.assertIsNone(status.busiest(REFUSED))


def serving(address, mode=None, groups=(), granted=10.0, latency=0.002):
    return zk.Server(
        address,
        status.Session(latency, granted, frozenset(groups)),
        status.ServerStatus(mode, '3.8.0'),
    )


def unreachable(address, error=None, report=None):
    return zk.Server(
        address,
        report=report,
        error=error or exceptions.BackendError(address, 'refused'),
    )


class EnsembleTest(base.TestCase):
    def test_well(self):
        servers = [
            serving('a', 'follower'),
            serving('b', 'leader'),
            serving('c', 'follower'),
        ]
        found = [*zk.judge_servers(servers), *zk.judge_ensemble(servers)]
        self.assertEqual({OK}, {each.level for each in found})
        self.assertIn('a: follower, 3.8.0, answered in 2.0 ms', found[0].what)
        self.assertIn('1 leader, 2 followers', found[3].what)

    def test_a_slow_server(self):
        (found,) = zk.judge_servers([serving('a', latency=common.SLOW)])
        self.assertEqual(WARNING, found.level)
        self.assertIn('answered in 500.0 ms', found.what)

    def test_one_is_unreachable(self):
        servers = [
            serving('a', 'leader'),
            unreachable('b'),
            serving('c', 'follower'),
        ]
        self.assert_unreachable(
            servers, WARNING, '2 are needed: no more may fail'
        )
        servers += [serving('d', 'follower'), serving('e', 'follower')]
        self.assert_unreachable(
            servers, WARNING, '3 are needed: 1 more may fail'
        )

    def assert_unreachable(self, servers, level, why):
        found = zk.judge_servers(servers)[1]
        self.assertEqual(level, found.level)
        self.assertIn('b does not answer: refused', found.what)
        self.assertIn(why, found.why)

    def test_all_are_unreachable(self):
        self.assert_unreachable(
            [unreachable('a'), unreachable('b')],
            ERROR,
            'No service can report',
        )

    def test_not_part_of_the_ensemble(self):
        servers = [
            unreachable('a', report=status.ServerStatus('')),
            serving('b'),
        ]
        self.assertIn(
            'not part of the ensemble', zk.judge_servers(servers)[0].what
        )

    def test_no_session(self):
        report = status.ServerStatus('follower')
        (found,) = zk.judge_servers([unreachable('a', report=report)])
        self.assertIn('grants no session: refused', found.what)
        self.assertIn('restart the leader', found.advice)

    def test_turned_away(self):
        error = status.ConnectionRejected('a', 'closed')
        (found,) = zk.judge_servers([unreachable('a', error)])
        self.assertIn('only to end them', found.what)
        self.assertIn('maxClientCnxns', found.advice)

    def test_a_server_that_is_not_trusted(self):
        error = status.TLSError('a', 'certificate verify failed')
        (found,) = zk.judge_servers([unreachable('a', error)])
        self.assertEqual(ERROR, found.level)
        self.assertIn('no TLS: certificate verify failed', found.what)
        for option in ('ca_file', 'check_hostname', 'address'):
            self.assertIn(option, found.advice)

    def assert_apart(self, part, *servers):
        (found,) = zk.judge_ensemble(servers)
        self.assertEqual(ERROR, found.level)
        self.assertIn(part, found.what)

    def test_servers_of_several_ensembles(self):
        self.assert_apart(
            'a: each stands alone',
            serving('a', 'standalone'),
            serving('b', 'leader'),
        )
        self.assert_apart(
            'several leaders: a, b',
            serving('a', 'leader'),
            serving('b', 'leader'),
        )
        self.assert_apart(
            'do not have the same groups',
            serving('a', 'leader', ['compute']),
            serving('b', 'follower'),
        )

    def test_a_single_standalone_server_is_well(self):
        self.assertEqual([], zk.judge_ensemble([serving('a', 'standalone')]))

    def test_no_leader_is_named(self):
        (found,) = zk.judge_ensemble([serving('a', 'follower')])
        self.assertEqual(WARNING, found.level)
        self.assertEqual(
            [], zk.judge_ensemble([serving('a', 'follower'), unreachable('b')])
        )

    def test_unknown_modes(self):
        self.assertEqual([], zk.judge_ensemble([serving('a'), serving('b')]))


class LimitsTest(base.TestCase):
    def sessions(self, *granted):
        servers = {f'server{n}': each for n, each in enumerate(granted)}
        return zk_limits.judge_sessions(servers, 10, 60)

    def test_sessions(self):
        for granted, level, what in (
            ((10.0, 10.0), OK, '10 s, as configured'),
            ((10.0, 4.0), WARNING, 'server1 grants sessions of 4 s instead'),
            ((4.0, 80.0), ERROR, 'server1 grants sessions of 80 s, more'),
        ):
            (found,) = self.sessions(*granted)
            self.assertEqual(level, found.level)
            self.assertIn(what, found.what)
        self.assertEqual([], self.sessions())

    def connections(self, limit, sessions=None):
        busiest = None if sessions is None else ('10.0.0.1', sessions)
        report = status.ServerStatus('leader', '3.8', limit, busiest)
        (found,) = zk_limits.judge_connections({'a': report})
        return found

    def test_connections(self):
        for limit, sessions, level, what in (
            (60, 47, OK, '60 sessions may come'),
            (60, 48, WARNING, '48 sessions come from 10.0.0.1, of 60'),
            (60, 60, WARNING, 'allows no more'),
            (60, None, OK, '60 sessions may come'),
            (0, 5000, OK, 'Any number'),
            (None, None, OK, 'is not known'),
        ):
            found = self.connections(limit, sessions)
            self.assertEqual(level, found.level)
            self.assertIn(what, found.what)

    def test_no_words_at_all(self):
        self.assertEqual([], zk_limits.judge_connections({'a': None}))


class StatsTest(base.TestCase):
    def judge(self, *servers, uptime=5000, **more):
        stats = {
            f'server{n}': mc_stats.Stats(
                **{
                    'latency': 0.001,
                    'uptime': uptime,
                    'memory': 100,
                    **each,
                }
            )
            for n, each in enumerate(servers)
        }
        return [
            each.what
            for each in mc_stats.judge(stats)
            if each.level == WARNING
        ]

    def test_an_answer(self):
        stats = mc_stats.read(
            {
                'version': '1.6.18',
                'uptime': '90000',
                'evictions': '3',
                'bytes': '33554432',
                'limit_maxbytes': '67108864',
                'curr_connections': '12',
                'max_connections': '1024',
                'rusage_user': '0.5',
            },
            0.0015,
        )
        summary = mc_stats.judge({'a': stats})[0].what
        self.assertEqual(
            'a: memcached 1.6.18, answered in 1.5 ms, up for 25 hours, 50 % '
            'of 64 MiB used, 12 of 1024 connections.',
            summary,
        )

    def test_troubles(self):
        for stats, what in (
            ({'latency': common.SLOW}, 'server0 answers slowly'),
            ({'evictions': 3}, 'server0 has evicted 3 items'),
            ({'used': 90}, 'server0 uses 90 % of its memory'),
            (
                {'connections': common.Connections(90, 100)},
                'server0 has 90 of 100 connections in use',
            ),
            (
                {'connections': common.Connections(refused=2)},
                'server0 had no connection left 2 times',
            ),
        ):
            (found,) = self.judge(stats)
            self.assertIn(what, found)
        self.assertEqual([], self.judge({'used': 89}))

    def test_a_restart_of_one_of_several(self):
        (found,) = self.judge({'uptime': 30}, {})
        self.assertIn('server0 was restarted 30 s ago', found)
        self.assertEqual([], self.judge({'uptime': 30}))
        self.assertEqual([], self.judge({'uptime': 30}, {'uptime': 40}))


class MemcachedTest(base.TestCase):
    def test_a_local_address_among_others(self):
        for local in ('localhost:1', '127.0.0.1:1', '[::1]:1'):
            (found,) = mc.judge_addresses([local, '10.0.0.1:1'], {'a'})
            self.assertEqual(WARNING, found.level)
            self.assertIn(local, found.what)
        shared = ['mc1:1', '10.0.0.1:1']
        self.assertEqual([], list(mc.judge_addresses(shared, None)))

    def test_local_addresses_alone(self):
        local = ['localhost:1', '127.0.0.1:2']
        (found,) = mc.judge_addresses(local, {'a', 'b'})
        self.assertEqual(WARNING, found.level)
        self.assertIn('localhost:1, 127.0.0.1:2', found.what)
        self.assertIn('2 hosts: a, b', found.what)
        (found,) = mc.judge_addresses(local, None)
        self.assertEqual(WARNING, found.level)
        # All of Nova is here.
        for hosts in ({'a'}, set()):
            self.assertEqual([], list(mc.judge_addresses(local, hosts)))

    def test_servers_that_are_unreachable(self):
        error = asking.Answer(error=exceptions.BackendError('b', 'refused'))
        well = asking.Answer(mc_stats.Stats(0.001))
        away = mc.judge_servers({'a': well, 'b': error})[0]
        self.assertEqual(
            (WARNING, 'b does not answer: refused.'), (away.level, away.what)
        )
        self.assertEqual(ERROR, mc.judge_servers({'b': error})[0].level)

    def test_members_that_are_missing(self):
        missing = frozenset({('compute', 'x'), ('compute', 'y')})
        (found,) = mc.judge_members({'a': frozenset(), 'b': missing})
        self.assertEqual(WARNING, found.level)
        self.assertIn('b misses', found.what)
        self.assertIn('x, y', found.what)
