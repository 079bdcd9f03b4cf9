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

"""Which of Nova's services say that they are of no use, and which heed it."""

from collections.abc import Iterable
import logging

from nova_servicegroup import api
from nova_servicegroup.checks import loading
from nova_servicegroup.checks import runner
from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup.plugin import service as service_

LOG = logging.getLogger(__name__)

#: Who is checked, and who passes over those that are of no use.
_CHECKED, _CHOOSER = 'nova-compute', 'nova-scheduler'


def joined(
    made: api.API, member: str, group: str, service: service_.NovaService
) -> None:
    """Have a service that has joined do its part. Raises nothing."""
    try:
        if service.binary == _CHOOSER:
            group_options = made.driver.conf.servicegroup
            made.driver.passes_over_unfit = group_options.pass_over_unfit
        elif service.binary == _CHECKED:
            _check(made, member, group, service)
    except Exception:
        LOG.exception('%s will not say when it is of no use', service.binary)


def _check(
    made: api.API, member: str, group: str, service: service_.NovaService
) -> None:
    """Check the service from now on, unless its drivers tell nobody."""
    drivers = [made.driver, *made.secondary.drivers.values()]
    marking = [each for each in drivers if _takes_marks(each)]
    if not marking:
        return
    conf = made.driver.conf
    running = runner.Runner(
        loading.load(conf, service),
        conf.servicegroup.check_interval,
        lambda said: _mark(marking, member, group, said),
    )
    service.before_stop(running.drain)
    service.tg.add_timer_args(
        runner.STEP, running.tick, stop_on_exception=False
    )


def _takes_marks(driver: base.Driver) -> bool:
    return type(driver).mark is not base.Driver.mark


def _mark(
    drivers: Iterable[base.Driver],
    member: str,
    group: str,
    said: condition.Condition | None,
) -> None:
    for driver in drivers:
        try:
            driver.mark(member, group, said)
        except Exception:
            LOG.exception('%s cannot be marked', member)
