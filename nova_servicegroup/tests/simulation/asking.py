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

"""The processes that ask who is up."""

from collections.abc import Callable
import functools
import random
from typing import Any

from nova_servicegroup.tests.simulation import eye as eyes
from nova_servicegroup.tests.simulation import plan as plans

#: What may not raise, whatever it is worth.
_STRANGE: tuple[dict[str, Any], ...] = (
    {},
    {'host': None},
    {'host': ''},
    {'host': '\udc80'},
    {'topic': None, 'binary': None},
    {'host': 'a' * 300 + '/\n', 'binary': ''},
)
_KNOWN = {
    'host': 'node0',
    'topic': 'compute',
    'binary': 'nova-compute',
    'uuid': None,
    'last_seen_up': None,
    'created_at': None,
    'updated_at': None,
}


class Questions:
    """The questions of one process."""

    def __init__(
        self,
        world: Any,
        driver: Any,
        eye: eyes.Eye,
        asker: plans.Asker,
        refs: Callable[[int], Any],
    ) -> None:
        self._kernel = world.kernel
        self._oracle = world.oracle
        self._driver = driver
        self._eye = eye
        self._asker = asker
        self._refs = refs
        self._chance = random.Random(0)
        self._all_hosts = self._hosts = list(range(len(world.hosts)))
        if asker.host is not None:
            self._hosts = [asker.host % len(world.hosts)]

    def begin(self, chance: random.Random) -> None:
        """Start the threads that ask."""
        self._chance = chance
        for number in range(self._asker.threads):
            self._kernel.spawn(
                functools.partial(self._run, number == 0),
                self._eye.process,
                self._asker.begins + number * self._asker.apart,
                asker=True,
            )
        if self._asker.views:
            self._kernel.spawn(
                self._look_on,
                self._eye.process,
                self._asker.begins + 0.05,
                asker=True,
            )

    def _look_on(self) -> None:
        """Look at the whole group again and again."""
        while True:
            self._ask_once('view', self._view)
            self._kernel.sleep(1.0)

    def _run(self, first: bool) -> None:
        asker, kernel = self._asker, self._kernel
        while True:
            for start, length in asker.pauses:
                if start <= kernel.now < start + length:
                    kernel.sleep(start + length - kernel.now)
            self._ask_all()
            if asker.strange:
                for each in _STRANGE:
                    self._ask_what_is_strange(each)
            if first and self._chance.random() < 0.03:
                self._ask_otherwise()
            kernel.sleep(asker.interval)

    def _ask_all(self) -> None:
        """Ask about all hosts, one after the other."""
        kernel, eye, process = self._kernel, self._eye, self._eye.process
        is_up, verdict = self._driver.is_up, self._oracle.verdict
        refs = self._refs
        eye.ask(kernel.now)
        kernel.begin_question(process)
        late = kernel.now >= self._asker.all_from
        for number in self._all_hosts if late else self._hosts:
            ref, t0 = refs(number), kernel.now
            try:
                up = is_up(ref)
            except Exception as error:
                self._oracle.raised(eye, 'is_up', error)
                break
            verdict(eye, number, t0, kernel.now, up)
        eye.asked(kernel.now)
        kernel.end_question(process)
        if self._oracle.found is not None:
            kernel.stop()

    def _ask_otherwise(self) -> None:
        """Ask what is asked less often, and what makes no sense."""
        kind = self._chance.randrange(3)
        if kind == 0:
            self._ask_once('view', self._view)
        elif kind == 1:
            self._ask_once(
                'updated_time',
                lambda: self._driver.updated_time(self._refs(0)),
            )
        else:
            self._ask_what_is_strange(self._chance.choice(_STRANGE))

    def _ask_what_is_strange(self, strange: dict[str, Any]) -> None:
        self._ask_once(f'is_up({strange!r})', lambda: self._is_up(strange))

    def _view(self) -> None:
        self._driver.view('compute', self._asker.views)

    def _ask_once(self, name: str, call: Callable[[], Any]) -> None:
        kernel, t0 = self._kernel, self._kernel.now
        self._eye.ask(t0)
        kernel.begin_question(self._eye.process)
        try:
            call()
        except Exception as error:
            self._oracle.raised(self._eye, name, error)
        if name != 'view':
            self._oracle.waited(self._eye, name, t0, kernel.now)
        self._eye.asked(kernel.now)
        kernel.end_question(self._eye.process)

    def _is_up(self, ref: dict[str, Any]) -> None:
        """Ask what makes no sense; an error may be logged if keys miss."""
        self._eye.process.strange = 'host' not in ref
        if self._driver.is_up({**_KNOWN, **ref} if ref else ref) not in (
            True,
            False,
        ):
            raise TypeError('no verdict')
        self._eye.process.strange = False
