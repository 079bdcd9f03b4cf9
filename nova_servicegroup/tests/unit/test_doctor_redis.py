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

"""Tests of the check of redis servers and Sentinels."""

from nova_servicegroup.doctor import asking
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import redis
from nova_servicegroup.doctor import redis_refusals
from nova_servicegroup.doctor import redis_sentinels
from nova_servicegroup.doctor import redis_stats
from nova_servicegroup.doctor import servers as common
from nova_servicegroup.drivers.redis import status
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

OK, WARNING, ERROR = finding.Level
MIB = 2**20

# As redis-py reads it of redis 7.0.
INFO = {
    'redis_version': '7.0.15',
    'role': 'slave',
    'master_link_status': 'up',
    'uptime_in_seconds': 90000,
    'maxmemory': 64 * MIB,
    'maxmemory_policy': 'noeviction',
    'used_memory': 32 * MIB,
    'evicted_keys': 0,
    'rejected_connections': 0,
    'connected_clients': 12,
    'maxclients': 10000,
    'rdb_last_bgsave_status': 'ok',
    'aof_last_write_status': 'ok',
    'loading': 0,
    'cluster_enabled': 0,
}


def refused(reason='RedisError: refused.'):
    return asking.Answer(error=exceptions.BackendError('redis a', reason))


class StatsTest(base.TestCase):
    def test_an_answer(self):
        (found,) = redis_stats.judge('a', redis_stats.read(INFO, 0.0015))
        self.assertEqual(OK, found.level)
        self.assertEqual(
            'a: replica, 7.0.15, answered in 1.5 ms, up for 25 hours, 32 of '
            '64 MiB used, noeviction, 12 of 10000 connections.',
            found.what,
        )

    def test_the_version_of_valkey(self):
        said = {**INFO, 'valkey_version': '8.0.1'}
        self.assertEqual('8.0.1', redis_stats.read(said, 0).version)

    def test_an_answer_of_something_else(self):
        stats = redis_stats.read({'role': 'x\x1b[2J', 'maxmemory': 'y'}, 0)
        self.assertEqual((r'x\x1b[2J', 0), (stats.role, stats.memory.limit))

    def assert_trouble(self, level, what, latency=0.001, **said):
        stats = redis_stats.read({**INFO, **said}, latency)
        _, found = redis_stats.judge('a', stats)
        self.assertEqual(level, found.level)
        self.assertIn(f'a {what}', found.what)
        self.assertTrue(found.why and found.advice)

    def test_keys_that_are_evicted(self):
        for policy in ('allkeys-lru', 'volatile-ttl'):
            self.assert_trouble(
                WARNING,
                'uses 50 % of its memory, and evicts',
                maxmemory_policy=policy,
            )
            self.assert_trouble(
                ERROR,
                'uses 95 % of its memory, and evicts',
                maxmemory_policy=policy,
                used_memory=61 * MIB,
            )
            # What has no limit is never full.
            said = {**INFO, 'maxmemory_policy': policy, 'maxmemory': 0}
            stats = redis_stats.read(said, 0)
            self.assertEqual(1, len(redis_stats.judge('a', stats)))
        self.assert_trouble(WARNING, 'has evicted 3 keys', evicted_keys=3)

    def test_troubles(self):
        self.assert_trouble(WARNING, 'answers slowly', common.SLOW)
        self.assert_trouble(
            WARNING, 'uses 92 % of its memory.', used_memory=59 * MIB
        )
        self.assert_trouble(
            WARNING, 'had no connection left 2', rejected_connections=2
        )
        self.assert_trouble(
            WARNING, 'has 9500 of 10000', connected_clients=9500
        )
        self.assert_trouble(
            WARNING,
            'cannot save its data: rdb_last_bgsave_status',
            rdb_last_bgsave_status='err',
        )
        self.assert_trouble(ERROR, 'is part of a Redis', cluster_enabled=1)
        self.assert_trouble(WARNING, 'is still loading', loading=1)
        self.assert_trouble(
            WARNING, 'is a replica that has lost', master_link_status='down'
        )


def sentinel(**how):
    return status.SentinelStatus(
        **{
            'master': 'm:1',
            'flags': frozenset({'master'}),
            'down_after': 5.0,
            'others': 2,
            'replicas': {'r:1': frozenset({'slave'})},
            **how,
        }
    )


class SentinelsTest(base.TestCase):
    def judge(self, *sentinels):
        answers = {
            f's{number}': asking.Answer(each)
            if isinstance(each, status.SentinelStatus)
            else each
            for number, each in enumerate(sentinels)
        }
        return redis_sentinels.judge(answers, 'nova', 10)

    def assert_found(self, level, what, *sentinels):
        (found,) = [each for each in self.judge(*sentinels) if each.level]
        self.assertEqual(level, found.level)
        self.assertIn(what, found.what)
        self.assertTrue(found.why and found.advice)

    def test_well(self):
        found = self.judge(sentinel(), sentinel(), sentinel())
        self.assertEqual({OK}, {each.level for each in found})
        self.assertEqual('s0: Sentinel, names m:1.', found[0].what)

    def test_one_is_unreachable(self):
        self.assert_found(
            WARNING,
            'Sentinel s2 does not name the master: refused.',
            sentinel(),
            sentinel(),
            refused(),
        )

    def test_most_are_unreachable(self):
        found = self.judge(sentinel(), refused(), refused())
        self.assertEqual([OK, ERROR, ERROR], [each.level for each in found])
        self.assertIn('1 of 3 Sentinels name it', found[1].why)
        self.assertEqual(3, len(self.judge(refused(), refused(), refused())))

    def test_sentinels_that_do_not_know_the_server(self):
        found = self.judge(refused('ResponseError: No such master'))[0]
        self.assertIn('calls nova', found.advice)

    def test_what_is_wrong(self):
        three = [sentinel()] * 2
        for level, what, how in (
            (ERROR, 'several masters: m:1, m:2', {'master': 'm:2'}),
            (
                WARNING,
                'of the master: s_down',
                {'flags': frozenset({'master', 's_down'})},
            ),
            (WARNING, 'NOQUORUM', {'quorum': 'NOQUORUM 1 usable'}),
            (WARNING, '5 Sentinels; 3 of them named', {'others': 4}),
            (WARNING, 'wait for 10 s', {'down_after': 10.0}),
        ):
            self.assert_found(level, what, *three, sentinel(**how))

    def test_too_few(self):
        self.assert_found(WARNING, 'There is 1 Sentinel.', sentinel(others=0))
        two = sentinel(others=1)
        self.assert_found(WARNING, 'There are 2 Sentinels.', two, two)

    def test_no_replica(self):
        ill = frozenset({'slave', 's_down'})
        for replicas in ({}, {'r:1': ill}):
            alone = sentinel(replicas=replicas)
            self.assert_found(WARNING, 'no replica', alone, alone, alone)

    def test_servers(self):
        answers = {
            'a': asking.Answer(sentinel()),
            'b': asking.Answer(sentinel(master='m:2')),
            'c': refused(),
        }
        self.assertEqual(
            ['m:1', 'm:2', 'r:1'], redis_sentinels.servers(answers)
        )

    def test_a_sentinel_that_names_thousands_costs_few_threads(self):
        replicas = {f'r:{each}': frozenset() for each in range(1, 5000)}
        answers = {
            'a': asking.Answer(sentinel(replicas=replicas)),
            'b': asking.Answer(sentinel(master='m:2')),
        }
        found = redis_sentinels.servers(answers)
        self.assertLessEqual({'m:1', 'm:2'}, set(found))
        self.assertLess(len(found), 50)


SETTINGS = status.ConnectionSettings(None, None, False, False)


class ServersTest(base.TestCase):
    def test_servers_that_are_unreachable(self):
        well = asking.Answer(redis_stats.read(INFO, 0.001))
        found = redis.judge_servers({'a': well, 'b': refused()})[1]
        self.assertEqual(
            (WARNING, 'b does not answer: refused.'), (found.level, found.what)
        )
        (found,) = redis.judge_servers({'b': refused()})
        self.assertEqual(ERROR, found.level)
        self.assertIn('No service can report', found.why)

    def test_joining(self):
        well = asking.Answer(redis_stats.read(INFO, 0.001))
        (found,) = redis.judge_joining(None, SETTINGS, {'a': well})
        self.assertEqual(OK, found.level)
        error = refused('ToozError: NOREPLICAS Not enough.').error
        (found,) = redis.judge_joining(error, SETTINGS, {'a': well})
        self.assertEqual(ERROR, found.level)
        self.assertIn('join by a: NOREPLICAS Not enough.', found.what)
        self.assertIn('min-replicas-to-write', found.advice)
        (found,) = redis.judge_joining(
            error, SETTINGS._replace(sentinel_name='nova'), {}
        )
        self.assertIn('by the master of nova', found.what)
        # That is a finding of the server already.
        self.assertEqual(
            [], redis.judge_joining(error, SETTINGS, {'a': refused()})
        )

    def test_each_refusal_has_its_advice(self):
        for said, advice in (
            ('invalid username-password pair', 'username and password'),
            ('HELLO must be called', 'username and password'),
            ("this user has no permissions to run 'eval'", 'rights'),
            ("You can't write against a read only replica", 'master'),
            ("used memory > 'maxmemory'", 'more memory'),
            ('MISCONF Redis is configured', 'stop-writes-on-bgsave-error'),
            ('certificate verify failed', 'ca_file'),
            ('Error 111 connecting', 'See that the server runs'),
        ):
            self.assertIn(advice, redis_refusals.advice(said))
