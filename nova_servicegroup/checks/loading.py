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

"""Loading of the checks that ``[servicegroup] checks`` names."""

from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
import stevedore

from nova_servicegroup.checks import base
from nova_servicegroup import condition
from nova_servicegroup import exceptions

LOG = logging.getLogger(__name__)

NAMESPACE = 'nova_servicegroup.checks'


def load(conf: cfg.ConfigOpts, service: Any) -> dict[str, base.Check]:
    """Return the checks of a service, by name.

    A check that cannot be loaded is logged and left out. Raises nothing.
    """
    checks = {}
    for name in dict.fromkeys(conf.servicegroup.checks):
        try:
            checks[name] = find(name)(conf, service)
        except (Exception, SystemExit) as error:
            LOG.error(
                'The check %s stands aside: %s',
                name,
                exceptions.first_line(error),
            )
    return checks


def find(name: str) -> type[base.Check]:
    """Return the class of a check.

    :raises Exception: there is none, or several, it cannot be imported, or is
        no check
    """
    if not condition.is_reason(name):
        raise exceptions.ConfigurationError(
            '[servicegroup] checks', name, '1 to 32 of a-z, 0-9, _ and -'
        )
    manager: stevedore.DriverManager[base.Check] = stevedore.DriverManager(
        NAMESPACE, name, on_load_failure_callback=_raise
    )
    return _check(manager.driver)


def _check(found: Any) -> type[base.Check]:
    """Return what was found if it is a class that a runner can use.

    :raises TypeError: it is not
    """
    if not (isinstance(found, type) and issubclass(found, base.Check)):
        raise TypeError(f'{found!r} is not a subclass of {base.Check!r}')
    if not isinstance(found.least_interval, (int, float)):
        raise TypeError(f'{found!r}: least_interval is no number')
    return found


def _raise(manager: object, entrypoint: object, error: BaseException) -> None:
    raise error
