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

"""nova-servicegroup-monitor: notifications of members that go down or up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.cmd import _daemon
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions

if TYPE_CHECKING:
    from nova_servicegroup.monitor import daemon

PROGRAM = 'nova-servicegroup-monitor'


def main() -> int:
    """Run the monitor until a signal ends it; return the exit status."""
    _daemon.quieten()
    unprepared = _daemon.prepare('monitor')
    if unprepared is not None:
        return _daemon.fail(PROGRAM, unprepared)
    conf, problem = _startup.load()
    try:
        monitor = _make(conf, _daemon.start(PROGRAM, conf, problem))
        monitor.serve()
    except OSError as error:
        return _daemon.fail(PROGRAM, _unserved(conf, error))
    except (exceptions.ServiceGroupError, cfg.Error, ValueError) as error:
        return _daemon.refuse(PROGRAM, conf, error)
    _daemon.serve(conf, monitor)
    return 0


def _make(conf: cfg.ConfigOpts, servicegroup: api.API) -> daemon.Monitor:
    # This imports oslo.messaging, which needs the choice of threads.
    from nova_servicegroup.monitor import daemon

    return daemon.Monitor(conf, servicegroup)


def _unserved(conf: cfg.ConfigOpts, error: OSError) -> str:
    options = conf.servicegroup_monitor
    return (
        f'nothing can be served on [servicegroup_monitor] health_listen = '
        f'{options.health_listen}, health_port = {options.health_port}: '
        f'{error.strerror or error}'
    )
