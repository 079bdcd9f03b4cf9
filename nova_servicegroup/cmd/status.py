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

"""nova-servicegroup-status: whether this package is at work here."""

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
from nova_servicegroup.opts import secrets
from nova_servicegroup.plugin import database
from nova_servicegroup.plugin import driver as nova_driver
from nova_servicegroup.plugin import hook as plugin_hook
from nova_servicegroup import startup


Code = upgradecheck.Code
Result = upgradecheck.Result

_CODES = {
    finding.Level.OK: Code.SUCCESS,
    finding.Level.WARNING: Code.WARNING,
    finding.Level.ERROR: Code.FAILURE,
}


class Checks(upgradecheck.UpgradeCommands):
    """The checks, from the installation to the backend.

    :param nova_error: why Nova could not be imported, or None
    """

    def __init__(self, conf: cfg.ConfigOpts, nova_error: str | None) -> None:
        self._conf = conf
        self._nova_error = nova_error

    def hook(self) -> Result:
        """Check that the Nova installed here uses our drivers."""
        return _result(
            hook.judge(self._nova_error, plugin_hook.INSTALLATION.problems)
        )

    def chosen(self) -> Result:
        """Check that the chosen driver is installed."""
        return _result(driver.judge_choice(self._conf))

    def loads(self) -> Result:
        """Check that the driver's library and options can be used."""
        return self._guarded(self._load)

    def _load(self) -> Result:
        found = driver.judge_loading(lambda: self._api)
        return _result(dataclasses.replace(found, what=self._hide(found.what)))

    def backend(self) -> Result:
        """Check that the backend answers."""
        if self._guarded(self._load).code != Code.SUCCESS:
            return Result(
                Code.FAILURE, 'Not asked, since the driver does not load.'
            )
        return self._guarded(self._check_backend)

    def _check_backend(self) -> Result:
        if self._lacks_database():
            return Result(Code.WARNING, backend.NO_DATABASE)
        name, loaded = self._conf.servicegroup_driver, self._api.driver
        startup.require_servers(name, loaded)
        return Result(Code.SUCCESS, self._hide(loaded.check()))

    def _lacks_database(self) -> bool:
        return (
            self._nova_error is None
            and self._api.driver.backend == base.DATABASE
            and not database.open_database(self._conf)
        )

    @functools.cached_property
    def _api(self) -> api.API:
        return nova_driver.make_api(self._conf)

    def _guarded(self, check: Callable[[], Result]) -> Result:
        """Return the result of a check, or of the exception that it raises."""
        try:
            return check()
        except NotImplementedError:
            return Result(Code.WARNING, 'The driver offers no such check.')
        except exceptions.ServiceGroupError as error:
            text = str(error)
        except Exception as error:
            text = f'{type(error).__name__}: {error}'
        return Result(Code.FAILURE, self._hide(text))

    def _hide(self, text: str) -> str:
        return escaping.line(secrets.hide(self._conf, text))

    _upgrade_checks = (
        ('Hook in Nova', hook),
        ('Driver chosen', chosen),
        ('Driver loads', loads),
        ('Backend answers', backend),
    )


def _result(found: finding.Finding) -> Result:
    text = ' '.join(filter(None, (found.what, found.advice)))
    return Result(_CODES[found.level], text)


def main() -> int:
    """Run the command line and return the gravest result, as exit status."""
    with warnings.catch_warnings():
        # Warnings of libraries about each other are no result of a check.
        warnings.simplefilter('ignore')
        conf, problem = _startup.load()
        checks = Checks(conf, problem)
        arguments = sys.argv[1:] or ['--help']
        return int(upgradecheck.main(conf, 'nova', checks, arguments))
