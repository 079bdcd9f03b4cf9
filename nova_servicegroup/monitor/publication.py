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


"""What a leading monitor tells the others."""

import dataclasses
import json
import zlib

#: A group and a host.
Key = tuple[str, str]

_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Publication:
    """What was announced.

    :ivar term: greater than that of every leader before
    :ivar beat: of this publication
    :ivar count: how many transitions this leader has announced
    :ivar lag: seconds since the oldest was seen that is yet to be announced
    :ivar recent: the last of those announced, in order, with their states
    :ivar down: who is down as far as consumers were told
    """

    term: int
    beat: int
    count: int
    lag: float
    recent: tuple[tuple[Key, str], ...]
    down: frozenset[Key]

    def recent_since(
        self, before: 'Publication | None'
    ) -> tuple[tuple[Key, str], ...]:
        """Return what was announced after another one of this leader."""
        if before is None:
            return self.recent
        news = min(self.count - before.count, len(self.recent))
        return self.recent[len(self.recent) - news :]


def encode(said: Publication) -> bytes:
    """Return a publication in few bytes."""
    down: dict[str, list[str]] = {}
    for group, host in sorted(said.down):
        down.setdefault(group, []).append(host)
    text = json.dumps(
        [
            _FORMAT,
            said.term,
            said.beat,
            said.count,
            said.lag,
            [[*key, state] for key, state in said.recent],
            down,
        ]
    )
    return zlib.compress(text.encode())


def decode(data: object) -> Publication | None:
    """Return what was encoded; None: nothing that this release can read."""
    if not isinstance(data, bytes):
        return None
    try:
        form, term, beat, count, lag, recent, down = json.loads(
            zlib.decompress(data)
        )
        if form != _FORMAT:
            return None
        return Publication(
            int(term),
            int(beat),
            int(count),
            float(lag),
            tuple(((group, host), state) for group, host, state in recent),
            frozenset(
                (group, host)
                for group, hosts in down.items()
                for host in hosts
            ),
        )
    except (zlib.error, ValueError, TypeError, AttributeError):
        return None
