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

"""nova-servicegroup member list and show: who is alive, and why."""

import argparse
import time
from typing import Any

from cliff import lister
from cliff import show

from nova_servicegroup.cmd import _columns
from nova_servicegroup.cmd import _command
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.watch import inventory

GROUP = 'compute'
#: Seconds to wait for the first answer by default, and between two reads.
_WAIT = 5.0
_RETRY = 0.2
#: How often at most an inventory is read again for more details.
_ROUNDS = 10

_UNLISTED = (
    'Hosts that are down are not listed, and forced-down hosts are unknown'
)
_UNFORCED = 'Whether it is forced down is unknown'

_SHORT = ('Host', 'State', 'Since', 'Proof age', 'Processes')
_UNFIT = ('Condition', 'Condition since')
_EVIDENCE = ('Evidence',)
_LONG = (
    'Incarnations',
    'Machines',
    'Reads',
    'Registered',
    'Disabled',
    'Domain',
)

_WAIT_ARGUMENT: _command.Arguments = {
    '--wait': {
        'type': _command.seconds,
        'default': _WAIT,
        'metavar': 'SECONDS',
        'help': 'How long the backend has for its first answer. Default: '
        f'{_WAIT:g}.',
    }
}


class _GroupCommand(_command.Command):
    """A command that reads one group once."""

    def read(
        self,
        parsed_args: argparse.Namespace,
        host: str | None,
        detailed: views.Detailed,
    ) -> inventory.Inventory:
        """Read the inventory until it is sufficient, or the wait is over.

        :param host: the host whose verdict is wanted, or None for all hosts
        :param detailed: see views.Detailed
        """
        reader = inventory.Reader(self.app.servicegroup, parsed_args.group)
        end = time.monotonic() + parsed_args.wait
        found = reader.read(detailed)
        while not _is_sufficient(found, host) and time.monotonic() < end:
            time.sleep(_RETRY)
            found = reader.read(detailed)
        return _add_details(reader, found, detailed)

    def warn_of_gaps(
        self, found: inventory.Inventory, without_table: str
    ) -> None:
        """Report what could not be read, if anything, and why.

        :param without_table: what is unknown if Nova's services table cannot
            be read
        """
        view = found.view
        if view.error is not None:
            self.warn(_blind(found))
        elif found.unregistered is not None:
            self.warn(f'{without_table} ({found.unregistered}).')
        if view.ignored:
            self.warn(
                'Checks that fail on so many, or have begun to on some '
                'together, that these are not degraded for them: '
                f'{", ".join(view.ignored)}.'
            )


def _add_details(
    reader: inventory.Reader,
    found: inventory.Inventory,
    detailed: views.Detailed,
) -> inventory.Inventory:
    """Read an inventory again while a slow backend adds details to it."""
    before, missing = -1, _missing_details(found, detailed)
    for _ in range(_ROUNDS):
        if missing in (0, before):
            break
        found = reader.read(detailed)
        before, missing = missing, _missing_details(found, detailed)
    return found


def _missing_details(
    found: inventory.Inventory, detailed: views.Detailed
) -> int:
    """Return the number of wanted processes whose machine is unknown."""
    return sum(
        each.machine is None
        for member in found.view.members
        if views.is_wanted(detailed, member.host)
        for each in member.incarnations
    )


def _blind(found: inventory.Inventory) -> str:
    view = found.view
    if view.age is not None:
        return (
            f'Blind: seen {view.age:.1f} s ago for the last time; {view.error}'
        )
    presumed = ''
    if found.entries:
        presumed = '; registered services are presumed up'
    return f'The state of the members is unknown{presumed}: {view.error}'


def _is_sufficient(found: inventory.Inventory, host: str | None) -> bool:
    """Return whether to stop reading.

    :param host: stop when its verdict is known; without it, or if there is no
        such host, when the backend has answered or never will
    """
    entry = None if host is None else found.entries.get(host)
    if entry is not None:
        return _columns.is_known(entry)
    view = found.view
    return view.age is not None or isinstance(view.error, exceptions.NoAccess)


class List(_GroupCommand, lister.Lister):
    """List the members of a group, and the hosts that should be members.

    As this process sees them now, through the configured driver. Without
    access to Nova's services table, hosts that are down are not listed.
    """

    exit_statuses = (
        'Exit status: 0; 2 when the state of the members is unknown, or '
        'something is wrong with the configuration.'
    )
    arguments = {
        **_WAIT_ARGUMENT,
        'group': {
            'nargs': '?',
            'default': GROUP,
            'metavar': 'GROUP',
            'help': f'The topic of the services. Default: {GROUP}.',
        },
        '--state': {
            'action': 'append',
            'choices': inventory.STATES,
            'help': 'Only those in this state; may be repeated.',
        },
        '--long': {
            'action': 'store_true',
            'help': 'Also the processes and their machines, what Nova has on '
            'record, and the evidence for those that are down.',
        },
    }

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """See cliff."""
        found = self.read(parsed_args, None, parsed_args.long)
        self.warn_of_gaps(found, _UNLISTED)
        entries = found.entries.values()
        presumed = sum(not _columns.is_known(each) for each in entries)
        if found.view.age is None:
            self.status = _command.ERROR
        elif presumed:
            self.warn(
                f'{presumed} hosts are presumed up: the backend does not know '
                'yet which are missing.'
            )
        names = self._names(parsed_args.long)
        return names, [
            _columns.format_values(
                _columns.facts(each, found), names, parsed_args.formatter
            )
            for each in entries
            if each.state in (parsed_args.state or inventory.STATES)
        ]

    def _names(self, is_long: bool) -> tuple[str, ...]:
        names = _SHORT + (_LONG if is_long else ()) + _UNFIT
        # Without agents it is never more than unknown.
        shows_evidence = is_long or self.app.servicegroup.has_agents
        return names + (_EVIDENCE if shows_evidence else ())


class Show(_GroupCommand, show.ShowOne):
    """Show all that is known of one host, with the verdict and its reason."""

    exit_statuses = (
        'Exit status: 0 when it is up or held, 1 when it is down or forced '
        'down, 2 when its state is unknown.'
    )
    arguments = {
        **_WAIT_ARGUMENT,
        'host': {'metavar': 'HOST', 'help': 'The host.'},
        '--group': {
            'default': GROUP,
            'metavar': 'GROUP',
            'help': f'The topic of its service. Default: {GROUP}.',
        },
    }

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """See cliff.

        :raises ServiceGroupError: the host is unknown
        """
        host = parsed_args.host
        found = self.read(parsed_args, host, {host})
        entry = found.entries.get(host)
        if entry is None:
            raise exceptions.ServiceGroupError(_unknown(parsed_args, found))
        self.warn_of_gaps(found, _UNFORCED)
        self.status = 0 if entry.is_up else 1
        if not _columns.is_known(entry):
            self.status = _command.ERROR
        values = {
            **_columns.facts(entry, found),
            **_columns.more_facts(entry, found),
            'Driver': self.app.conf.servicegroup_driver,
        }
        names = tuple(values)
        return names, _columns.format_values(
            values, names, parsed_args.formatter
        )


def _unknown(asked: argparse.Namespace, found: inventory.Inventory) -> str:
    if found.view.error is not None:
        return _blind(found)
    text = f'{asked.host} is no member of group {asked.group}'
    if found.unregistered is None:
        return f'{text}, and Nova has no such service on record.'
    return f'{text}. It may be down, or unknown ({found.unregistered}).'
