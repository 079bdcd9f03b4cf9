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


"""Runs the parts and writes the report."""

import argparse
import importlib
import pathlib
import sys
import tempfile

from benchmarks import nova
from benchmarks import report
from tools._ministack import progress

PARTS = ('is_up', 'passes', 'refresh', 'construct', 'heartbeats', 'detection')


def main() -> None:
    """Do what the command line says."""
    args = _parse()
    say = progress.Progress()
    tables: list[report.Table] = []
    with (
        tempfile.TemporaryDirectory(prefix='benchmark-') as directory,
        nova.Stage(pathlib.Path(directory)) as stage,
    ):
        for part in args.parts or PARTS:
            with say.step(part):
                tables += _run(part, stage, args)
    command = ' '.join(['benchmarks/run', *sys.argv[1:]])
    text = report.text(command, args.quick, tables)
    print(text)
    if args.output:
        report.save(args.output, text, tables)


def _run(
    part: str, stage: nova.Stage, args: argparse.Namespace
) -> list[report.Table]:
    module = importlib.import_module(f'benchmarks.{part}')
    sizes = {'sizes': args.hosts} if part == 'heartbeats' else {}
    tables: list[report.Table] = module.run(stage, args.quick, **sizes)
    return tables


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='benchmarks/run')
    parser.add_argument(
        'parts', nargs='*', metavar='PART', help=', '.join(PARTS)
    )
    parser.add_argument(
        '--quick', action='store_true', help='only prove that it runs'
    )
    parser.add_argument(
        '--hosts',
        action='append',
        type=int,
        default=[],
        metavar='N',
        help='for heartbeats; may be given more than once',
    )
    parser.add_argument(
        '--output', type=pathlib.Path, help='also write .md and .csv there'
    )
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f'no such part: {min(unknown)}')
    return args


if __name__ == '__main__':
    main()
