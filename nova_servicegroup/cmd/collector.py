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

"""nova-servicegroup-collector: a daemon that writes heartbeats of ``db``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslo_config import cfg

from nova_servicegroup.cmd import _daemon
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions

if TYPE_CHECKING:
    from nova_servicegroup.drivers.db import daemon

PROGRAM = 'nova-servicegroup-collector'


def main() -> int:
    """Run the collector until a signal ends it; return the exit status."""
    _daemon.quieten()
    unprepared = _daemon.prepare('collector')
    if unprepared is not None:
        return _daemon.fail(PROGRAM, unprepared)
    conf, _ = _startup.load()
    try:
        _daemon.configure(PROGRAM, conf)
        made = _make(conf)
    except (exceptions.ServiceGroupError, cfg.Error, ValueError) as error:
        return _daemon.refuse(PROGRAM, conf, error)
    _daemon.serve(conf, made)
    return 0


def _make(conf: cfg.ConfigOpts) -> daemon.Daemon:
    # This imports oslo.messaging, which needs the choice of threads.
    from nova_servicegroup.drivers.db import daemon

    return daemon.Daemon(conf)
