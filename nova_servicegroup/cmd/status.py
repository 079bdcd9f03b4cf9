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
import dataclasses
import functools
import sys
import warnings

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup.doctor import backend
from nova_servicegroup.doctor import driver
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import hook
from nova_servicegroup.drivers import base
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup.plugin import database
from nova_servicegroup.plugin import driver as nova_driver
from nova_servicegroup.plugin import hook as plugin_hook


class Checks(upgradecheck.UpgradeCommands):
    """The checks, from the nearest to the farthest."""

    def __init__(self, conf: cfg.ConfigOpts, nova_error: str | None) -> None:
        """Take the configuration, and why Nova could not be imported."""
        self._conf = conf
        self._nova_error = nova_error

    def hook(self) -> upgradecheck.Result:
        """Check that Nova, as installed here, uses our drivers."""
        return _result(
            hook.judge(self._nova_error, plugin_hook.INSTALLATION.problems)
        )

    def chosen(self) -> upgradecheck.Result:
        """Check that the chosen driver is one that is installed."""
        return _result(driver.chosen(self._conf))

    def loads(self) -> upgradecheck.Result:
        """Check that the driver's library is there and its options hold."""
        return self._guarded(self._load)

    def _load(self) -> upgradecheck.Result:
        found = driver.loads(lambda: self._api)
        return _result(dataclasses.replace(found, what=self._hide(found.what)))

    def backend(self) -> upgradecheck.Result:
        """Check that the backend answers."""
        if self._guarded(self._load).code != upgradecheck.Code.SUCCESS:
            return _failure('Not asked, since the driver does not load.')
        return self._guarded(self._ask)

    def _ask(self) -> upgradecheck.Result:
        if self._lacks_database():
            return _warning(backend.NO_DATABASE)
        name, asked = self._conf.servicegroup_driver, self._api.driver
        _startup.require_servers(name, asked)
        return _success(self._hide(asked.check()))

    def _lacks_database(self) -> bool:
        return (
            self._nova_error is None
            and self._api.driver.backend == base.DATABASE
            and not database.open_database(self._conf)
        )

    @functools.cached_property
    def _api(self) -> api.API:
        return nova_driver.make_api(self._conf)

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
        return escaping.line(_startup.hide(self._conf, text))

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


def _result(found: finding.Finding) -> upgradecheck.Result:
    text = ' '.join(filter(None, (found.what, found.advice)))
    make = {
        finding.Level.OK: _success,
        finding.Level.WARNING: _warning,
        finding.Level.ERROR: _failure,
    }
    return make[found.level](text)


def main() -> int:
    """Run the command line; its exit status is the gravest result."""
    with warnings.catch_warnings():
        # Libraries warn about each other here, which is no result.
        warnings.simplefilter('ignore')
        conf, problem = _startup.load()
        checks = Checks(conf, problem)
        arguments = sys.argv[1:] or ['--help']
        return int(upgradecheck.main(conf, 'nova', checks, arguments))
