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

"""Breaks one rule of watchdogs at a time."""

from collections.abc import Callable, Iterator
import contextlib
import math
import types
from unittest import mock

from nova_servicegroup.agent import guarding
from nova_servicegroup.agent import watchdog
from nova_servicegroup.watch import claims


def _within(expiry: float, timeout: int) -> int:
    return math.ceil(expiry + 2 * timeout)


@contextlib.contextmanager
def mutated(name: str | None) -> Iterator[Callable[[float, int], int]]:
    """Break a rule; yield how observers compute the time to the reset."""
    broken = {
        'the lease is not checked': (
            watchdog.Lease,
            'covers',
            lambda self, proof: proof is not None,
        ),
        'a stopping agent counts': (claims, '_stops', lambda agent: False),
        'blindness is not noticed': (
            claims.Claims,
            '_forget',
            lambda self: None,
        ),
        'a stop is not waited for': (
            guarding,
            'fencing',
            types.SimpleNamespace(NOTICE=0.0),
        ),
    }
    within = _within
    if name == 'no time for the watchdog':
        within = lambda expiry, timeout: math.ceil(expiry)  # noqa: E731
    if name not in broken:
        yield within
        return
    owner, attribute, wrong = broken[name]
    with mock.patch.object(owner, attribute, wrong):
        yield within
