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

"""The section about service groups in a Guru Meditation Report.

A signal asks for the report, perhaps because the process hangs. So the section
is written from memory: it asks no server, and takes no lock.
"""

from collections.abc import Callable, Iterable
import datetime
from importlib import metadata
import sys
from typing import Any

from oslo_config import cfg
from oslo_utils import importutils

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup import heartbeat
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup.opts import secrets

TITLE = 'Service groups'
_PACKAGE = 'nova-servicegroup'

#: The most hosts that are named for each state.
_MOST = 50


class Version:
    """The version of a program of ours, as reports ask for it."""

    def __init__(self, program: str) -> None:
        self._program = program

    def vendor_string(self) -> str:
        """Return the name of the package."""
        return _PACKAGE

    def product_string(self) -> str:
        """Return the name of the program."""
        return self._program

    def version_string_with_package(self) -> str:
        """Return the version of the package."""
        return metadata.version(_PACKAGE)


def set_up(program: str, conf: cfg.ConfigOpts) -> None:
    """Make a program of ours write reports at SIGUSR2, as Nova's do.

    Does nothing without oslo.reports.
    """
    reports = importutils.try_import('oslo_reports.guru_meditation_report')
    if reports is None:
        return
    from oslo_reports import opts as report_opts

    report_opts.set_defaults(conf)
    version = Version(program)
    reports.TextGuruMeditation.setup_autorun(version, program, conf=conf)


def register(apis: Callable[[], Iterable[api.API]]) -> None:
    """Add the section to the reports of this process, if it makes any.

    Does nothing if it has been added.

    :param apis: returns those in use
    """
    reports: Any = sys.modules.get('oslo_reports.guru_meditation_report')
    if reports is None:
        return
    report = reports.TextGuruMeditation
    sections = getattr(report, 'persistent_sections', ())
    if TITLE not in (title for title, _ in sections):
        report.register_section(TITLE, lambda: _model(apis))


def _model(apis: Callable[[], Iterable[api.API]]) -> Any:
    # Only a process that makes reports has the library.
    from oslo_reports.models import with_default_views

    return with_default_views.ModelWithDefaultViews(data=_describe_all(apis))


def _describe_all(apis: Callable[[], Iterable[api.API]]) -> dict[str, Any]:
    """Describe each driver. Never raises, which would end the report."""
    described: dict[str, Any] = {}
    try:
        for each in list(apis()):
            name = each.driver.conf.servicegroup_driver
            described[name] = describe(each.driver)
            for other, driver in each.secondary.drivers.items():
                described[f'{other} (also reported to)'] = describe(driver)
    except Exception as error:
        described['incomplete'] = escaping.line(repr(error))
    return described or {'drivers': 'none is in use'}


def describe(driver: base.Driver) -> dict[str, Any]:
    """Return what a driver remembers: dicts of strings and numbers."""
    return {
        'servers': ', '.join(driver.servers or ()) or 'not known',
        'hold_time': opts.hold_time(driver.conf),
        'memberships': {
            escaping.printable(f'{member} of {group}'): _heartbeats(
                each.counts
            )
            for (member, group), each in driver.reporters().items()
        },
        'groups': {
            escaping.printable(name): _group(driver.conf, seen)
            for name, seen in driver.observers().items()
        },
    }


def _heartbeats(counts: heartbeat.Counts) -> dict[str, Any]:
    last = counts.last_success
    return {
        'heartbeats': counts.beats,
        'failed': counts.failures,
        'lost contact': counts.lost,
        'recovered': counts.recovered,
        'last success': 'none' if last is None else _date(last),
    }


def _group(conf: cfg.ConfigOpts, seen: observer.Observer) -> dict[str, Any]:
    members, age, error = seen.members, seen.age(), seen.error
    missing = {host: members.is_held(host) for host in list(members.missing)}
    unfit = list(seen.fitness.unfit)
    return {
        'confirmed': 'never' if age is None else f'{age:.1f} s ago',
        'error': 'none' if error is None else _error(conf, error),
        'present': len(members.present),
        'held': _names([host for host, held in missing.items() if held]),
        'down': _names([host for host, held in missing.items() if not held]),
        'unfit': _names(unfit),
        'reasons': _reasons(seen),
    }


def _error(conf: cfg.ConfigOpts, error: exceptions.BackendError) -> str:
    return secrets.hide(conf, exceptions.first_line(error))


def _reasons(seen: observer.Observer) -> dict[str, int]:
    """Return for how many held hosts each reason applies."""
    counted: dict[str, int] = {}
    for host in list(seen.members.missing):
        if seen.members.is_held(host):
            reason = seen.members.reason(host) or 'unknown'
            counted[reason] = counted.get(reason, 0) + 1
    return counted


def _names(hosts: list[str]) -> str:
    if not hosts:
        return '0'
    return f'{len(hosts)}: {escaping.names(hosts, _MOST)}'


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(
        seconds, datetime.timezone.utc
    ).isoformat(timespec='seconds')
