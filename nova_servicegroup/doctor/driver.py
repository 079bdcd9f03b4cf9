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

"""Checks whether the configured driver is installed and can be used."""

from collections.abc import Callable

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.doctor import finding
from nova_servicegroup import exceptions

_WHY = 'No service of Nova starts with a driver that cannot be used.'


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    found = [judge_choice(subject.conf)]
    if found[0].level < finding.Level.ERROR:
        found.append(judge_loading(lambda: subject.api(subject.driver)))
    return found


def judge_choice(conf: cfg.ConfigOpts) -> finding.Finding:
    """Judge whether the configured driver is installed."""
    try:
        name = conf.servicegroup_driver
    except ValueError as error:
        return finding.error(
            str(error), _WHY, 'Correct [DEFAULT] servicegroup_driver.'
        )
    installed = api.installed_drivers()
    if name not in installed:
        return finding.error(
            str(exceptions.DriverNotFound(name, installed)),
            _WHY,
            'Correct the name, or install the package that has this driver.',
        )
    files = ', '.join(conf.config_file or ())
    if not files:
        return finding.warning(
            f'servicegroup_driver is {name}, but no nova.conf was found.',
            "These are the options' defaults, most likely not those of Nova.",
            'Name it with --config-file.',
        )
    return finding.ok(f'servicegroup_driver is {name}. Read: {files}')


def judge_loading(load: Callable[[], api.API]) -> finding.Finding:
    """Judge whether the driver's library and options can be used.

    :param load: see finding.Subject.api
    """
    try:
        made = load()
    except exceptions.ServiceGroupError as error:
        return finding.error(str(error), _WHY, _advice(error))
    return finding.ok(
        f'{type(made.driver).__name__} is ready: its libraries are installed '
        'and its options can be used.'
    )


def _advice(error: exceptions.ServiceGroupError) -> str:
    if isinstance(error, exceptions.LibraryMissing):
        return 'Install it with the pip of the environment of Nova.'
    if isinstance(error, exceptions.LibraryUnusable):
        return (
            'Install versions that fit together, such as those of the upper '
            "constraints of Nova's release."
        )
    return 'Correct the option in nova.conf.'
