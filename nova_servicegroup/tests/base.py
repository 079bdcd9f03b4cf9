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


"""What every test stands on."""

import os
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg
from oslotest import base
from testtools import content

from nova_servicegroup import api
from nova_servicegroup.drivers import base as base_driver
from nova_servicegroup import opts


class Clock:
    """A monotonic clock that goes when it is told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; return the new time."""
        self.now += seconds
        return self.now


class TestCase(base.BaseTestCase):
    """A test with a log that it can read and a configuration of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(
            fixtures.FakeLogger(format='%(levelname)s %(message)s')
        )
        self.clock = Clock()

    def make_conf(self, text: str = '') -> cfg.ConfigOpts:
        """Return a configuration read from a file with this text."""
        path = self.create_tempfiles([('nova', text)], ext='.conf')[0]
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf(['--config-file', path], project='nova')
        return conf

    def api_of(self, driver: base_driver.Driver) -> api.API:
        """Return an API that asks by a driver of the test's own."""
        with mock.patch.object(api, 'load_driver', return_value=driver):
            return api.API(self.make_conf())

    def measured(self, what: str, *figures: float, unit: str = 's') -> None:
        """Keep a figure; all of them go to a file that can be named."""
        text = ', '.join(f'{each:.2f}' for each in figures)
        line = f'{self.id()}: {what}: {text} {unit}\n'
        self.addDetail(what, content.text_content(line))
        report = os.environ.get('NOVA_SERVICEGROUP_FIGURES')
        if report:
            with open(report, 'a') as file:
                file.write(line)

    def log_lines(self, level: str) -> list[str]:
        """Return the messages that were logged at a level."""
        return [
            line.removeprefix(f'{level} ')
            for line in self.log.output.splitlines()
            if line.startswith(f'{level} ')
        ]


class FakeService:
    """A service whose timer fires when it is told."""

    def __init__(self, report_interval: float = 10) -> None:
        self.report_interval = report_interval
        self.host = 'a'
        self.binary = 'nova-compute'
        self.record_id = 1
        self.collects = False
        self.noted = 0
        self.database: Any = None
        self.tg = self
        self.timers: list[dict[str, Any]] = []
        self.saved = 0
        self.error: Exception | None = None
        self._callbacks: list[Any] = []

    def add_timer_args(
        self, interval: float, callback: Any, **options: Any
    ) -> None:
        self.timers.append(
            {'interval': interval, 'callback': callback, **options}
        )

    def on_stop(self, callback: Any) -> None:
        self._callbacks.append(callback)

    def save_heartbeat(self) -> None:
        if self.error is not None:
            raise self.error
        self.saved += 1

    def note_heartbeat(self) -> None:
        self.noted += 1

    def engine(self) -> Any:
        return self.database

    def transport(self) -> Any:
        return None

    def new_transport(self, options: Any) -> Any:
        return None

    def fire(self) -> None:
        """Run every timer once."""
        for timer in self.timers:
            timer['callback']()

    def stop(self) -> None:
        """Stop as a service does: the timers end, then the callbacks run."""
        self.timers.clear()
        for callback in self._callbacks:
            callback()
