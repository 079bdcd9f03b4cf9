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

from nova_servicegroup.agent import watchdog
from nova_servicegroup.agent import withdrawal
from nova_servicegroup.drivers import views
from nova_servicegroup.tests.promises import watchdog_parts as parts
from nova_servicegroup.watch import claims


def _within(expiry: float, timeout: int) -> int:
    return math.ceil(expiry + 3 * timeout)


#: By the name of a broken rule.
_TIMES: dict[str, Callable[[float, int], int]] = {
    'no time for the watchdog': lambda expiry, timeout: math.ceil(expiry),
    'a killed agent feeds nothing': (
        lambda expiry, timeout: math.ceil(expiry + 2 * timeout)
    ),
}


def _update(
    self: claims.Claims,
    claimed: views.View,
    agents: views.View,
    begun: float,
    now: float,
) -> None:
    """Take over a reading as if it had begun when it has ended."""
    _UPDATE(self, claimed, agents, now, now)


_UPDATE = claims.Claims.update


@contextlib.contextmanager
def mutated(name: str | None) -> Iterator[Callable[[float, int], int]]:
    """Break a rule; yield how observers compute the time to the reset."""
    broken = {
        'the lease is not checked': (
            watchdog.Lease,
            'covers',
            lambda self, proof: proof is not None,
        ),
        'a stopping agent counts': (
            claims,
            'deaths',
            types.SimpleNamespace(stops=lambda agent: False),
        ),
        'blindness is not noticed': (
            claims.Claims,
            '_forget',
            lambda self: None,
        ),
        'a reading is as old as its end': (claims.Claims, 'update', _update),
        'a stop is cut short': (parts, '_stop_within', lambda backend: 15.0),
        'a stop is not waited for': (
            withdrawal,
            'fencing',
            types.SimpleNamespace(NOTICE=0.0),
        ),
    }
    within = _TIMES.get(name or '', _within)
    if name not in broken:
        yield within
        return
    owner, attribute, wrong = broken[name]
    with mock.patch.object(owner, attribute, wrong):
        yield within
