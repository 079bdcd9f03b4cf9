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

"""The command line of the simulation."""

import argparse
import collections
import json
import secrets
import traceback

from nova_servicegroup.tests.simulation import chance
from nova_servicegroup.tests.simulation import mutations
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import scenarios
from nova_servicegroup.tests.simulation import search
from nova_servicegroup.tests.simulation import virtual


ALL_KINDS = {
    *('again', 'dead', 'living', 'log', 'mass', 'raises', 'reads', 'stale'),
    *('thread', 'threads', 'waits'),
}


def run(args: argparse.Namespace) -> int:
    """Search as the command line says."""
    seed = secrets.randbelow(10**9) if args.seed is None else args.seed
    if args.proven:
        return _run_proven(args)
    print(f'{args.driver}: seed {seed}', flush=True)
    if args.mutate:
        mutations.apply(args.mutate)
    search.IGNORED.update(args.ignore.split(','))
    if args.all:
        return _list_all(args, seed)
    verdicts = args.verdicts
    if args.histories == 1:
        return _replay(args, seed)
    begun = virtual.monotonic()
    found, done, histories = search.search(
        args.driver, seed, verdicts, args.seconds, not args.no_shrink
    )
    taken = virtual.monotonic() - begun
    print(f'{done} verdicts in {histories} histories, {taken:.1f} s')
    if found is not None:
        show(found)
    return 0 if found is None else 1


def _run_proven(args: argparse.Namespace) -> int:
    """Run scenarios; print a line on each."""
    wanted = scenarios.SCENARIOS
    if args.proven != 'all':
        wanted = {args.proven: wanted[args.proven]}
    bad = 0
    for name, scenario in wanted.items():
        search.IGNORED = ALL_KINDS - set(scenario.kinds)
        found, _ = search.run(scenario.plan, args.trace)
        bad += found is not None
        print(json.dumps([name, None if found is None else str(found)]))
    return 1 if bad else 0


def show(found: search.Found) -> None:
    """Print a history that breaks a promise."""
    print(found.violation)
    print(found.plan)
    print(
        'replay: python -m nova_servicegroup.tests.simulation '
        f'--driver {found.first.driver} --seed {found.first.seed} '
        '--histories 1'
    )


def _replay(args: argparse.Namespace, seed: int) -> int:
    plan = chance.make(args.driver, seed)
    violation, _ = search.run(plan)
    if violation is None:
        print('no promise is broken')
        return 0
    print(plan)
    print(violation)
    if not args.no_shrink:
        shortest, violation = search.shorten(plan, violation)
        show(search.Found(shortest, plan, violation))
        plan = shortest
    if args.trace:
        search.run(plan, trace=True)
        for _, when, record in virtual.LOG.records:
            print(f'{when:10.3f} {record.levelname} {record.getMessage()}')
            if record.exc_info:
                traceback.print_exception(*record.exc_info)
    return 1


def _list_all(args: argparse.Namespace, seed: int) -> int:
    """Go on after a violation; list one of each kind."""
    counts: collections.Counter[str] = collections.Counter()
    shown: dict[str, plans.Plan] = {}
    done = histories = 0
    begun = virtual.monotonic()
    while done < args.verdicts and virtual.monotonic() - begun < args.seconds:
        plan = chance.make(args.driver, seed + histories)
        violation, count = search.run(plan)
        done, histories = done + count, histories + 1
        if violation is not None:
            counts[violation.kind] += 1
            best = shown.get(violation.kind)
            if best is None or plan.size() < best.size():
                shown[violation.kind] = plan
    taken = virtual.monotonic() - begun
    print(f'{done} verdicts in {histories} histories, {taken:.1f} s')
    print(dict(counts))
    for kind, plan in shown.items():
        print(f'=== {kind}')
        violation, _ = search.run(plan)
        if violation is None:
            print(f'NOT DETERMINISTIC: {plan.seed}')
            continue
        shortest, violation = search.shorten(plan, violation)
        show(search.Found(shortest, plan, violation))
    return 1 if counts else 0
