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

"""What the leading monitor publishes for the others, and its encoding."""

import dataclasses
import json
import time
from typing import Any
import zlib

from oslo_utils import uuidutils

from nova_servicegroup.drivers import views

#: A group and a host.
Key = tuple[str, str]

_FORMAT = 3

#: The states that a count can encode, in order.
_STATES = views.UP, views.DOWN, views.DEGRADED, views.DRAINING

#: The largest number in a publication.
MOST = 2**53
#: Bytes of a decompressed publication: enough for 100,000 hosts that are down.
_LARGEST = 4 * 1024 * 1024
#: Characters of a name: that of a host, with its cell if there are several.
_LONGEST = 1200


@dataclasses.dataclass(frozen=True)
class Publication:
    """What a leading monitor has sent so far.

    :ivar term: a UUID that each leader makes for itself
    :ivar lag: age of the oldest transition that is not sent yet, in seconds
    :ivar counts: for each member, the number of transitions that consumers
        know and the state after the last one, see after; 0 if left out
    """

    term: str
    lag: float
    counts: dict[Key, int]


def after(count: int, state: str) -> int:
    """Return the count of a member after one more transition."""
    return len(_STATES) * (number_of(count) + 1) + _STATES.index(state)


def number_of(count: int) -> int:
    """Return the number of transitions in a count."""
    return count // len(_STATES)


def state_of(count: int) -> str:
    """Return the state after the last transition; UP if there was none."""
    return _STATES[count % len(_STATES)]


def encode(sent: Publication | None) -> bytes:
    """Return a publication as compressed bytes that differ each time.

    :param sent: None if this monitor stands by
    """
    number = time.monotonic_ns()
    if sent is None:
        return b'standing by, %d' % number
    counts: dict[str, dict[str, int]] = {}
    for (group, host), count in sorted(sent.counts.items()):
        counts.setdefault(group, {})[host] = count
    text = json.dumps([_FORMAT, number, sent.term, sent.lag, counts])
    return zlib.compress(text.encode())


def decode(data: object) -> Publication | None:
    """Return a leader's publication, or None if data has another format.

    :param data: untrusted: whatever was written to the backend
    """
    if not isinstance(data, bytes):
        return None
    try:
        form, _, *fields = json.loads(_decompress(data))
        return _publication(*fields) if form == _FORMAT else None
    except (zlib.error, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _decompress(data: bytes) -> bytes:
    """Decompress untrusted data, up to a limit.

    :raises ValueError: it is truncated, or too long
    :raises zlib.error: it is not compressed
    """
    inflating = zlib.decompressobj()
    text = inflating.decompress(data, _LARGEST)
    if not inflating.eof:
        raise ValueError('too long, or not whole')
    return text


def _publication(term: Any, lag: Any, counts: Any) -> Publication:
    """Validate the decoded fields and return them as a publication.

    :raises ValueError: no monitor publishes that
    """
    found = {
        (group, host): count
        for group, hosts in counts.items()
        for host, count in hosts.items()
    }
    if (
        not uuidutils.is_uuid_like(term)
        or type(lag) not in (int, float)
        or any(type(each) is not int for each in found.values())
        or not all(0 <= each <= MOST for each in (lag, *found.values()))
        or not all(0 < len(name) <= _LONGEST for key in found for name in key)
    ):
        raise ValueError('not what a monitor publishes')
    return Publication(term, lag, found)
