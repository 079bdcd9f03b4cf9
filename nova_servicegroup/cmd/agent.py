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

"""nova-servicegroup-agent: a daemon that reports of its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.cmd import _daemon
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions

if TYPE_CHECKING:
    from nova_servicegroup.agent import daemon

PROGRAM = 'nova-servicegroup-agent'


def main() -> int:
    """Run the agent until a signal ends it; return the exit status."""
    _daemon.quieten()
    unprepared = _daemon.prepare('agent')
    if unprepared is not None:
        return _daemon.fail(PROGRAM, unprepared)
    conf, problem = _startup.load()
    try:
        made = _make(conf, _daemon.start(PROGRAM, conf, problem))
    except (exceptions.ServiceGroupError, cfg.Error, ValueError) as error:
        return _daemon.refuse(PROGRAM, conf, error)
    _daemon.serve(conf, made, is_started=made.is_guarded)
    return 0


def _make(conf: cfg.ConfigOpts, servicegroup: api.API) -> daemon.Agent:
    # This import needs the choice of threads, which has been made by now.
    from nova_servicegroup.agent import daemon

    return daemon.Agent(conf, servicegroup)
