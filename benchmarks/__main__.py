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
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks import nova
from benchmarks import report
from benchmarks import summary
from tools._ministack import progress

#: In the order of the report.
PARTS = (
    'is_up',
    'passes',
    'refresh',
    'heartbeats',
    'renewals',
    'detection',
    'dilemma',
    'stress',
    'storm',
    'construct',
)


def main() -> None:
    """Do what the command line says."""
    args = _parse()
    say = progress.Progress()
    command = ' '.join(['benchmarks/run', *sys.argv[1:]])
    made = report.Report(command, args.quick)
    with (
        tempfile.TemporaryDirectory(prefix='benchmark-') as directory,
        nova.Stage(pathlib.Path(directory)) as stage,
    ):
        for part in PARTS:
            if part in (args.parts or PARTS):
                with say.step(part):
                    made.tables += _run(part, stage, args)
        made.tables += summary.run(made.tables)
        output = args.output or pathlib.Path(directory) / 'report'
        made.save(output)
        _draw(output)
    print(made.text())


def _run(
    part: str, stage: nova.Stage, args: argparse.Namespace
) -> list[report.Table]:
    module = importlib.import_module(f'benchmarks.{part}')
    sizes = {'sizes': args.hosts} if part == 'heartbeats' else {}
    tables: list[report.Table] = module.run(stage, args.quick, **sizes)
    return tables


def _draw(directory: pathlib.Path) -> None:
    """Draw in another environment: Nova's shall be as Nova wants it."""
    python = os.environ['BENCHMARK_PLOTS_PYTHON']
    subprocess.run(
        [python, '-m', 'benchmarks.plots', str(directory.absolute())],
        check=True,
    )


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
        '--output', type=pathlib.Path, help='also write the report there'
    )
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f'no such part: {min(unknown)}')
    return args


if __name__ == '__main__':
    main()
