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
from nova_servicegroup.watch import deaths
from nova_servicegroup.watch import inventory

#: A group and a host.
Key = tuple[str, str]

_FORMAT = 5

#: What a count can encode, in order: states, and down with its evidence.
_NEWS = (
    views.UP,
    views.DOWN,
    views.DEGRADED,
    views.DRAINING,
    *(
        f'{views.DOWN}: {each}'
        for each in deaths.EVIDENCE
        if deaths.telling(each)
    ),
)
#: The most changes of the evidence between two of the state.
_DETAILS = 1024

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
        know and what the last one reported, see after; 0 if left out
    """

    term: str
    lag: float
    counts: dict[Key, int]


def verdict(state: str) -> str | None:
    """Return the state that consumers know, for one of inventory.STATES.

    None: held, which leaves the state as it was.
    """
    if state in (views.DOWN, inventory.FORCED_DOWN):
        return views.DOWN
    return None if state == views.HELD else state


def news(state: str, evidence: str | None) -> str:
    """Return what consumers learn: a state, or down with its evidence."""
    found = f'{state}: {evidence}'
    return found if found in _NEWS else state


def parts(news: str) -> tuple[str, str | None]:
    """Return the state that consumers learn, and its evidence, if any."""
    state, _, evidence = news.partition(': ')
    return state, evidence or None


def after(count: int, news: str) -> int:
    """Return the count of a member after one more transition.

    :param news: what it reports, see news
    """
    serial = serial_of(count) + 1
    if parts(news)[0] != parts(news_of(count))[0]:
        serial = (states_of(count) + 1) * _DETAILS
    return len(_NEWS) * serial + _NEWS.index(news)


def serial_of(count: int) -> int:
    """Return a number that is greater after each transition."""
    return count // len(_NEWS)


def states_of(count: int) -> int:
    """Return the number of changes of the state in a count."""
    return serial_of(count) // _DETAILS


def news_of(count: int) -> str:
    """Return what the last transition reported; UP if there was none."""
    return _NEWS[count % len(_NEWS)]


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
