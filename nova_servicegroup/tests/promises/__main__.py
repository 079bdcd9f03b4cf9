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

"""``python -m nova_servicegroup.tests.promises --driver zk``."""

import argparse
import logging
import random
import sys
from typing import Any

from nova_servicegroup.tests.promises import kernel

kernel.install()


def main() -> int:
    """Look for a history that refutes a promise; 1 if there is one."""
    parser = argparse.ArgumentParser(
        prog='python -m nova_servicegroup.tests.promises'
    )
    parser.add_argument('--driver', required=True)
    parser.add_argument('--seed', type=int)
    parser.add_argument('--verdicts', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=3600.0)
    parser.add_argument('--raw', action='store_true', help='do not shorten')
    parser.add_argument('--plain', action='store_true', help='nothing odd')
    parser.add_argument('--mutate', help='the rule to break, of mutations')
    args = parser.parse_args()
    seed = args.seed
    if seed is None:
        seed = random.SystemRandom().randrange(10**9)
    logging.disable(logging.CRITICAL)
    return _search(args, _backend(args.driver), seed)


def _search(args: Any, make: Any, seed: int) -> int:
    from nova_servicegroup.tests.promises import mutations
    from nova_servicegroup.tests.promises import search

    if args.mutate:
        mutations.apply(args.mutate)
    search.ODD = not args.plain
    print(f'{args.driver}: seed {seed}', flush=True)
    given, found = search.search(
        args.driver, make, seed, args.verdicts, args.seconds
    )
    print(f'{args.driver}: {given} verdicts, {len(found)} refuted')
    for wanted, refuted in found:
        print(refuted)
        if not args.raw:
            wanted = search.shorten(wanted, make)
        print(wanted)
        print(search.run(wanted, make)[1])
        print(
            'Again: python -m nova_servicegroup.tests.promises '
            f'--driver {args.driver} --seed {wanted.seed}'
        )
    return 1 if found else 0


def _backend(driver: str) -> Any:
    import importlib

    # The drivers, before their modules are given virtual threads.
    for name in ('zk', 'mc', 'db', 'etcd', 'redis'):
        importlib.import_module(f'nova_servicegroup.drivers.{name}')
    names = {
        'zk': 'zookeeper',
        'mc': 'memcached',
        'db': 'table',
        'etcd': 'etcd',
        'redis': 'redis',
    }
    module = importlib.import_module(
        f'nova_servicegroup.tests.promises.{names[driver]}'
    )
    kernel.adopt()
    return module.Backend


if __name__ == '__main__':
    sys.exit(main())
