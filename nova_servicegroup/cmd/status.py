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


"""nova-servicegroup-status: is this package at work in this environment?"""

from collections.abc import Callable
import functools
from importlib import metadata
import os
import re
import sys
import warnings

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_utils import strutils

from nova_servicegroup import _nova_install
from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup import nova_adapter
from nova_servicegroup import opts

_HOOKS = ('castellan.drivers', 'oslo.policy.rule_checks')
_REINSTALL = (
    'Install nova-servicegroup again with the pip of the environment in '
    'which Nova runs.')

Result = upgradecheck.Result
Code = upgradecheck.Code


class Checks(upgradecheck.UpgradeCommands):
    """The checks, from the nearest to the farthest."""

    def __init__(self, conf: cfg.ConfigOpts, nova_error: str | None) -> None:
        """Take the configuration, and why Nova could not be imported."""
        self._conf = conf
        self._nova_error = nova_error

    def hook(self) -> Result:
        """Check that Nova, as installed here, uses our drivers."""
        if self._nova_error is not None:
            return Result(Code.FAILURE, (
                f'{sys.executable} cannot import Nova: {self._nova_error}. '
                'Install nova-servicegroup into the environment in which '
                'Nova runs, and run the command that is installed there.'))
        problems = nova_adapter.installation.problems()
        if problems:
            return Result(Code.FAILURE, self._hook_advice(problems))
        return Result(Code.SUCCESS, (
            f'Nova {_nova_install.nova_version()} accepts '
            + ', '.join(api.installed_drivers()) + '.'))

    def _hook_advice(self, problems: list[str]) -> str:
        missing = [group for group in _HOOKS if not metadata.entry_points(
            group=group, name='nova_servicegroup')]
        if missing:
            return ('The package is not registered under '
                    + ' and '.join(missing) + f'. {_REINSTALL}')
        return (
            f'Nova {_nova_install.nova_version()} runs with its own drivers '
            f'only: {"; ".join(problems)}. Install a release of '
            'nova-servicegroup that knows this Nova.')

    def chosen(self) -> Result:
        """Check that the chosen driver is one that is installed."""
        try:
            name = self._conf.servicegroup_driver
        except ValueError as error:
            return Result(Code.FAILURE, f'{error}.')
        if name not in api.installed_drivers():
            return self._failure(
                exceptions.DriverNotFound(name, api.installed_drivers()))
        files = ', '.join(self._conf.config_file or ())
        if not files:
            return Result(Code.WARNING, (
                f'servicegroup_driver is {name}, but no nova.conf was found: '
                'name it with --config-file.'))
        return Result(
            Code.SUCCESS, f'servicegroup_driver is {name}. Read: {files}.')

    def loads(self) -> Result:
        """Check that the driver's library is there and its options hold."""
        return self._guarded(self._load)

    def _load(self) -> Result:
        return Result(Code.SUCCESS, (
            f'{type(self._api.driver).__name__} is ready: its libraries are '
            'installed and its options can be used.'))

    def backend(self) -> Result:
        """Check that the backend answers."""
        return self._guarded(self._ask)

    def _ask(self) -> Result:
        try:
            driver = self._api.driver
        except Exception:
            return Result(
                Code.FAILURE, 'Not asked, since the driver does not load.')
        if not self._nova_error and not self._has_database():
            return Result(Code.WARNING, (
                'Not asked: [database] connection is not set here, so the '
                'services of this host report through nova-conductor. Run '
                'this check where nova-conductor runs.'))
        return Result(Code.SUCCESS, self._hide(driver.check()))

    def _has_database(self) -> bool:
        return (self._conf.servicegroup_driver != 'db'
                or nova_adapter.open_database(self._conf))

    @functools.cached_property
    def _api(self) -> api.API:
        return nova_adapter.make_api(self._conf)

    def _guarded(self, check: Callable[[], Result]) -> Result:
        try:
            return check()
        except NotImplementedError:
            return Result(Code.WARNING, 'The driver offers no such check.')
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: Exception) -> Result:
        text = str(error)
        if not isinstance(error, exceptions.ServiceGroupError):
            text = f'{type(error).__name__}: {text}'
        return Result(Code.FAILURE, self._hide(text))

    def _hide(self, text: str) -> str:
        """Return text without anything that must stay secret."""
        for secret in _secrets(self._conf):
            text = text.replace(secret, '***')
        text = re.sub(r'//[^/@\s]*@', '//***@', text)
        return str(strutils.mask_password(text))

    _upgrade_checks = (
        ('Hook in Nova', hook),
        ('Driver chosen', chosen),
        ('Driver loads', loads),
        ('Backend answers', backend),
    )


def _secrets(conf: cfg.ConfigOpts) -> list[str]:
    values = [
        conf[group][option.dest] if group else conf[option.dest]
        for group, options in opts.list_opts()
        for option in options if option.secret]
    return [value for value in values if value]


def _configuration() -> tuple[cfg.ConfigOpts, str | None]:
    # The checks start no service of Nova, so nothing needs to be patched.
    os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', 'true')
    try:
        conf, problem = nova_adapter.load_nova(), None
    except ImportError as error:
        conf, problem = cfg.ConfigOpts(), str(error)
    opts.register_opts(conf)
    return conf, problem


def main() -> int:
    """Run the command line; its exit status is the gravest result."""
    with warnings.catch_warnings():
        # Libraries warn about each other here, which is no result.
        warnings.simplefilter('ignore')
        conf, problem = _configuration()
        return int(upgradecheck.main(
            conf, 'nova', Checks(conf, problem), sys.argv[1:] or ['--help']))
