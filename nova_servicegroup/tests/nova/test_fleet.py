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


"""The db driver and stock Nova's, side by side in one fleet."""

from collections.abc import Iterable, Mapping
import pathlib
import signal
import time
from typing import Any

import fixtures

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import clock
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import test_stack

COMPUTES = ['compute1', 'compute2', 'compute3']
INTERVAL = test_stack.REPORT_INTERVAL
DOWN_TIME = test_stack.SERVICE_DOWN_TIME
HOLD_TIME = test_stack.HOLD_TIME
OURS = 'nova_servicegroup'
STOCK = 'nova.servicegroup.drivers.db'
#: As long as all that is below may be late on a busy machine (seconds).
NOISE = 3.0


class Reader:
    """A process that asks who is up; see nova_servicegroup.tests.nova.reader.

    :param stock: with Nova's own driver
    """

    def __init__(
        self,
        stack: Any,
        name: str,
        env: Mapping[str, str] | None = None,
        stock: bool = False,
    ) -> None:
        self.process = stack.python(
            name, 'nova_servicegroup.tests.nova.reader', stock=stock
        )
        self.process.env.update(env or {})

    def lines(self) -> list[list[str]]:
        """Return what it has printed, in words."""
        if not self.process.log.exists():
            return []
        text = self.process.log.read_text().rpartition('\n')[0]
        return [
            words
            for line in text.splitlines()
            if (words := line.split()) and _is_ours(words)
        ]

    def looks(self) -> list[tuple[float, set[str]]]:
        """Return when it looked, and who was down."""
        return [
            (float(words[0]), set(words[1:])) for words in self.lines()[1:]
        ]

    def driver(self) -> str:
        """Return the module of the driver, once it is known."""
        lines = self.lines()
        return lines[0][0] if lines else ''

    def down(self, since: float) -> set[str]:
        """Return who was ever down."""
        return {
            host for at, down in self.looks() for host in down if at > since
        }

    def down_at(self, host: str, since: float) -> float | None:
        """Return when a host was first down."""
        return next(
            (at for at, down in self.looks() if at > since and host in down),
            None,
        )


def _is_ours(words: list[str]) -> bool:
    return words[0].startswith((OURS, 'nova.')) or (
        words[0].replace('.', '').isdigit()
    )


class FleetTest(base.TestCase):
    mode = 'threading'
    #: What runs without this package.
    stock: tuple[str, ...] = ()
    stack: Any

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stack = test_stack.running('db', cls.mode, cls.stock)

    def run_options(self) -> dict[str, float]:
        return test_stack.run_options(self)

    def readers(self) -> tuple[Reader, Reader]:
        """Return our reader and a stock one, which see everybody up."""
        ours, stock = made = (
            Reader(self.stack, 'reader'),
            Reader(self.stack, 'stock-reader', stock=True),
        )
        for each in made:
            each.process.log.unlink(missing_ok=True)
            self.addCleanup(each.process.kill)
            each.process.start()
        process.wait_until(
            lambda: all(
                each.looks() and not each.looks()[-1][1] for each in made
            ),
            test_stack.SOON,
            what='the readers see everybody up',
        )
        self.assertTrue(ours.driver().startswith(OURS), ours.driver())
        self.assertEqual(STOCK, stock.driver())
        return made

    def sees_death(
        self, readers: Iterable[Reader], since: float, within: float
    ) -> None:
        """Kill a host; every reader finds it in time, and no other."""
        self.addCleanup(self.stack.start, 'compute1')
        killed = time.monotonic()
        self.stack.kill('compute1')
        for reader in readers:
            process.wait_until(
                lambda reader=reader: reader.down_at('compute1', killed),
                within,
            )
            taken = (reader.down_at('compute1', killed) or 0) - killed
            self.measured(f'kill to down by {reader.driver()}', taken)
            self.assertEqual({'compute1'}, reader.down(since))


class Mixed(FleetTest):
    """Whoever writes and whoever reads, all are up."""

    def check(self) -> None:
        readers = self.readers()
        begun = time.monotonic()
        time.sleep(DOWN_TIME + 2 * INTERVAL)
        for reader in readers:
            self.assertEqual(set(), reader.down(begun))
        # What makes most of them late for a moment does not count.
        self.sees_death(readers, begun, DOWN_TIME + 4 * INTERVAL + NOISE)


class StockComputesTest(Mixed):
    stock = ('compute1', 'compute2')

    def test_stock_computes_with_our_conductors(self) -> None:
        self.check()


class StockControllerTest(Mixed):
    stock = ('api', 'conductor', 'scheduler')

    @base.only_long
    def test_our_computes_with_stock_conductors(self) -> None:
        self.check()
        text = self.stack.log('compute2').read_text()
        self.assertIn(test_stack.NOT_COLLECTED, text)


class BadMinuteTest(FleetTest):
    """What makes stock Nova call live hosts dead."""

    stall = DOWN_TIME + 20.0

    def test_conductor_and_message_queue_stand_still(self) -> None:
        ours, stock = self.readers()
        self.addCleanup(self.stack.start, 'compute1')
        self.addCleanup(self._thaw)
        begun = time.monotonic()
        self.stack.kill('conductor', signal.SIGSTOP)
        self.stack.rabbitmq.freeze()
        time.sleep(INTERVAL)
        killed = time.monotonic()
        self.stack.kill('compute1')
        time.sleep(begun + self.stall - time.monotonic())
        self._thaw()
        self.assertEqual(set(COMPUTES), stock.down(begun))
        self.assertEqual(set(), ours.down(begun) - {'compute1'})
        process.wait_until(
            lambda: ours.down_at('compute1', killed),
            killed + DOWN_TIME + HOLD_TIME - time.monotonic(),
            what='the dead is down',
        )
        taken = (ours.down_at('compute1', killed) or 0) - killed
        self.measured('killed in a stall: down', taken)
        time.sleep(2 * INTERVAL)
        self.assertEqual({'compute1'}, ours.down(begun))
        process.wait_until(
            lambda: stock.looks()[-1][1] == {'compute1'},
            test_stack.SOON,
            what='the living report again',
        )

    def _thaw(self) -> None:
        self.stack.rabbitmq.thaw()
        self.stack.kill('conductor', signal.SIGCONT)

    @base.only_long
    def test_the_clock_of_a_reader_is_wrong(self) -> None:
        readers = [self._reader(offset) for offset in ('-5m', '+5m')]
        process.wait_until(
            lambda: all(each.looks() for each in readers), test_stack.SOON
        )
        time.sleep(DOWN_TIME + INTERVAL)
        for each in readers:
            self.assertEqual(set(), each.down(0.0))
        self.sees_death(readers, 0.0, DOWN_TIME + 2 * INTERVAL + NOISE)

    def _reader(self, offset: str) -> Reader:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        fake = clock.Clock(directory)
        fake.set(offset)
        self.assertGreater(abs(fake.read() - time.time()), 200)
        made = Reader(self.stack, f'reader{offset}', fake.env)
        self.addCleanup(made.process.kill)
        made.process.start()
        return made
