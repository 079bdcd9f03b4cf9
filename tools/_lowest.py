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

"""The lowest versions that this package declares, and the tests with them.

    python3 -m tools._lowest constraints ENVIRONMENT
    python3 -m tools._lowest extras ENVIRONMENT
    python3 -m tools._lowest tests ENVIRONMENT

for tools/run-tests. It needs only Python's standard library.
"""

from collections.abc import Iterable
import configparser
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: The extras of each environment. The monitor, the collector and TLS to
#: memcached have one of their own: they need a later oslo.service, and a later
#: tooz, than the oldest Nova has.
EXTRAS = {
    'venv-lowest': ('zk', 'mc', 'etcd', 'redis', 'exporter'),
    'venv-lowest-monitor': (
        *('zk', 'mc', 'mc-tls'),
        *('monitor', 'collector', 'agent'),
    ),
}

#: The functional test of each driver, program and command.
TESTS = {
    'venv-lowest': {
        'db': 'test_db.MemberTest.test_joined_is_up_and_killed_is_down',
        'etcd': 'test_etcd.MemberTest.test_joined_is_up_and_killed_is_down',
        'mc': 'test_mc.MemberTest.test_joined_is_up_and_killed_is_down',
        'redis': 'test_redis.MemberTest.test_joined_is_up_and_killed_is_down',
        'zk': 'test_zk.MemberTest.test_joined_is_up_and_killed_is_down',
        'collector': 'test_db_collector.CollectorTest'
        '.test_many_at_once_are_few_updates',
        'store': 'test_db_store.MariaDBTest'
        '.test_a_deadlock_loses_no_heartbeat',
        'doctor': 'test_doctor.MemcachedTest.test_healthy',
        'member': 'test_cli.ZooKeeperTest.test_list_and_show',
        'simulate': 'test_simulate.MemcachedTest'
        '.test_the_killed_are_found_and_the_others_stay_up',
        'watch': 'test_cli.MemcachedTest.test_a_death_is_seen_as_it_happens',
        'nova-servicegroup-exporter': 'test_exporter.MemcachedTest'
        '.test_a_killed_member',
        'nova-servicegroup-status': 'test_cli.CacheTest'
        '.test_every_program_asks_the_servers_of_the_cache',
    },
    'venv-lowest-monitor': {
        'nova-servicegroup-agent': 'test_agent.MemcachedTest'
        '.test_the_process_is_killed',
        'nova-servicegroup-collector': 'test_db_daemon.PreferenceTest'
        '.test_a_conductor_beside_it_has_nothing_to_do',
        'nova-servicegroup-monitor': 'test_monitor.MemcachedTest'
        '.test_one_of_two_announces',
        'mc-tls': 'test_mc_security.TlsTest.test_members_see_each_other',
    },
}

_REQUIREMENT = re.compile(r'([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)')


def declared(extras: Iterable[str], root: pathlib.Path = ROOT) -> list[str]:
    """Return the requirements of the package with some of its extras."""
    setup = configparser.ConfigParser()
    setup.read(root / 'setup.cfg')
    lines = (root / 'requirements.txt').read_text().splitlines()
    for extra in extras:
        lines += setup['extras'][extra].splitlines()
    return [line for line in lines if line.strip() and line[0] != '#']


def lowest(requirements: Iterable[str]) -> dict[str, str]:
    """Return the lowest version of each library that all of them allow.

    :raises ValueError: a requirement has no lowest version
    """
    versions: dict[str, str] = {}
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement.strip())
        if found is None:
            raise ValueError(f'{requirement}: not NAME>=VERSION')
        name, version = found.groups()
        versions[name] = max(versions.get(name, '0'), version, key=order)
    return versions


def order(version: str) -> tuple[int, ...]:
    """Return the sort key of a version."""
    return tuple(map(int, version.split('.')))


def main() -> None:
    """Print what the command line asks for."""
    what, environment = sys.argv[1:]
    extras = EXTRAS[environment]
    if what == 'extras':
        print(','.join(extras))
    elif what == 'tests':
        for name in TESTS[environment].values():
            print(f'nova_servicegroup.tests.functional.{name}')
    else:
        for name, version in lowest(declared(extras)).items():
            print(f'{name}=={version}')


if __name__ == '__main__':
    main()
