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

"""Starts tooz coordinators in the background, and stops them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
import functools
import threading
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests
from nova_servicegroup import process

LOG = logging.getLogger(__name__)


class Connected(NamedTuple):
    """A coordinator and the member id that only it has."""

    coordinator: Any
    member_id: bytes


class Factory(abc.ABC):
    """Makes and stops the coordinators of one backend.

    :ivar backend: the name of the backend in errors
    """

    backend: str

    def new_id(self, host: str) -> bytes:
        """Return a member id of a host for a new coordinator."""
        return naming.member_id(host)

    @abc.abstractmethod
    def make(self, member_id: bytes) -> Any:
        """Return a coordinator that has not been started."""

    def stop(self, coordinator: Any) -> None:
        """End the connection of a coordinator."""
        coordinator.stop()

    def failed(self) -> None:  # noqa: B027
        """Called in the background when a coordinator could not be started."""


class Failure(NamedTuple):
    """An error, and when it came by the monotonic clock."""

    error: BaseException
    at: float


class Start:
    """Starts one coordinator in a thread of its own, and stops it.

    :ivar connected: the coordinator, None until it is made, and its member id
    :ivar finished: set when the start has succeeded or failed
    :ivar failure: why the start failed, or None
    :ivar stopped: set when the coordinator is stopped
    """

    def __init__(
        self, factory: Factory, host: str, clock: Callable[[], float]
    ) -> None:
        self._factory = factory
        self._clock = clock
        self._stopping = threading.Lock()
        self._dropped = False
        self.connected = Connected(None, factory.new_id(host))
        self.finished = threading.Event()
        self.failure: Failure | None = None
        self.stopped = threading.Event()

    def begin(self, before: Sequence[Start]) -> None:
        """Start the coordinator. Without a thread for that, it has failed.

        :param before: what to stop first
        """
        try:
            process.start_thread(
                functools.partial(self._run, before), 'servicegroup-connect'
            )
        except RuntimeError as error:
            self._fail(error)

    def drop(self) -> None:
        """Stop the coordinator in the background, or once it has started."""
        self._dropped = True
        if not self.finished.is_set() or self.stopped.is_set():
            return
        try:
            process.start_thread(self.stop, 'servicegroup-disconnect')
        except RuntimeError:
            self.stop()

    def stop(self) -> None:
        """Stop the coordinator, unless that was done. Raises nothing."""
        with self._stopping:
            if self.stopped.is_set():
                return
            self._dropped = True
            try:
                if self.connected.coordinator is not None:
                    self._factory.stop(self.connected.coordinator)
            except Exception as error:
                LOG.debug('Stopping a coordinator: %s', requests.reason(error))
            # A coordinator whose start still hangs is stopped again after it.
            if self.finished.is_set():
                self.stopped.set()

    def _run(self, before: Sequence[Start]) -> None:
        for each in before:
            each.stop()
        try:
            member_id = self.connected.member_id
            coordinator = self._factory.make(member_id)
            self.connected = Connected(coordinator, member_id)
            coordinator.start()
        except Exception as error:
            self._fail(error)
        self.finished.set()
        dropped = self._dropped
        if dropped or self.failure is not None:
            self.stop()
        if self.failure is not None and not dropped:
            self._factory.failed()

    def _fail(self, error: BaseException) -> None:
        self.failure = Failure(error, self._clock())
        self.finished.set()
