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

"""Runs the parts of the benchmark and writes the report."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
import functools
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback
from typing import Any

from benchmarks import nova
from benchmarks import report
from benchmarks import soak
from benchmarks import summary
from nova_servicegroup.tests.ministack import progress

#: The parts, in the order of the report.
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
    'soak',
)
#: Those with hosts in the cell, and one that injects faults into the servers.
_IN_CELL = ('heartbeats', 'detection', 'dilemma')
_ALONE = ('stress', 'soak')
#: Those that last for hours, and run only when they are named.
_LONG = ('soak',)


def main() -> None:
    """Run the parts that the command line names, and print the report."""
    args = _parse()
    with (
        tempfile.TemporaryDirectory(prefix='benchmark-') as directory,
        nova.Stage(pathlib.Path(directory)) as stage,
    ):
        output = args.output or pathlib.Path(directory) / 'report'
        # Quick figures are not mixed with those of an earlier run.
        parts = {} if args.quick else report.load(output)

        def save(found: Mapping[str, report.Part]) -> report.Report:
            written = _report({**parts, **found}, args.quick)
            written.save(output)
            return written

        run = _Run(stage, args, save)
        written = save(run.parts())
        _draw(output)
    print(written.text())
    if run.failed:
        sys.exit(f'failed, and not in the report: {", ".join(run.failed)}')


def _report(parts: Mapping[str, report.Part], quick: bool) -> report.Report:
    ordered = [parts[name] for name in PARTS if name in parts]
    tables = [table for part in ordered for table in part.tables]
    return report.Report(ordered, summary.run(tables), quick)


class _Run:
    """One run of some parts.

    :param save: called after each part with what was found, unless it is quick
    :ivar failed: the parts that failed; the others are reported all the same
    """

    def __init__(
        self,
        stage: nova.Stage,
        args: argparse.Namespace,
        save: Callable[[Mapping[str, report.Part]], object],
    ) -> None:
        self._stage = stage
        self._args = args
        self._save = save
        self._progress = progress.Progress()
        wanted = args.parts or set(PARTS).difference(_LONG)
        self._parts = [each for each in PARTS if each in wanted]
        self._found: dict[str, report.Part] = {}
        self.failed: list[str] = []

    def parts(self) -> dict[str, report.Part]:
        """Run the parts and return their results, by name."""
        if self._args.quick:
            self._run_in_parallel()
        else:
            self._run(self._parts)
        return self._found

    def _run_in_parallel(self) -> None:
        """Run the parts that do not break each other at the same time."""
        alone = [each for each in self._parts if each in _ALONE]
        in_cell = [each for each in self._parts if each in _IN_CELL]
        others = [
            each for each in self._parts if each not in _ALONE + _IN_CELL
        ]
        # storm waits long on a busy machine, and the cell is busiest at the
        # end.
        others.reverse()
        # Create what both threads share.
        assert self._stage.conf
        with futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(self._run, [in_cell, others]))
        self._run(alone)

    def _run(self, parts: Sequence[str]) -> None:
        for part in parts:
            try:
                with self._progress.step(part):
                    self._found[part] = report.measure(
                        part, functools.partial(self._run_one, part)
                    )
                if not self._args.quick:
                    self._save(self._found)
            except Exception:
                traceback.print_exc()
                self.failed.append(part)

    def _run_one(self, part: str) -> list[report.Table]:
        module = importlib.import_module(f'benchmarks.{part}')
        return module.run(self._stage, self._args.quick, **self._more(part))

    def _more(self, part: str) -> dict[str, Any]:
        """Return what only this part takes from the command line."""
        args = self._args
        if part == 'soak':
            hosts = args.hosts[-1] if args.hosts else soak.HOSTS
            state = args.state or (args.output and args.output / 'soak.json')
            more = hosts, args.together, state
            return {'plan': soak.Plan(args.minutes, args.contestant, *more)}
        return {'sizes': args.hosts} if part == 'heartbeats' else {}


def _draw(directory: pathlib.Path) -> None:
    """Draw the figures in another environment, to leave Nova's as it is."""
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
        help='for heartbeats, where it may be repeated, and for soak',
    )
    _add_options_of_soak(parser.add_argument_group('options of soak'))
    parser.add_argument(
        '--output', type=pathlib.Path, help='also write the report there'
    )
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f'no such part: {min(unknown)}')
    for each in args.contestant:
        if not soak.Plan(names=[each]).turns():
            parser.error(f'no such contestant: {each}')
    return args


def _add_options_of_soak(group: Any) -> None:
    group.add_argument(
        '--minutes',
        type=float,
        default=soak.MINUTES,
        metavar='N',
        help='for each contestant, or for all together',
    )
    group.add_argument(
        '--contestant',
        action='append',
        default=[],
        metavar='NAME',
        help='a driver, or one of its contestants, as "our zk, S = 5 s"; may '
        'be given more than once',
    )
    group.add_argument(
        '--together',
        action='store_true',
        help='run the contestants side by side',
    )
    group.add_argument(
        '--state',
        type=pathlib.Path,
        metavar='FILE',
        help='adds runs up; default: soak.json beside the report',
    )


if __name__ == '__main__':
    main()
