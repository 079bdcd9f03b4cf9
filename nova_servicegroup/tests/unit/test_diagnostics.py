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

import sys
import types
from unittest import mock

import fixtures
from oslo_reports import guru_meditation_report

from nova_servicegroup import diagnostics
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import heartbeat
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import pace
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_observer


class DiagnosticsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.backend = test_observer.Backend(self.clock)
        self.observer = observer.Observer(
            'Group compute',
            self.backend,
            membership.Membership(self.clock(), 60.0, 15.0),
            refresh_interval=1.0,
            patience=pace.Patience(1.0),
            background=False,
            clock=self.clock,
        )
        self.counts = heartbeat.Counts(5, 2, 1, 1, 86400.0)
        self.driver = types.SimpleNamespace(
            conf=self.make_conf(),
            servers=['zk1:2181', 'zk2:2181'],
            reporters=lambda: {
                ('a\n', 'compute'): types.SimpleNamespace(counts=self.counts)
            },
            observers=lambda: {'compute': self.observer},
        )
        # The sections stay with the class.
        self.report = guru_meditation_report.TextGuruMeditation
        self.useFixture(
            fixtures.MockPatchObject(
                self.report, 'persistent_sections', [], create=True
            )
        )

    def written(self) -> str:
        """Return the report that a signal asks for."""
        api = types.SimpleNamespace(
            driver=self.driver,
            secondary=types.SimpleNamespace(drivers={}),
        )
        diagnostics.register(lambda: [api])
        diagnostics.register(lambda: [api])
        return self.report(diagnostics.Version('the program')).run()

    def group(self) -> dict[str, object]:
        return diagnostics.describe(self.driver)['groups']['compute']

    def test_a_report_has_our_section_once(self) -> None:
        shown = self.written()
        self.assertEqual(1, shown.count(diagnostics.TITLE))
        for part in (
            'the program',
            'zk1:2181, zk2:2181',
            r'a\n of compute',
            'heartbeats = 5',
            'failed = 2',
            'last success = 1970-01-02T00:00:00+00:00',
            'confirmed = never',
        ):
            self.assertIn(part, shown)

    def test_members_are_named_by_state(self) -> None:
        self.backend.has('a', 'b', 'c\x1b')
        self.observer.refresh()
        self.clock.advance(2.0)
        self.backend.answer = evidence.Reading(
            {'a', 'b'}, 'the server was started', {'c\x1b': 60.0}
        )
        self.observer.refresh()
        self.clock.advance(1.0)
        found = self.group()
        self.assertEqual(2, found['present'])
        self.assertEqual('1.0 s ago', found['confirmed'])
        self.assertEqual('0', found['down'])
        self.assertIn(r'c\x1b', found['held'])
        self.assertEqual(['the server was started'], [*found['reasons']])

    def test_nothing_is_asked(self) -> None:
        self.written()
        self.assertEqual([], self.backend.waits)

    def test_an_outage_is_told_without_credentials(self) -> None:
        self.backend.answer = exceptions.BackendError(
            'redis', 'no answer of redis://user:secret@host'
        )
        self.observer.refresh()
        found = self.group()
        self.assertIn('no answer of redis://', found['error'])
        self.assertNotIn('secret', found['error'])

    def test_an_outage_is_told_without_the_secrets_of_options(self) -> None:
        self.driver.conf = self.make_conf(
            '[zookeeper]\nusername = nova\npassword = HUSH\n'
        )
        self.backend.answer = exceptions.BackendError('zk', 'nova:HUSH is no')
        self.observer.refresh()
        self.assertEqual('zk: nova:*** is no', self.group()['error'])

    def test_many_hosts_are_counted_and_some_are_named(self) -> None:
        self.backend.has(*(f'h{number}' for number in range(999)))
        self.observer.refresh()
        self.clock.advance(2.0)
        self.backend.has()
        self.observer.refresh()
        found = self.group()
        self.assertTrue(found['held'].startswith('999: h0, '))
        self.assertTrue(found['held'].endswith(' and 949 more'))
        self.assertEqual([999], [*found['reasons'].values()])

    def test_an_error_does_not_end_the_report(self) -> None:
        self.driver.observers = mock.Mock(side_effect=RuntimeError('so\n'))
        shown = self.written()
        self.assertIn(r"incomplete = RuntimeError('so\n')", shown)
        self.assertIn('Configuration', shown)

    def test_a_process_without_reports_gets_none(self) -> None:
        loaded = {'oslo_reports.guru_meditation_report': None}
        with mock.patch.dict(sys.modules, loaded):
            diagnostics.register(list)
        self.assertEqual([], self.report.persistent_sections)
