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

"""The agent as a service of oslo.service."""

import contextlib
import functools
import os
import signal
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from nova_servicegroup.agent import claiming
from nova_servicegroup.agent import watching
from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import process
from nova_servicegroup import services
from nova_servicegroup.web import probes

LOG = logging.getLogger(__name__)

#: Seconds between two looks at the processes.
_INTERVAL = 0.2
#: Seconds without a look after which it hangs. A backend delays it for less.
_HANGS = 90.0
#: Seconds for which it reports that it stops, so that everybody reads that.
_NOTICE = 2.0
#: Seconds in which all drivers have what it reports, at most.
_MARKED = 5.0
#: Seconds that leaving and closing connections may take.
_STOP_TIMEOUT = 1.5


class Looks:
    """Whether the agent looks at the processes; see probes.Probed."""

    name = 'agent'

    def __init__(self) -> None:
        self._error: str | None = None
        self._last = time.monotonic()

    def note(self, error: str | None) -> None:
        """Note that it has looked, or why that has failed."""
        self._error, self._last = error, time.monotonic()

    def stuck(self) -> str | None:
        """See probes.Probed."""
        age = time.monotonic() - self._last
        if age < _HANGS:
            return None
        return f'it has not looked at the processes for {age:.0f} s'

    def unready(self) -> str | None:
        """See probes.Probed."""
        return self._error


class Agent(service.Service):  # type: ignore[misc]
    """Joins the group of hosts, and watches nova-compute.

    :raises ConfigurationError: an option cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts, servicegroup: api.API) -> None:
        super().__init__()
        _check(conf)
        self._api = servicegroup
        host = str(conf.host)
        self._service = services.Unrecorded(
            host,
            services.HOST_GROUP,
            float(conf.report_interval),
            self.tg,
        )
        self._watch = _watch(conf, host, servicegroup.driver)
        # Each has its own thread: one that hangs must delay no other.
        self._others = [
            _watch(conf, host, each, removes=False)
            for each in servicegroup.secondary.drivers.values()
        ]
        self._claim = claiming.make(conf, servicegroup.driver, self.tg)
        self._stopping = threading.Event()
        # What it reports last is that it stops.
        self._marking = threading.Lock()
        self._looks = Looks()

    def parts(self) -> list[probes.Probed]:
        """Return what systemd is told about."""
        return [self._looks, *([] if self._claim is None else [self._claim])]

    def is_guarded(self) -> bool:
        """Return whether the host is guarded, if it is to be."""
        return self._claim is None or self._claim.is_confirmed

    def start(self) -> None:
        """Join, and begin to watch."""
        super().start()
        process.start_thread(self._run, 'servicegroup-agent')
        for each in self._others:
            process.start_thread(
                functools.partial(self._follow, each),
                'servicegroup-agent-secondary',
            )

    def _follow(self, watch: watching.Watch) -> None:
        """End memberships with a secondary driver."""
        while not self._stopping.wait(_INTERVAL):
            # The main watch reports what is wrong with the directory.
            with contextlib.suppress(OSError):
                watch.poll()

    def _run(self) -> None:
        self._join()
        LOG.info(
            'The agent of %s watches the group %s.',
            self._service.host,
            services.WATCHED_GROUP,
        )
        shown: condition.Condition | None = None
        while not self._stopping.wait(_INTERVAL):
            self._poll()
            with self._marking:
                if self._stopping.is_set():
                    return
                if self._watch.condition != shown:
                    shown = self._watch.condition
                    self._mark(shown)
            if self._claim is not None and self._claim.is_broken:
                LOG.error(
                    'The watchdog cannot reset this host: the agent withdraws '
                    'its claim and ends.'
                )
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _join(self) -> None:
        if self._api.driver.needs_record:
            LOG.warning(
                'The driver %s has no group of hosts: this agent ends the '
                'memberships of processes that died, and reports nothing.',
                self._api.driver.conf.servicegroup_driver,
            )
            return
        self._api.join(self._service.host, services.HOST_GROUP, self._service)
        if self._claim is not None:
            self._claim.start()

    def _poll(self) -> None:
        try:
            self._watch.poll()
            self._looks.note(None)
        except OSError as error:
            if self._looks.unready() is None:
                LOG.error('[servicegroup] process_directory: %s', error)
            self._looks.note(str(error))
        except Exception:
            LOG.exception('Unexpected error while watching processes')

    def _mark(self, found: condition.Condition | None) -> None:
        self._api.mark(self._service.host, services.HOST_GROUP, found)

    def stop(self, graceful: bool = False) -> None:
        """Report that it stops, and leave, in bounded time."""
        self._stopping.set()
        leaving = threading.Thread(target=self._leave, daemon=True)
        leaving.start()
        wait = _MARKED + _NOTICE + _STOP_TIMEOUT
        if self._claim is not None:
            wait += self._claim.withdrawn_within
        leaving.join(wait)
        super().stop(graceful)

    def _leave(self) -> None:
        # Else it might seem to have died together with its host.
        stops = condition.Condition(
            condition.DRAINING, condition.STOPPING, time.time()
        )
        with self._marking:
            self._mark(stops)
        if self._claim is not None:
            self._claim.withdraw()
        time.sleep(_NOTICE)
        self._service.stop()
        if self._claim is not None:
            if self._claim.is_lost:
                # To close the connections would leave the claim.
                return
            self._claim.stop()
        self._api.close()


def _watch(
    conf: cfg.ConfigOpts, host: str, driver: base.Driver, removes: bool = True
) -> watching.Watch:
    """Return a watch that ends memberships with one driver."""
    return watching.Watch(
        conf.servicegroup.process_directory,
        host,
        services.WATCHED_GROUP,
        driver.end,
        driver.found_within or float(conf.service_down_time),
        removes=removes,
    )


def _check(conf: cfg.ConfigOpts) -> None:
    if not conf.servicegroup.process_directory:
        raise exceptions.ConfigurationError(
            '[servicegroup] process_directory',
            conf.servicegroup.process_directory,
            'a directory that nova-compute uses, too',
        )
    if not conf.report_interval:
        raise exceptions.ConfigurationError(
            'report_interval',
            conf.report_interval,
            'a number of seconds: with 0, no service reports',
        )
