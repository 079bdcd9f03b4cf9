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


"""Taking turns, so that a noisy machine is unfair to nobody."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import gc
import statistics
import time
from unittest import mock


class Times:
    """What each contestant took in each round, in seconds."""

    def __init__(self, rounds: Mapping[str, list[float]]) -> None:
        self._rounds = rounds

    def median(self, name: str) -> float:
        """Return the median of a contestant."""
        return statistics.median(self._rounds[name])

    def undisturbed(self, name: str) -> float:
        """Return the first decile of a contestant.

        What disturbs a turn on a busy machine only makes it longer.
        """
        return statistics.quantiles(
            self._rounds[name], n=10, method='inclusive'
        )[0]

    def ratio(self, name: str, base: str) -> float:
        """Return the ratio of two contestants' undisturbed turns."""
        return self.undisturbed(name) / self.undisturbed(base)


def take_turns(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> Times:
    """Run each contestant once in each round, after one to warm up.

    :param prepare: what each does before, in time that does not count
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    with _no_garbage():
        for number in range(rounds + 1):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                if prepare is not None:
                    prepare[name]()
                seconds = _seconds(contestants[name])
                if number:
                    times[name].append(seconds)
    return Times(times)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Collect garbage now, and not in anybody's turn."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Operations:
    """Round trips to a backend."""

    def __init__(self) -> None:
        self.count = 0


@contextlib.contextmanager
def operations() -> Iterator[Operations]:
    """Count the requests that this process sends meanwhile."""
    from kazoo import client as kazoo
    from pymemcache.client import base as pymemcache
    import redis.connection
    import requests
    import sqlalchemy.engine

    counted = Operations()

    def counting(target: type, name: str) -> contextlib.AbstractContextManager:
        original = getattr(target, name)

        def call(*args, **kwargs):
            counted.count += 1
            return original(*args, **kwargs)

        return mock.patch.object(target, name, call)

    with (
        counting(kazoo.KazooClient, '_call'),
        counting(pymemcache.Client, '_fetch_cmd'),
        counting(pymemcache.Client, '_store_cmd'),
        counting(redis.connection.AbstractConnection, 'send_packed_command'),
        counting(requests.Session, 'send'),
        counting(sqlalchemy.engine.Connection, '_execute_context'),
    ):
        yield counted
