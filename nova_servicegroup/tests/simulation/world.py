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

"""Runs one history: what all drivers share."""

import abc
import collections
from collections.abc import Callable
import functools
import random
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import opts
from nova_servicegroup.tests.simulation import asking
from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import kernel
from nova_servicegroup.tests.simulation import oracle as oracles
from nova_servicegroup.tests.simulation import plan as plans
from nova_servicegroup.tests.simulation import truth
from nova_servicegroup.tests.simulation import virtual

GROUP = 'compute'


class World(abc.ABC):
    """One history while it runs.

    :ivar eyes: the oracle's, of each process that asks
    """

    oracle_class: type[oracles.Oracle] = oracles.Oracle
    members: list[Any]

    def __init__(self, plan: plans.Plan) -> None:
        self.plan = plan
        self.kernel = kernel.begin()
        self.options = dict(plan.options)
        self.settings = dict(plan.settings)
        self.conf = self._make_conf()
        self.hosts = [
            truth.Host(number, self._name(number))
            for number in range(plan.hosts)
        ]
        self.eyes: list[eyes.Eye] = []
        self.oracle = self.oracle_class(self.rules(), self.hosts)
        # Whatever the package leaves to chance.
        random.seed(plan.seed)
        virtual.Servers.make = self.make_coordinator
        virtual.LOG.records.clear()

    def chance(self, *what: object) -> random.Random:
        """Return chance that depends on nothing else of the plan."""
        return random.Random(f'{self.plan.seed} {what}')

    @abc.abstractmethod
    def rules(self) -> eyes.Rules:
        """Return what the options promise."""

    @abc.abstractmethod
    def prepare_servers(self) -> None:
        """Have the servers know what they know at the beginning."""

    def begin(self) -> None:
        """Have the members live, and all happen."""
        self.prepare_servers()
        away = {*self.plan.dead, *self.plan.strangers}
        for member in self.members:
            if member.host.number not in away:
                member.start()
        for event in self.plan.happenings:
            self._happen(event, getattr(self, f'_host_{event.what}'))
        for event in self.plan.faults:
            self._happen(event, getattr(self, f'_fault_{event.what}'))

    def later(self, delay: float, call: Any, *args: Any) -> None:
        """Call something later."""
        self.kernel.at(self.kernel.now + delay, functools.partial(call, *args))

    def _happen(self, event: plans.Event, call: Callable[..., None]) -> None:
        self.kernel.at(event.at, functools.partial(call, event))

    def make_coordinator(
        self, scheme: str, place: str, member_id: bytes, options: Any
    ) -> Any:
        """Return tooz's coordinator for the process that runs."""
        raise NotImplementedError

    def prepare(
        self, driver: Any, asker: plans.Asker, eye: eyes.Eye
    ) -> Callable[[int], Any]:
        """Prepare a process that asks; return what makes its records."""
        return [_ref(host) for host in self.hosts].__getitem__

    def run(self) -> oracles.Violation | None:
        """Run the history; return the first promise that was broken."""
        self.begin()
        for number, asker in enumerate(self.plan.askers):
            self._begin_asker(number, asker)
        try:
            self.kernel.run(self.plan.length)
            self._check_the_end()
        finally:
            self.kernel.end()
            virtual.forget()
        return self.oracle.found

    def _begin_asker(self, number: int, asker: plans.Asker) -> None:
        process = self.kernel.new_process(f'asker {number}', asker.green)
        process.wall_offset = asker.clock
        eye = eyes.Eye(process, len(self.hosts))
        self.eyes.append(eye)
        driver = api.load_driver(self.conf, self.plan.driver)
        refs = self.prepare(driver, asker, eye)
        questions = asking.Questions(self, driver, eye, asker, refs)
        questions.begin(self.chance('asker', number))

    def eye(self) -> eyes.Eye | None:
        """Return the eye of the process that runs; None: it does not ask."""
        process = self.kernel.process
        return next((e for e in self.eyes if e.process is process), None)

    def _name(self, number: int) -> str:
        mixed = self.settings['mixed'] and number % 4 == 1
        return f'Node.{number}' if mixed else f'node{number}'

    def _check_the_end(self) -> None:
        for process, text in self.kernel.failures:
            eye = next((e for e in self.eyes if e.process is process), None)
            self.oracle.blame('thread', eye, text)
        by_process = collections.defaultdict(list)
        for process, _, record in virtual.LOG.records:
            by_process[process].append(record)
        changes = sum(len(host.seen.spans) for host in self.hosts)
        most = 4 + 2 * changes + 4 * len(self.plan.faults)
        for eye in self.eyes:
            self.oracle.check_log(by_process[eye.process], eye, most)

    def _make_conf(self) -> cfg.ConfigOpts:
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf([], project='nova', default_config_files=[])
        conf.set_override('report_interval', self.options['report_interval'])
        conf.set_override(
            'service_down_time', self.options['service_down_time']
        )
        for name in ('hold_time', 'refresh_interval', 'read_timeout'):
            conf.set_override(name, self.options[name], 'servicegroup')
        conf.set_override('address', 'zk:2181', 'zookeeper')
        conf.set_override(
            'session_timeout', self.settings['session'], 'zookeeper'
        )
        conf.set_override(
            'memcached_servers',
            [f'mc{each}:11211' for each in range(self.settings['servers'])],
        )
        return conf


def _ref(host: truth.Host) -> dict[str, Any]:
    return {
        'host': host.name.lower() if host.number % 2 else host.name,
        'topic': GROUP,
        'binary': f'nova-{GROUP}',
        'updated_at': None,
        'forced_down': False,
    }
