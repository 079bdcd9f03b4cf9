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

from collections.abc import Callable
import importlib.util
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from typing import Any
import unittest
from unittest import mock

import fixtures
from oslo_config import cfg
from oslotest import base
from testtools import content

from nova_servicegroup import api
from nova_servicegroup.drivers import base as base_driver
from nova_servicegroup import opts
from nova_servicegroup import pace
from nova_servicegroup import services
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import stalls

#: The full counts and durations; else a shorter cousin of each test is run.
LONG = bool(os.environ.get('NOVA_SERVICEGROUP_LONG'))
#: Marks tests that take too long for every change, and have shorter cousins.
only_long = unittest.skipUnless(LONG, 'takes long; run with --long')


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


class Table(services.NoTable):
    """A services table whose records are read as a test says."""

    def __init__(
        self, read: Callable[[str], list[services.ServiceRef]]
    ) -> None:
        super().__init__('only the records can be read')
        self._read = read

    def records(self, group: str) -> list[services.ServiceRef]:
        return self._read(group)


class NoWatch:
    """Stands for pace.Watch, and reads nothing in the background."""

    def __init__(self, *how: Any) -> None:
        pass

    def keep(self) -> None:
        pass

    def wake(self) -> None:
        pass

    def stop(self) -> None:
        pass


def example(name: str) -> pathlib.Path:
    """Return the file of a module that the pages for contributors show."""
    root = pathlib.Path(__file__).parents[2]
    return root / 'doc' / 'source' / 'contributor' / f'{name}.py'


def load_example(name: str) -> Any:
    """Return such a module."""
    file = example(name)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestCase(base.BaseTestCase):
    """A test with a log that it can read and a configuration of its own."""

    @classmethod
    def make_root(cls) -> pathlib.Path:
        """Return a directory that is there for the tests of this class."""
        made = pathlib.Path(tempfile.mkdtemp(prefix='servicegroup-'))
        cls.addClassCleanup(shutil.rmtree, made)
        return made

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(
            fixtures.FakeLogger(format='%(levelname)s %(message)s')
        )
        self.clock = Clock()
        self._begun = time.monotonic()
        self.addOnException(self._show_more)

    def _show_more(self, *_: Any) -> None:
        """Have a failed test show what a person asks for next."""
        command = alone(self.id())
        self.addDetail('alone', content.text_content(command))
        for name, text in process.written().items():
            self.addDetail(name, content.text_content(text))

    def set_time(self, wall: Clock | None = None) -> None:
        """Have time go as the test's clock says, and the time of day."""
        self.useFixture(
            fixtures.MockPatchObject(time, 'monotonic', self.clock)
        )
        if wall is not None:
            self.useFixture(fixtures.MockPatchObject(time, 'time', wall))

    def read_when_asked(self) -> None:
        """Have groups read for who asks, and never by the real clock."""
        self.useFixture(fixtures.MockPatchObject(pace, 'Watch', NoWatch))

    def install(self, package: str, namespace: str, points: str) -> None:
        """Install a package that has nothing but entry points, for a test."""
        path = self.useFixture(fixtures.TempDir()).path
        dist = pathlib.Path(path, f'{package}-1.dist-info')
        dist.mkdir()
        (dist / 'METADATA').write_text(f'Name: {package}\nVersion: 1\n')
        (dist / 'entry_points.txt').write_text(f'[{namespace}]\n{points}\n')
        self.useFixture(fixtures.MonkeyPatch('sys.path', [*sys.path, path]))
        self.useFixture(
            fixtures.MonkeyPatch(
                'stevedore.ExtensionManager.ENTRY_POINT_CACHE', {}
            )
        )

    def make_conf(self, text: str = '') -> cfg.ConfigOpts:
        """Return a configuration read from a file with this text."""
        path = self.create_tempfiles([('nova', text)], ext='.conf')[0]
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf(['--config-file', path], project='nova')
        return conf

    def api_of(self, driver: base_driver.Driver, text: str = '') -> api.API:
        """Return an API that asks by a driver of the test's own.

        :param text: of its configuration file
        """
        with mock.patch.object(api, 'load_driver', return_value=driver):
            return api.API(self.make_conf(text))

    def measured(self, what: str, *figures: float, unit: str = 's') -> None:
        """Keep a figure; all of them go to a file that can be named."""
        text = ', '.join(f'{each:.2f}' for each in figures)
        line = f'{self.id()}: {what}: {text} {unit}\n'
        self.addDetail(what, content.text_content(line))
        report = os.environ.get('NOVA_SERVICEGROUP_FIGURES')
        if report:
            figure = {
                'test': self.id(),
                'name': what,
                'values': [round(each, 2) for each in figures],
                'unit': unit,
                'options': self.run_options(),
            }
            with open(report, 'a') as file:
                file.write(f'{json.dumps(figure)}\n')

    def run_options(self) -> dict[str, float]:
        """Return the options that bounds of its figures are made of.

        :returns: seconds, by name; nothing where there are no bounds
        """
        return {}

    def assert_within(self, taken: float, bound: float) -> None:
        """Check how many seconds something took, while the machine ran."""
        if taken > bound:
            taken -= stalls.stood_still(self._begun)
        self.assertLess(taken, bound)

    def log_lines(self, level: str) -> list[str]:
        """Return the messages that were logged at a level."""
        return [
            line.removeprefix(f'{level} ')
            for line in self.log.output.splitlines()
            if line.startswith(f'{level} ')
        ]


def alone(name: str) -> str:
    """Return a line for the shell that runs one test alone."""
    part = name.split('.')[2].replace('_', '-')
    part = {'promises': 'simulation'}.get(part, part)
    nova = os.environ.get('NOVA_SERVICEGROUP_NOVA')
    chosen = f'{part} {nova}' if nova else part
    # To the shell and to the pattern, a scenario's parentheses are their own.
    pattern = re.sub('[()]', '.', name)
    return f'tools/run-tests {chosen} --match {pattern}\n'


def options_of(conf: cfg.ConfigOpts) -> dict[str, float]:
    """Return the options of all drivers; see TestCase.run_options."""
    return {
        'report_interval': conf.report_interval,
        'service_down_time': opts.service_down_time(conf),
        'hold_time': opts.hold_time(conf),
        'refresh_interval': conf.servicegroup.refresh_interval,
        'read_timeout': conf.servicegroup.read_timeout,
    }


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
