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
import threading
from typing import Any, NamedTuple

from oslo_log import log as logging

from nova_servicegroup.drivers.common import naming
from nova_servicegroup.drivers.common import requests

LOG = logging.getLogger(__name__)


class Connected(NamedTuple):
    """A coordinator and the member id that only it has."""

    coordinator: Any
    member_id: bytes


class Factory(abc.ABC):
    """Makes coordinators, and stops them.

    :ivar backend: what to call the backend in errors
    """

    backend: str

    def new_id(self, host: str) -> bytes:
        """Return a member id of a host for a new coordinator."""
        return naming.member_id(host)

    @abc.abstractmethod
    def make(self, member_id: bytes) -> Any:
        """Return a coordinator that has not been started."""

    def stop(self, coordinator: Any) -> None:
        """End its connection."""
        coordinator.stop()

    def failed(self) -> None:  # noqa: B027
        """Take note, in the background, that one could not be started."""


class Failure(NamedTuple):
    """Why something failed, and when."""

    error: BaseException
    at: float


class Start:
    """Starts one coordinator in a thread of its own, and stops it.

    :ivar connected: the coordinator, once it is made
    :ivar finished: set when it is started, or cannot be
    :ivar failure: why it cannot be; None: it is
    :ivar ended: set when it is stopped
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
        self.ended = threading.Event()

    def begin(self, before: Sequence[Start]) -> None:
        """Start it. Where no thread can be had for that, it has failed.

        :param before: what to stop first
        """
        try:
            threading.Thread(
                target=self._run,
                args=[before],
                daemon=True,
                name='servicegroup-connect',
            ).start()
        except RuntimeError as error:
            self._fail(error)

    def drop(self) -> None:
        """Stop it in the background, also when it is yet to start."""
        self._dropped = True
        if not self.finished.is_set() or self.ended.is_set():
            return
        try:
            threading.Thread(
                target=self.stop, daemon=True, name='servicegroup-disconnect'
            ).start()
        except RuntimeError:
            self.stop()

    def stop(self) -> None:
        """Stop it, unless that was done. Raises nothing."""
        with self._stopping:
            if self.ended.is_set():
                return
            self._dropped = True
            try:
                if self.connected.coordinator is not None:
                    self._factory.stop(self.connected.coordinator)
            except Exception as error:
                LOG.debug('Stopping a coordinator: %s', requests.reason(error))
            # One whose start still hangs is stopped again when it ends.
            if self.finished.is_set():
                self.ended.set()

    def _run(self, before: Sequence[Start]) -> None:
        for each in before:
            each.stop()
        try:
            self._connect()
        except Exception as error:
            self._fail(error)
        self.finished.set()
        dropped = self._dropped
        if dropped or self.failure is not None:
            self.stop()
        if self.failure is not None and not dropped:
            self._factory.failed()

    def _connect(self) -> None:
        member_id = self.connected.member_id
        coordinator = self._factory.make(member_id)
        self.connected = Connected(coordinator, member_id)
        coordinator.start()

    def _fail(self, error: BaseException) -> None:
        self.failure = Failure(error, self._clock())
        self.finished.set()
