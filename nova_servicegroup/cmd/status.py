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
import sys
import warnings

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from nova_servicegroup import _nova_install
from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions
from nova_servicegroup import nova_adapter

_HOOKS = ('castellan.drivers', 'oslo.policy.rule_checks')


class Checks(upgradecheck.UpgradeCommands):
    """The checks, from the nearest to the farthest."""

    def __init__(self, conf: cfg.ConfigOpts, nova_error: str | None) -> None:
        """Take the configuration, and why Nova could not be imported."""
        self._conf = conf
        self._nova_error = nova_error

    def hook(self) -> upgradecheck.Result:
        """Check that Nova, as installed here, uses our drivers."""
        if self._nova_error is not None:
            return _failure(
                f'{sys.executable} cannot import Nova: {self._nova_error}. '
                'Install nova-servicegroup into the environment in which '
                'Nova runs, and run the command that is installed there.'
            )
        problems = nova_adapter.installation.problems()
        if problems:
            return _failure(_hook_advice(problems))
        names = ', '.join(api.installed_drivers())
        return _success(f'Nova {_nova_install.nova_version()} accepts {names}')

    def chosen(self) -> upgradecheck.Result:
        """Check that the chosen driver is one that is installed."""
        try:
            name = self._conf.servicegroup_driver
        except ValueError as error:
            return _failure(str(error))
        installed = api.installed_drivers()
        if name not in installed:
            return _failure(str(exceptions.DriverNotFound(name, installed)))
        files = ', '.join(self._conf.config_file or ())
        if not files:
            return _warning(
                f'servicegroup_driver is {name}, but no nova.conf was '
                'found: name it with --config-file.'
            )
        return _success(f'servicegroup_driver is {name}. Read: {files}')

    def loads(self) -> upgradecheck.Result:
        """Check that the driver's library is there and its options hold."""
        return self._guarded(self._load)

    def _load(self) -> upgradecheck.Result:
        return _success(
            f'{type(self._api.driver).__name__} is ready: its libraries '
            'are installed and its options can be used.'
        )

    def backend(self) -> upgradecheck.Result:
        """Check that the backend answers."""
        if self._guarded(self._load).code != upgradecheck.Code.SUCCESS:
            return _failure('Not asked, since the driver does not load.')
        return self._guarded(self._ask)

    def _ask(self) -> upgradecheck.Result:
        if self._lacks_database():
            return _warning(
                'Not asked: [database] connection is not set here, so the '
                'services of this host report through nova-conductor. Run '
                'this check where nova-conductor runs.'
            )
        return _success(self._hide(self._api.driver.check()))

    def _lacks_database(self) -> bool:
        return (
            self._nova_error is None
            and self._conf.servicegroup_driver == 'db'
            and not nova_adapter.open_database(self._conf)
        )

    @functools.cached_property
    def _api(self) -> api.API:
        return nova_adapter.make_api(self._conf)

    def _guarded(
        self, check: Callable[[], upgradecheck.Result]
    ) -> upgradecheck.Result:
        try:
            return check()
        except NotImplementedError:
            return _warning('The driver offers no such check.')
        except exceptions.ServiceGroupError as error:
            return _failure(self._hide(str(error)))
        except Exception as error:
            return _failure(self._hide(f'{type(error).__name__}: {error}'))

    def _hide(self, text: str) -> str:
        return _startup.hide(self._conf, text)

    _upgrade_checks = (
        ('Hook in Nova', hook),
        ('Driver chosen', chosen),
        ('Driver loads', loads),
        ('Backend answers', backend),
    )


def _success(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, text)


def _warning(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.WARNING, text)


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)


def _hook_advice(problems: list[str]) -> str:
    missing = [
        group
        for group in _HOOKS
        if not metadata.entry_points(group=group, name='nova_servicegroup')
    ]
    if missing:
        return (
            f'The package is not registered under {" and ".join(missing)}. '
            'Install nova-servicegroup again with the pip of the '
            'environment in which Nova runs.'
        )
    return (
        f'Nova {_nova_install.nova_version()} runs with its own drivers '
        f'only: {"; ".join(problems)}. Install a release of '
        'nova-servicegroup that knows this Nova.'
    )


def main() -> int:
    """Run the command line; its exit status is the gravest result."""
    with warnings.catch_warnings():
        # Libraries warn about each other here, which is no result.
        warnings.simplefilter('ignore')
        conf, problem = _startup.load()
        checks = Checks(conf, problem)
        arguments = sys.argv[1:] or ['--help']
        return int(upgradecheck.main(conf, 'nova', checks, arguments))
