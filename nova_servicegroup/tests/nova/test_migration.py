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


"""A real Nova goes from driver to driver, and no host is ever seen down."""

from collections.abc import Iterable
import dataclasses
import threading
import time
from typing import Any

from nova_servicegroup.drivers.db import ages
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.nova import eye
from nova_servicegroup.tests.nova import test_stack

#: Longer than a restart takes (seconds), with all else that is restarted.
SESSION_TIMEOUT = 30 if base.LONG else 14
SERVICE_DOWN_TIME = SESSION_TIMEOUT + 3
#: So long a membership lasts, at least, after the process has ended.
LASTS = SESSION_TIMEOUT * 2 / 3
REPORT_INTERVAL = test_stack.REPORT_INTERVAL
#: The time in which all heartbeats of db come again.
SETTLED = ages.Limits(
    REPORT_INTERVAL, SERVICE_DOWN_TIME, test_stack.HOLD_TIME
).settle_time
#: From SIGKILL to down, at the latest.
DOWN_WITHIN = {
    # It does not count what made most of them late before.
    'db': SERVICE_DOWN_TIME + 4 * REPORT_INTERVAL,
    'zk': SESSION_TIMEOUT + 0.75 + 1.0,
    'mc': SERVICE_DOWN_TIME + 1.0 + 1.0,
    'etcd': SESSION_TIMEOUT + 1.0 + 1.0,
    'redis': SESSION_TIMEOUT + 1.0 + 1.0,
}
#: What a busy machine adds to a bound.
NOISE = 2.0
VICTIM = 'compute3'
#: What is started anew at once.
TOGETHER = [
    ('conductor', 'scheduler', 'api'),
    ('compute1', 'compute2', 'compute3'),
]
ALONE = [(name,) for names in TOGETHER for name in names]

Stage = tuple[str, str]

#: By what is asked, and where is reported to, too. Nobody is stopped alone:
#: what ends one way begins the next.
SHORT_WALK: list[Stage] = [
    ('db', 'zk'),
    ('zk', 'db'),
    ('zk', 'mc'),
    ('mc', 'zk'),
    ('mc', 'db'),
    ('db', 'mc'),
]
#: Where a host is killed on the short walk: all drivers find it. There the
#: next step must wait anyway, until the sessions of old processes are over.
KILLED: list[Stage] = [('zk', 'db'), ('mc', 'zk')]
LONG_WALK: list[Stage] = [
    ('db', 'zk'),
    ('zk', 'db'),
    ('zk', ''),
    ('zk', 'mc'),
    ('mc', 'zk'),
    ('mc', ''),
    ('mc', 'db'),
    ('db', 'mc'),
    ('db', ''),
]
#: By way of etcd and redis to ZooKeeper.
BY_ETCD_AND_REDIS: list[Stage] = [
    ('db', 'etcd'),
    ('etcd', 'db'),
    ('etcd', 'redis'),
    ('redis', 'etcd'),
    ('redis', 'zk'),
    ('zk', 'redis'),
]


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen.

    :ivar at: when, by time.monotonic()
    :ivar driver: by which; empty: by that of the API
    """

    at: float
    driver: str
    down: frozenset[str]


class Poller:
    """Asks the API for all services, from a thread of its own."""

    def __init__(self, stack: Any, interval: float = 0.2) -> None:
        self.looks: list[Look] = []
        self.refused: list[Any] = []
        self._stack = stack
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._look()
            except OSError:
                # One that is just restarted has no verdict.
                continue

    def _look(self) -> None:
        status, body, _ = self._stack.request(
            'GET', '/os-services', timeout=10
        )
        if status != 200:
            self.refused.append((time.monotonic(), status, body))
            return
        down = frozenset(
            each['host'] for each in body['services'] if each['state'] != 'up'
        )
        self.looks.append(Look(time.monotonic(), '', down))


class Eye:
    """See nova_servicegroup.tests.nova.eye."""

    def __init__(self, stack: Any, drivers: Iterable[str]) -> None:
        self.drivers = frozenset(drivers)
        self.process = stack.python('eye', eye.__name__, *self.drivers)
        self.process.log.unlink(missing_ok=True)

    def looks(self) -> list[Look]:
        if not self.process.log.exists():
            return []
        text = self.process.log.read_text().rpartition('\n')[0]
        return [
            Look(float(words[0]), words[1], frozenset(words[2:]))
            for line in text.splitlines()
            if len(words := line.split()) > 1 and words[1] in self.drivers
        ]

    def ask(self, own: str, other: str) -> list[str]:
        """Return what the doctor finds."""
        question = self.process.directory / eye.QUESTION
        found = self.process.directory / eye.ANSWER
        found.unlink(missing_ok=True)
        # It must not find one that is half written.
        written = question.with_suffix('.new')
        written.write_text(f'{own} {other}')
        written.rename(question)
        process.wait_until(
            found.exists, test_stack.SOON, 0.1, 'the doctor answers'
        )
        return found.read_text().splitlines()


class MigrationTest(base.TestCase):
    """A walk that begins with ``db``."""

    stack: Any
    walk = LONG_WALK if base.LONG else SHORT_WALK

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stack = test_stack.running('db', 'threading', **settings())

    def setUp(self) -> None:
        super().setUp()
        drivers = {'db', *(own for own, _ in self.walk)}
        self.poller, self.eye = Poller(self.stack), Eye(self.stack, drivers)
        #: From when to when all report to a driver, and when it is dead.
        self.reported: dict[str, list[list[float]]] = {}
        self.dead: list[list[float]] = []
        #: From when to when a restart outlasted memberships: no verdict.
        self.too_slow: list[tuple[float, float]] = []
        self.addCleanup(self.poller.stop)
        self.addCleanup(self.eye.process.kill)

    def test_from_driver_to_driver(self) -> None:
        self.eye.process.start()
        self.poller.start()
        process.wait_until(
            lambda: self.eye.looks(), test_stack.SOON, what='the eye looks'
        )
        self.begin('db')
        before: Stage = ('db', '')
        for stage in self.walk:
            self.step(before, stage)
            before = stage
        self.judge()

    def step(self, before: Stage, stage: Stage) -> None:
        """Go on to a stage, when the doctor says that it is safe."""
        own, other = stage
        begun = time.monotonic()
        if before[0] != own:
            self.wait_for_doctor(*before, f'safe to switch readers to {own}.')
        elif before[1]:
            self.wait_for_doctor(*before, 'reads from it. It is safe to stop')
        for name in before:
            if name and name not in stage:
                self.end(name)
        self.roll(own, other, switch=before[0] != own)
        self.wait_seen(*filter(None, stage))
        for name in filter(None, stage):
            self.begin(name)
        self.measured(f'{before} to {stage}', time.monotonic() - begun)
        if base.LONG or stage in KILLED:
            # Not before its heartbeats have begun again. With db, those of all
            # were late meanwhile, and who is late until all have settled is
            # held.
            time.sleep(SETTLED if 'db' in stage else REPORT_INTERVAL)
            self.kill(*filter(None, stage))

    def wait_for_doctor(self, own: str, other: str, answer: str) -> None:
        """Wait until the doctor sees that the next step is safe."""
        said: list[str] = []

        def safe() -> bool:
            said[:] = self.eye.ask(own, other)
            return any(
                answer in line and 'not safe' not in line for line in said
            )

        try:
            process.wait_until(safe, test_stack.SOON, 0.2, answer)
        except TimeoutError as error:
            raise AssertionError('\n'.join(said)) from error

    def roll(self, own: str, other: str, switch: bool) -> None:
        """Start anew for a stage; nova-api only where it switches."""
        self.stack.change(driver=own, **settings(other))
        for number, together in enumerate(ALONE if base.LONG else TOGETHER):
            names = [each for each in together if switch or each != 'api']
            if names:
                self.restart(names, clean=base.LONG and bool(number % 2))

    def restart(self, names: list[str], clean: bool) -> None:
        begun = time.monotonic()
        taken = self.stack.roll(*names, clean=clean)
        self.measured(f'restart of {", ".join(names)}', taken)
        if taken > LASTS:
            # Its heartbeats in the database come later still.
            late = time.monotonic() + 2 * REPORT_INTERVAL + NOISE
            self.too_slow.append((begun + LASTS, late))

    def wait_seen(self, *drivers: str) -> None:
        """Wait until every host is up by every driver, and by the API."""
        since = time.monotonic()

        def seen() -> bool:
            return (
                all(self.last(since, name) == frozenset() for name in drivers)
                and self.last(since) == frozenset()
            )

        process.wait_until(
            seen, test_stack.SOON, 0.2, f'all are up by {drivers}'
        )
        if self.dead and len(self.dead[-1]) == 1:
            self.dead[-1].append(time.monotonic())

    def last(self, since: float, driver: str = '') -> frozenset[str] | None:
        """Return who is down by the last look; None: there is none yet."""
        looks = self.eye.looks() if driver else self.poller.looks
        found = [
            each.down
            for each in looks[-20:]
            if each.at > since and each.driver == driver
        ]
        return found[-1] if found else None

    def begin(self, driver: str) -> None:
        spans = self.reported.setdefault(driver, [])
        if not spans or len(spans[-1]) == 2:
            spans.append([time.monotonic()])

    def end(self, driver: str) -> None:
        self.reported[driver][-1].append(time.monotonic())

    def kill(self, *drivers: str) -> None:
        """Kill a host, until the next roll; each driver finds it in time."""
        killed = time.monotonic()
        self.dead.append([killed])
        self.stack.kill(VICTIM)
        bounds = {'': DOWN_WITHIN[drivers[0]]}
        bounds.update({name: DOWN_WITHIN[name] for name in drivers})
        for name, bound in bounds.items():
            process.wait_until(
                lambda name=name: VICTIM in (self.last(killed, name) or ()),
                killed + bound + NOISE - time.monotonic(),
                0.1,
                f'{VICTIM} is down by {name or "the API"}',
            )
            looks = self.eye.looks() if name else self.poller.looks
            at = next(
                each.at
                for each in looks
                if each.driver == name
                and each.at > killed
                and VICTIM in each.down
            )
            self.measured(f'killed: {name or drivers[0]}', at - killed)

    def judge(self) -> None:
        """Check that nobody was ever seen down who was not dead."""
        now = time.monotonic()
        seen = [*self.poller.looks]
        for each in self.eye.looks():
            for span in self.reported.get(each.driver, ()):
                if span[0] <= each.at <= [*span, now][1]:
                    seen.append(each)
        down = [(each, host) for each in seen for host in each.down]
        alive = [
            (each, host)
            for each, host in down
            if not self.is_dead(host, each.at)
        ]
        wrong = sorted(
            f'{each.at:.1f}: {host} is down by {each.driver or "the API"}'
            for each, host in alive
            if not self.is_excused(each.at)
        )
        self.assertEqual([], wrong)
        self.assertEqual([], self.poller.refused)
        self.measured(
            'restarts too slow, and seen',
            len(self.too_slow),
            len(alive),
            unit='',
        )
        self.measured('looks', len(self.poller.looks), len(seen), unit='')
        longest = max(
            after.at - before.at
            for before, after in zip(
                self.poller.looks, self.poller.looks[1:], strict=False
            )
        )
        self.measured('the API did not answer', longest)

    def is_dead(self, host: str, at: float) -> bool:
        return host == VICTIM and any(
            span[0] <= at <= [*span, at][1] for span in self.dead
        )

    def is_excused(self, at: float) -> bool:
        """Tell whether a restart outlasted a membership just then."""
        return any(begin <= at <= end for begin, end in self.too_slow)


@base.only_long
class EtcdRedisMigrationTest(MigrationTest):
    walk = BY_ETCD_AND_REDIS


def settings(further: str = '') -> dict[str, Any]:
    """Return the settings of a Nova that reports to a further driver."""
    return {
        'workers': 1,
        'service_down_time': SERVICE_DOWN_TIME,
        'overrides': {
            'zookeeper.session_timeout': str(SESSION_TIMEOUT),
            'etcd.ttl': str(SESSION_TIMEOUT),
            'redis.ttl': str(SESSION_TIMEOUT),
            'servicegroup.also_report_to': further,
            'servicegroup.leave_on_stop': 'false',
        },
    }
