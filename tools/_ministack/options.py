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

"""The options that choose the shape of a stack."""

import argparse
import dataclasses

from nova_servicegroup.tests.ministack.masakari import config as masakari
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.ministack import settings as settings_

_NOVA = f'its series, by default {releases.DEFAULT}'
_MODE = 'how its services run, by default as usual for the release'
_MASAKARI = (
    'with keystone, Masakari and agents; its settings are ours by default'
)
_NUMBERS = {
    'computes': 'compute hosts',
    'workers': 'processes of API, conductor and scheduler each',
    'report_interval': 'seconds between reports',
    'service_down_time': 'seconds until a silent service is down',
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that settings.Settings has."""
    default = settings_.Settings()
    option = parser.add_argument
    option(
        '--driver',
        default=default.driver,
        help='zk, etcd, redis, mc, db or other',
    )
    option(
        '--nova', choices=releases.known(), default=default.nova, help=_NOVA
    )
    option('--mode', choices=settings_.MODES, help=_MODE)
    for name, words in _NUMBERS.items():
        value = getattr(default, name)
        flag = f'--{name.replace("_", "-")}'
        words = f'{words}, by default {value}'
        option(flag, type=_positive, default=value, metavar='N', help=words)
    option(
        '--masakari',
        nargs='?',
        const='ours',
        default=default.masakari,
        choices=masakari.choices(),
        help=_MASAKARI,
    )
    option(
        '--set',
        action='append',
        default=[],
        dest='overrides',
        type=_override,
        metavar='GROUP.KEY=VALUE',
        help='for nova.conf, for instance zookeeper.session_timeout=5',
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _override(text: str) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    if not (name and equals):
        raise argparse.ArgumentTypeError(f'{text} is not GROUP.KEY=VALUE')
    return name, value


def settings(arguments: argparse.Namespace) -> settings_.Settings:
    """Return what was chosen.

    :raises StepFailed: the release does not have that mode
    """
    fields = {field.name for field in dataclasses.fields(settings_.Settings)}
    given = {k: v for k, v in vars(arguments).items() if k in fields}
    given['mode'] = mode_of(arguments)
    return settings_.Settings(
        **{**given, 'overrides': dict(arguments.overrides)}
    )


def mode_of(arguments: argparse.Namespace) -> str:
    """Return the mode in which the services run.

    :raises StepFailed: the release does not have that mode
    """
    modes = releases.find(arguments.nova).modes
    mode = str(arguments.mode or modes[0])
    if mode not in modes:
        what = f'Nova {arguments.nova} has no mode {mode}'
        raise progress_.StepFailed(f'{what}, only {", ".join(modes)}')
    return mode
