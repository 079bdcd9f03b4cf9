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

"""Looks for a history in which the package breaks a promise.

python -m nova_servicegroup.tests.simulation --driver zk --seed 7
"""

import argparse
import os
import sys

from nova_servicegroup.tests.simulation import virtual


def main(argv: list[str] | None = None) -> int:
    """Search as the command line says."""
    args = _parser().parse_args(argv)
    virtual.begin()
    virtual.finish()
    from nova_servicegroup.tests.simulation import command

    return command.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m nova_servicegroup.tests.simulation',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--driver', default='zk')
    parser.add_argument(
        '--seed', type=int, help='of the first history; by chance if not given'
    )
    parser.add_argument(
        '--histories', type=int, help='run so many; 1 replays one'
    )
    parser.add_argument('--verdicts', type=int, default=1_000_000)
    parser.add_argument('--seconds', type=float, default=1e9)
    parser.add_argument('--all', action='store_true', help='go on; list kinds')
    parser.add_argument('--proven', metavar='NAME', help='run this scenario')
    parser.add_argument('--mutate', metavar='NAME', help='break this rule')
    parser.add_argument('--trace', action='store_true', help='of verdicts')
    parser.add_argument('--ignore', default='', metavar='KIND,...')
    parser.add_argument('--no-shrink', action='store_true')
    return parser


def _with_fixed_hashes() -> None:
    """Start anew so that a set of names has the same order each time."""
    if os.environ.get('PYTHONHASHSEED') != '0':
        os.environ['PYTHONHASHSEED'] = '0'
        os.execv(
            sys.executable,
            [sys.executable, '-m', __package__ or '', *sys.argv[1:]],
        )


if __name__ == '__main__':
    _with_fixed_hashes()
    sys.exit(main())
