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

"""The watchdog of this host, as the options want it, and its threads."""

from collections.abc import Callable
import functools
import time

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup.agent import guarding
from nova_servicegroup.agent import ports
from nova_servicegroup.agent import watchdog
from nova_servicegroup.drivers import base
from nova_servicegroup import fencing
from nova_servicegroup import membership
from nova_servicegroup import process
from nova_servicegroup import services
from nova_servicegroup.watch import deaths

LOG = logging.getLogger(__name__)

#: Seconds between two steps of arming, or of stopping.
_INTERVAL = 0.5
#: Seconds that a step may take, and the readings that confirm it.
_GIVE_UP = 5.0

_GROUP = 'watchdog'


class Memberships:
    """See ports.Memberships.

    :param claim: the service that joins the group of claims
    :param group: its name
    """

    def __init__(
        self, driver: base.Driver, claim: services.Service, group: str
    ) -> None:
        self._driver = driver
        self._claim = claim
        self._group = group

    def agent_proof(self) -> float | None:
        """See ports.Memberships."""
        return self._driver.proof(self._claim.host, services.HOST_GROUP)

    def claim_proof(self) -> float | None:
        """See ports.Memberships."""
        return self._driver.proof(self._claim.host, self._group)

    def see_agent(self) -> ports.Seen | None:
        """See ports.Memberships."""
        return self._see(services.HOST_GROUP)

    def see_claim(self) -> ports.Seen | None:
        """See ports.Memberships."""
        return self._see(self._group)

    def _see(self, group: str) -> ports.Seen | None:
        now = time.monotonic()
        view = self._driver.view(group)
        if view.error is not None or view.asked is None:
            return None
        name = membership.canonical(self._claim.host)
        found = [
            each
            for each in view.members
            if membership.canonical(each.host) == name
        ]
        if any(each.held for each in found):
            return None
        return ports.Seen(
            any(each.up for each in found),
            any(map(deaths.stops, found)),
            now - view.asked,
        )

    def join(self) -> None:
        """See ports.Memberships."""
        self._driver.join(self._claim.host, self._group, self._claim)

    def leave(self) -> None:
        """See ports.Memberships."""
        self._driver.leave(self._claim.host, self._group)


class Claim:
    """The claim of this host that its watchdog resets it, and its guard.

    :param service: joins the group of claims
    :ivar withdrawn_within: seconds that it may take to be withdrawn
    """

    name = 'watchdog'

    def __init__(
        self,
        guard: guarding.Guard,
        device: watchdog.Device,
        service: services.Unrecorded,
        withdrawn_within: float,
    ) -> None:
        self._guard = guard
        self._device = device
        self._service = service
        self.withdrawn_within = withdrawn_within

    @property
    def is_confirmed(self) -> bool:
        """Whether the backend has confirmed it."""
        return self._guard.is_claimed

    def stuck(self) -> str | None:
        """See probes.Probed. A restart does not help."""
        return None

    def unready(self) -> str | None:
        """See probes.Probed."""
        if self._guard.ended:
            return 'the watchdog cannot be used, or is not any more'
        return None if self.is_confirmed else 'no claim is confirmed'

    @property
    def is_broken(self) -> bool:
        """Whether the watchdog would not reset the host."""
        return self._device.is_broken

    @property
    def is_lost(self) -> bool:
        """Whether it could not be withdrawn: then only a successor can."""
        return self._guard.state is guarding.State.LOST

    def start(self) -> None:
        """Start the guard's threads, which end with it."""
        guard = self._guard
        _start(guard, guard.poll, lambda: _INTERVAL, 'servicegroup-guard')
        _start(guard, guard.feed, guard.interval, 'servicegroup-watchdog')

    def withdraw(self) -> None:
        """Have the guard end, in bounded time."""
        self._guard.stop()
        end = time.monotonic() + self.withdrawn_within
        while not self._guard.ended and time.monotonic() < end:
            time.sleep(_INTERVAL)

    def stop(self) -> None:
        """Renew the claim no more."""
        self._service.stop()


def make(
    conf: cfg.ConfigOpts, driver: base.Driver, timers: services.Timers
) -> Claim | None:
    """Return the claim that the options want, or None.

    :param timers: renews it
    :raises ConfigurationError: the driver cannot be used with a watchdog
    """
    if not fencing.is_wanted(conf):
        return None
    options = conf.servicegroup_agent
    service = services.Unrecorded(
        str(conf.host), _GROUP, float(conf.report_interval), timers
    )
    device = watchdog.Device(options.watchdog, options.watchdog_timeout)
    stop = fencing.stop_within(driver)
    guard = guarding.Guard(
        device,
        watchdog.Lease(fencing.lease(conf, driver)),
        Memberships(driver, service, fencing.group(conf, driver)),
        ports.Times(options.watchdog_timeout, stop),
    )
    return Claim(guard, device, service, stop + _GIVE_UP)


def _start(
    guard: guarding.Guard,
    step: Callable[[], None],
    interval: Callable[[], float],
    name: str,
) -> None:
    process.start_thread(functools.partial(_run, guard, step, interval), name)


def _run(
    guard: guarding.Guard,
    step: Callable[[], None],
    interval: Callable[[], float],
) -> None:
    while not guard.ended:
        try:
            step()
        except Exception:
            LOG.exception('Unexpected error of the watchdog')
        time.sleep(interval())
