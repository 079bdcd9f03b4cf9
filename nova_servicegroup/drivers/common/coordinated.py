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


"""The base class of the drivers whose backend keeps the memberships."""

import abc
from collections.abc import Callable, Iterable
import datetime
import time
from typing import Protocol, TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import dates
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers.common import registering
from nova_servicegroup.drivers import updates
from nova_servicegroup.drivers import views
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import pace
from nova_servicegroup import process
from nova_servicegroup import services

if TYPE_CHECKING:
    from nova_servicegroup.drivers.common import peers

LOG = logging.getLogger(__name__)


class Registration(registering.Registration, Protocol):
    """One member of one group, for as long as its service runs."""

    def start(self, service: services.Service) -> None:
        """Try to join, and renew the membership on the service's timer."""


class GroupReader(observer.Source):
    """Reads one group for its observer.

    :param settle_time: see membership.Membership
    :param patience: see base.observe
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        name: str,
        settle_time: float,
        patience: pace.Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.observer = base.observe(
            conf, name, self, settle_time, patience, clock
        )

    @abc.abstractmethod
    def view(self, detailed: views.Detailed) -> views.View:
        """See base.Driver."""


class Backend(Protocol):
    """The connections with which one process reads all groups."""

    def reader(self, group: str) -> GroupReader:
        """Return a new reader of a group."""

    def check(self) -> str:
        """See base.Driver."""

    def end(self, joined: services.Joined) -> None:
        """See base.Driver."""

    def close(self) -> None:
        """See base.Driver."""


class Settings(Protocol):
    """The settings of a driver, from its options.

    :ivar addresses: of the servers; see base.Driver
    """

    addresses: list[str]

    @property
    def found_within(self) -> float:
        """See base.Driver."""

    @property
    def kept_for(self) -> float:
        """See base.Driver."""

    def peer_group(self, name: str, host: str) -> 'peers.PeerGroup | None':
        """See base.Driver."""


class Reading(dict[str, GroupReader]):
    """The readers of one process by group, made when asked for.

    :ivar backend: what they share
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend

    def __missing__(self, group: str) -> GroupReader:
        return self.setdefault(group, self.backend.reader(group))


class CoordinatedDriver(registering.RegisteringDriver):
    """A driver whose members are registered, and whose groups are read."""

    shows_marks = True
    _settings: Settings

    def __init__(self, conf: cfg.ConfigOpts, settings: Settings) -> None:
        super().__init__(conf)
        self._settings = settings
        self.servers = settings.addresses
        self.found_within = settings.found_within
        self.kept_for = settings.kept_for
        self._reading = process.PerProcess(lambda: Reading(self._connect()))
        # The observers that were used last, perhaps by a parent process:
        # finding those of this process takes a system call.
        self._latest: dict[str, observer.Observer] = {}
        self._dates = dates.Dates()

    @abc.abstractmethod
    def _register(self, host: str, group: str) -> Registration:
        """Return the registration of a host in a group."""

    @abc.abstractmethod
    def _connect(self) -> Backend:
        """Return what reads all groups; opens no connection yet."""

    def join(self, member: str, group: str, service: services.Service) -> None:
        """See base.Driver."""
        if not service.report_interval:
            LOG.warning(
                '%s does not join group %s: report_interval is 0.',
                member,
                group,
            )
            return
        self.leave(member, group)
        registration = self._register(member, group)
        self._registrations.get()[member, group] = registration
        registration.start(service)

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """See base.Driver."""
        try:
            group = service_ref['topic'] or base.group_of(service_ref)
            host = service_ref['host']
            seen = self._latest.get(group)
            known = None if seen is None else seen.recall(host)
            if known is not None:
                return known
            seen = self._observer(group)
            return seen.is_up(host) and not seen.fitness.is_passed_over(host)
        except Exception:
            return base.presume_up(service_ref)

    def _observer(self, group: str) -> observer.Observer:
        seen = self._latest[group] = self._reading.get()[group].observer
        seen.fitness.passes_over = self.passes_over_unfit
        return seen

    def observers(self) -> dict[str, observer.Observer]:
        """See base.Driver."""
        readers = list((self._reading.peek() or {}).items())
        return {group: each.observer for group, each in readers}

    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """See base.Driver."""
        group = base.group_of(service_ref)
        seen = self._latest.get(group)
        if seen is None or seen.is_due():
            seen = self._observer(group)
            seen.refresh()
        last_up = self._dates.date(seen.last_up(service_ref['host']))
        return updates.later(last_up, service_ref)

    def expect(self, group: str, hosts: Iterable[str]) -> None:
        """See base.Driver."""
        reader = self._reading.get()[group]
        for host in hosts:
            reader.request(membership.canonical(host))

    def view(self, group: str, detailed: views.Detailed = False) -> views.View:
        """See base.Driver."""
        return self._reading.get()[group].view(detailed)

    def peer_group(self, name: str, host: str) -> 'peers.PeerGroup | None':
        """See base.Driver."""
        return self._settings.peer_group(name, host)

    def end(self, joined: services.Joined, ago: float = 0.0) -> None:
        """See base.Driver."""
        self._reading.get().backend.end(joined)

    def check(self) -> str:
        """See base.Driver."""
        return self._reading.get().backend.check()

    def close(self) -> None:
        """See base.Driver."""
        super().close()
        reading = self._reading.peek()
        if reading is not None:
            for each in list(reading.values()):
                each.observer.close()
            reading.backend.close()
