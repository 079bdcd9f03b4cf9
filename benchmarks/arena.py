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

"""Fleets of several contestants side by side, each with its reader."""

from collections.abc import Sequence
import contextlib
import time

from benchmarks import contestants
from benchmarks import fleet as fleet_
from benchmarks import nova
from benchmarks import reader as reader_

_SETTLE = 120.0


class Arena(contextlib.ExitStack):
    """Fleets on the same servers, with all of their hosts up.

    :param shares: the number of hosts of each process of a fleet
    :param interval: seconds between two passes of a reader
    :param places: the servers' addresses for the fleets; default: the stage's
    :param prefix: put before the command line of a fleet
    :param asking: put before the command line of a reader
    :ivar fleets: by the names of the contestants
    :ivar readers: by the names of the contestants
    """

    def __init__(
        self,
        stage: nova.Stage,
        drivers: Sequence[contestants.Contestant],
        shares: Sequence[int],
        interval: float,
        places: contestants.Places | None = None,
        prefix: Sequence[str] = (),
        asking: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.drivers = {each.name: each for each in drivers}
        self._stage = stage
        self._shares = list(shares)
        self._interval = interval
        self._asking = asking
        self.fleets: dict[str, fleet_.Fleet] = {}
        self.readers: dict[str, reader_.Reader] = {}
        try:
            self._start(places or stage.places, prefix)
            self._settle()
        except BaseException:
            self.close()
            raise

    def _start(
        self, places: contestants.Places, prefix: Sequence[str]
    ) -> None:
        size = sum(self._shares)
        in_cell = [each for each in self.drivers.values() if each.in_cell]
        others = [each for each in self.drivers.values() if not each.in_cell]
        if in_cell:
            # Records of others, whose heartbeats would be late, make our
            # driver hold the hosts that are missing.
            self._stage.cell.hosts(size * len(in_cell))
        for number, each in enumerate([*in_cell, *others]):
            self._add(each, number * size, places, prefix)

    def _add(
        self,
        contestant: contestants.Contestant,
        first: int,
        places: contestants.Places,
        prefix: Sequence[str],
    ) -> None:
        directory, slug = self._stage.directory, contestant.slug
        compute, controller = (
            (self._stage.cell.compute, self._stage.cell.controller)
            if contestant.in_cell
            else ({}, {})
        )
        joins = directory / f'fleet-{slug}.conf'
        asks = directory / f'reader-{slug}.conf'
        contestant.write(joins, compute, places)
        contestant.write(asks, controller, self._stage.places)
        self.fleets[contestant.name] = self.enter_context(
            fleet_.Fleet(contestant, joins, first, self._shares, prefix)
        )
        self.readers[contestant.name] = self.enter_context(
            reader_.Reader(
                contestant,
                asks,
                sum(self._shares),
                first,
                self._interval,
                self._asking,
            )
        )

    def _settle(self) -> None:
        """Wait until all hosts have sent their first heartbeats and are up."""
        for fleet in self.fleets.values():
            fleet.wait()
        longest = max(each.interval for each in self.drivers.values())
        time.sleep(fleet_.FIRST_BEAT + longest)
        for reader in self.readers.values():
            reader.settle(_SETTLE)
        self.count()

    def count(self) -> dict[str, dict]:
        """Return the counts of each reader since the last call."""
        return {name: reader.count() for name, reader in self.readers.items()}
