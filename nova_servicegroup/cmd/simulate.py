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

"""nova-servicegroup simulate: hollow members, to plan capacity."""

import argparse
from collections.abc import Callable
import contextlib
import os
import signal
from typing import Any

from cliff import show

from nova_servicegroup.cmd import _command
from nova_servicegroup import exceptions
from nova_servicegroup.simulation import limits
from nova_servicegroup.simulation import plan
from nova_servicegroup.simulation import run
from nova_servicegroup import startup

#: The exit status when members were never seen, or falsely seen down.
FAILED = 1


def _number(
    kind: type[float], least: float, most: float
) -> Callable[[str], float]:
    """Return a function that reads a number within bounds for argparse.

    :param kind: int or float
    """

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if least <= value <= most:
                return value
        raise argparse.ArgumentTypeError(
            f'{text!r} cannot be used. Accepted: {least:g} to {most:g}'
        )

    return read


class Simulate(_command.Command, show.ShowOne):
    """Join hollow members to the configured backend, to plan capacity.

    Members join through the driver as services do, are held, and some are
    killed, while an observer watches.
    """

    exit_statuses = (
        'Exit status: 0; 1 when a member was never seen up, was seen down '
        'while it lived, or was not seen down after it was killed; 2 when it '
        'could not be run.'
    )
    arguments = {
        '--members': {
            'type': _number(int, 1, 100000),
            'required': True,
            'metavar': 'N',
            'help': 'How many members join.',
        },
        '--hold': {
            'type': _number(float, 1, 86400),
            'default': 60.0,
            'metavar': 'SECONDS',
            'help': 'How long all are held before some are killed. Default: '
            '60.',
        },
        '--kill': {
            'type': _number(float, 0, 100),
            'default': 10.0,
            'metavar': 'PERCENT',
            'help': 'How many of the members are killed, by SIGKILL of their '
            'processes. More than half of a group that vanish at once are '
            'held until hold_time. Default: 10.',
        },
        '--processes': {
            'type': _number(int, 1, 1000),
            'metavar': 'P',
            'help': 'Over how many processes members are spread. Default: one '
            'more than there are processors, and one for each '
            f'{plan.MEMBERS_PER_PROCESS} members at least.',
        },
        '--group': {
            'default': 'simulation',
            'help': 'The group that they join. Default: simulation.',
        },
        '--force': {
            'action': 'store_true',
            'help': "Also in a group of Nova's, or one that others use.",
        },
    }

    def take_action(
        self, parsed_args: Any
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """See cliff."""
        planned = _plan(parsed_args)
        driver = self.app.servicegroup.driver
        check_driver(self.app.conf.servicegroup_driver, driver)
        _check_interval(self.app.conf.report_interval)
        for line in limits.check(driver, planned, limits.machine()):
            self.warn(line)
        summary = self._simulate(planned, parsed_args.force)
        return tuple(summary), tuple(summary.values())

    def _simulate(self, planned: plan.Plan, force: bool) -> dict[str, Any]:
        progress = run.Progress(self.app.stderr)
        simulation = run.Simulation(
            self.app.servicegroup, planned, progress, force
        )
        try:
            with _command.handled([signal.SIGTERM], _end):
                summary = simulation.run()
        finally:
            progress.close()
        for line in simulation.failures():
            self.warn(line)
        self.status = 0 if simulation.passed else FAILED
        return summary


def _plan(args: argparse.Namespace) -> plan.Plan:
    if not args.group:
        raise exceptions.ArgumentError('--group', '', 'a name')
    processes = args.processes or plan.processes_for(
        args.members, len(os.sched_getaffinity(0))
    )
    return plan.make(args.group, args.members, processes, args.kill, args.hold)


def check_driver(name: str, driver: Any) -> None:
    """Check that members of the driver can be hollow.

    :raises ConfigurationError: they need a record, or the driver has no
        servers
    """
    if driver.needs_record:
        raise exceptions.ConfigurationError(
            exceptions.DRIVER_OPTION,
            name,
            'zk, etcd, mc, or another driver whose members need no record in '
            "Nova's services table",
        )
    startup.require_servers(name, driver)


def _check_interval(seconds: int) -> None:
    """Check that services join with this report_interval.

    :raises ConfigurationError: they do not
    """
    if seconds <= 0:
        raise exceptions.ConfigurationError(
            '[DEFAULT] report_interval',
            seconds,
            '1 or more; with 0, services do not join',
        )


def _end(signum: int, frame: object) -> None:
    """End this process through its cleanup, as SIGINT does."""
    raise SystemExit(128 + signum)
