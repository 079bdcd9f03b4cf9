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

"""Timing of contestants that take turns, so that all suffer the same noise."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import gc
import statistics
import time
from typing import Any
from unittest import mock


#: The contestants that others are compared with.
BASES = ('stock db', 'stock mc', 'floor')


class Times:
    """The seconds that each contestant took in each round."""

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
        """Return the ratio of the first deciles of two contestants."""
        return self.undisturbed(name) / self.undisturbed(base)


def take_turns(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> Times:
    """Run each contestant once in each round, after one to warm up.

    :param prepare: what each calls before its turn, which is not timed
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
    """Collect garbage now, and not during the turns."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def operations(call: Callable[[], object]) -> int:
    """Return how many requests to backends a call sends."""
    from kazoo import client as kazoo
    from pymemcache.client import base as pymemcache
    import redis.connection
    import requests
    import sqlalchemy.engine

    with contextlib.ExitStack() as patches:
        counted = [
            patches.enter_context(_counting(target, name))
            for target, name in (
                (kazoo.KazooClient, '_call'),
                (pymemcache.Client, '_fetch_cmd'),
                (pymemcache.Client, '_store_cmd'),
                (redis.connection.AbstractConnection, 'send_packed_command'),
                (requests.Session, 'send'),
                (sqlalchemy.engine.Connection, '_execute_context'),
            )
        ]
        call()
    return sum(each.call_count for each in counted)


def _counting(target: type, name: str) -> Any:
    """Replace a method by a mock that calls it."""
    original = getattr(target, name)
    return mock.patch.object(target, name, autospec=True, side_effect=original)
