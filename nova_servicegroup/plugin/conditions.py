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

"""Which of Nova's services publish conditions, and which act on them."""

import functools
import logging

from nova_servicegroup import api
from nova_servicegroup.checks import loading
from nova_servicegroup.checks import runner
from nova_servicegroup.plugin import service as service_

LOG = logging.getLogger(__name__)

#: The service that is checked, and the one that passes over unfit members.
_CHECKED, _CHOOSER = 'nova-compute', 'nova-scheduler'


def joined(
    made: api.API, member: str, group: str, service: service_.NovaService
) -> None:
    """Set up conditions for a service that has joined. Never raises."""
    try:
        if service.binary == _CHOOSER:
            group_options = made.driver.conf.servicegroup
            made.driver.passes_over_unfit = group_options.pass_over_unfit
        elif service.binary == _CHECKED:
            _check(made, member, group, service)
    except Exception:
        LOG.exception('%s does not report its condition', service.binary)


def _check(
    made: api.API, member: str, group: str, service: service_.NovaService
) -> None:
    """Check the service from now on, if a driver shows the result."""
    drivers = (made.driver, *made.secondary.drivers.values())
    if not any(each.shows_marks for each in drivers):
        return
    conf = made.driver.conf
    running = runner.Runner(
        loading.load(conf, service),
        conf.servicegroup.check_interval,
        functools.partial(made.mark, member, group),
    )
    service.before_stop(running.drain)
    service.tg.add_timer_args(
        runner.STEP, running.tick, stop_on_exception=False
    )
