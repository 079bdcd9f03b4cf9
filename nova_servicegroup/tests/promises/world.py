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

"""Runs one history with the reading side of a driver as it is."""

import abc
from collections.abc import Callable
import math
import random
import tempfile
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import background
from nova_servicegroup import opts
from nova_servicegroup import process as process_
from nova_servicegroup.tests.promises import crashes
from nova_servicegroup.tests.promises import kernel
from nova_servicegroup.tests.promises import oracle
from nova_servicegroup.tests.promises import plan
from nova_servicegroup.tests.promises import unfit

#: Seconds between two looks at the truth.
_SAMPLE = 0.25
#: So often is each host asked about in one moment, at most.
_REPEAT = 40
#: What Nova would never ask about; no error, all the same.
_ODD: tuple[dict[str, Any], ...] = (
    {},
    {'host': None, 'topic': 'compute', 'binary': 'nova-compute'},
    {'host': '', 'topic': 'compute', 'binary': 'nova-compute'},
    {'host': '\udc80', 'topic': 'compute', 'binary': 'nova-compute'},
    {'host': 5, 'topic': ['x'], 'binary': None},
)


class Backend(abc.ABC):
    """The servers of one driver, and the members that renew there."""

    bound: float
    rejoin: float

    def __init__(self, wanted: plan.Plan, chance: random.Random) -> None:
        self.plan = wanted
        self.chance = chance
        self.names = [f'host{number}' for number in range(wanted.hosts)]
        self.domains = {
            self.names[number]: domain
            for number, domain in wanted.domains.items()
        }

    @abc.abstractmethod
    def start(self, host: int) -> None:
        """Start the process of a host."""

    def go_on(self, host: int) -> None:
        """Let a process go on that has stood still."""
        self.start(host)

    @abc.abstractmethod
    def stop(self, host: int, cleanly: bool) -> None:
        """Stop it, or have it stand still."""

    @abc.abstractmethod
    def fault(self, event: plan.Event) -> None:
        """Have something happen, until it is over."""

    def ending(self, host: int) -> Callable[[], bool]:
        """Return what ends the membership that a stopped process has now.

        It returns whether there is nothing more to end.
        """
        raise NotImplementedError

    def say(self, host: int, mark: str | None) -> None:
        """Have a host have a mark from now on, or none."""
        raise NotImplementedError

    def marked(self) -> set[str]:
        """Return the hosts that have a mark now."""
        return set()

    @abc.abstractmethod
    def registered(self) -> set[str]:
        """Return the hosts that are registered now."""

    @abc.abstractmethod
    def is_well(self) -> bool:
        """Tell whether whatever is registered can be read."""

    def is_disturbed(self) -> bool:
        """Tell whether absence may be the backend's fault."""
        return not self.is_well()

    def cell_of(self, host: int) -> str | None:
        """Return the cell that has it; None: there are none."""
        return None

    def begin(self, conf: cfg.ConfigOpts) -> None:  # noqa: B027
        """Make the members; nobody works yet."""

    @abc.abstractmethod
    def prepare(
        self, driver: Any, asker: plan.Asker, known: oracle.Process
    ) -> None:
        """Connect a driver of a process, and note when it is answered."""

    def reference(self, host: int, asker: plan.Asker) -> Any:
        """Return a record as a process has it."""
        return {
            'host': self.names[host],
            'topic': 'compute',
            'binary': 'nova-compute',
            'updated_at': None,
            'forced_down': False,
        }


class World:
    """One history.

    :ivar verdicts: so many were given
    """

    def __init__(self, wanted: plan.Plan, make: Any) -> None:
        self.plan = wanted
        self.verdicts = 0
        self.odd = True
        self._looked_at = -1.0
        self._kernel = kernel.begin()
        green = wanted.settings['green']
        if green:
            self._kernel.quiet = frozenset({'servicegroup-watch'})
        process_.handler = lambda: 'eventlet' if green else 'threading'
        background._threads = process_.PerProcess(background._Threads)
        self._chance = random.Random(wanted.seed)
        # The package's own jitter.
        random.seed(wanted.seed)
        self.backend: Backend = make(wanted, self._chance)
        self.oracle = oracle.Oracle(
            wanted.options,
            self.backend.bound,
            self.backend.rejoin,
            wanted.settings['green'],
        )
        for number, name in enumerate(self.backend.names):
            dead = number in wanted.dead
            self.oracle.hosts[name] = oracle.Host(
                name,
                not dead and number not in wanted.begins,
                -86400.0 if dead else None,
                cell=self.backend.cell_of(number),
                domain=wanted.domains.get(number),
            )
        self._ailments = unfit.Ailments(self.backend.names)
        self._crashes = crashes.Crashes(
            self.backend, self._look, self._revive, self._chance
        )
        self._conf = _conf(wanted)
        self.backend.begin(self._conf)

    def run(self) -> None:
        """Run it.

        :raises Violation: a promise was broken
        """
        spawn = self._kernel.spawn
        for number in range(self.plan.hosts):
            if number in self.plan.begins:
                spawn(self._begin, number, at=self.plan.begins[number])
            elif number not in self.plan.dead:
                self.backend.start(number)
        spawn(self._sample)
        for events, happen in (
            (self.plan.hosts_events, self._happen),
            (self.plan.faults, self._fail),
            (self.plan.losses, self._lose),
            (self.plan.ailments, self._ail),
            (self.plan.crashes, self._crash),
        ):
            for event in events:
                spawn(happen, event, at=event.at)
        for asker in self.plan.askers:
            spawn(self._ask, asker, at=asker.begins)
        try:
            self._kernel.run(self.plan.length)
        finally:
            self._kernel.end()

    def _begin(self, number: int) -> None:
        self._revive(number, self.oracle.hosts[self.backend.names[number]])

    def _sample(self) -> None:
        while True:
            self._look()
            kernel.sleep(_SAMPLE)

    def _look(self) -> None:
        now = self._looked_at = self._kernel.now
        registered = self.backend.registered()
        readable = self.oracle.is_readable(self.backend.is_well(), now)
        if self.backend.is_disturbed():
            self.oracle.disturb(now)
        for name, host in self.oracle.hosts.items():
            host.sample(name in registered, readable, now)
        self._ailments.sample(self.backend.marked(), now)

    def _fail(self, event: plan.Event) -> None:
        self.oracle.disturb(self._kernel.now)
        self.backend.fault(event)
        self.oracle.disturb(self._kernel.now)

    def _lose(self, event: plan.Event) -> None:
        """Lose the hosts of a domain together."""
        what = plan.LOSSES[event.what]
        for number, domain in self.plan.domains.items():
            if domain == plan.DOMAINS[event.where % len(plan.DOMAINS)]:
                one = plan.Event(event.at, what, number, event.size)
                self._kernel.spawn(self._happen, one)

    def _crash(self, event: plan.Event) -> None:
        number = event.where % self.plan.hosts
        if self._has_begun(number):
            host = self.oracle.hosts[self.backend.names[number]]
            self._crashes.happen(event, number, host)

    def _ail(self, event: plan.Event) -> None:
        """Make a host, or all, unfit for a while."""
        names = self.backend.names
        if event.what != 'shared':
            names = [names[event.where % len(names)]]
        for name in names:
            self._kernel.spawn(
                unfit.fail,
                self._ailments,
                event,
                name,
                self._say,
                self._chance,
            )

    def _say(self, name: str) -> None:
        mark = self._ailments.hosts[name].mark()
        self.backend.say(self.backend.names.index(name), mark)

    def _happen(self, event: plan.Event) -> None:
        number = event.where % self.plan.hosts
        if not self._has_begun(number):
            return
        host = self.oracle.hosts[self.backend.names[number]]
        if event.what == 'revive':
            kernel.sleep(event.size)
            self._revive(number, host)
        elif host.alive:
            self._look()
            host.alive, host.dead_at = False, self._kernel.now
            cleanly = event.what in ('leave', 'restart')
            self.backend.stop(number, cleanly)
            host.left = cleanly
            if cleanly:
                host.proof = -math.inf
            if event.what in ('restart', 'stall'):
                kernel.sleep(event.size)
                self._revive(number, host, event.what == 'stall')

    def _has_begun(self, number: int) -> bool:
        """Tell whether a host has ever started: Nova knows it since then."""
        return self._kernel.now > self.plan.begins.get(number, -1.0)

    def _revive(
        self, number: int, host: oracle.Host, same: bool = False
    ) -> None:
        if not host.alive:
            self._look()
            host.alive, host.dead_at = True, None
            start = self.backend.go_on if same else self.backend.start
            start(number)

    def _ask(self, asker: plan.Asker) -> None:
        known = oracle.Process(self._kernel.now, self.oracle.lag)
        driver = api.load_driver(self._conf, self.plan.driver)
        self.backend.prepare(driver, asker, known)
        driver.passes_over_unfit = asker.chooses
        process = self._kernel.new_process('asker')
        process.wall_offset = asker.clock
        for _ in range(asker.threads):
            self._kernel.spawn(
                self._thread, asker, driver, known, process=process
            )

    def _thread(
        self, asker: plan.Asker, driver: Any, known: oracle.Process
    ) -> None:
        hosts = range(self.plan.hosts)
        if asker.host is not None:
            hosts = range(asker.host, asker.host + 1)
        while True:
            self._pass(asker, driver, known, hosts)
            kernel.sleep(asker.interval)

    def _pass(
        self,
        asker: plan.Asker,
        driver: Any,
        known: oracle.Process,
        hosts: range,
    ) -> None:
        for _ in range(_REPEAT):
            begun = self._kernel.now
            known.ask(begun, self.oracle.longest_gap)
            for host in filter(self._has_begun, hosts):
                self._judge(asker, driver, known, host)
            if self._kernel.now > begun:
                break
        for odd in _ODD if self.odd else ():
            self._call(lambda odd=odd: driver.is_up(odd), repr(odd))

    def _judge(
        self,
        asker: plan.Asker,
        driver: Any,
        known: oracle.Process,
        host: int,
    ) -> None:
        record = self.backend.reference(host, asker)
        name = self.backend.names[host]
        up = self._call(lambda: driver.is_up(record), name)
        if self._kernel.now > self._looked_at:
            self._look()
        self.verdicts += 1
        if asker.chooses and self._ailments.check(
            self.oracle, known, name, up, self._kernel.now
        ):
            return
        self.oracle.check(known, name, up, self._kernel.now)

    def _call(self, call: Any, what: str) -> bool:
        return oracle.check_call(
            call,
            kernel.monotonic,
            self.plan.options['read_timeout'] + 0.05,
            what,
        )


def _conf(wanted: plan.Plan) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    opts.register_opts(conf)
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        file.write(wanted.conf())
        file.flush()
        conf(['--config-file', file.name], project='nova')
    return conf
