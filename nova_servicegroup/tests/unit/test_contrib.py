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


"""What is shipped for Prometheus and Grafana fits what is exported."""

import io
import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

import yaml

import nova_servicegroup
from nova_servicegroup.cmd import cli
from nova_servicegroup.exporter import metrics
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_exporter

ROOT = pathlib.Path(nova_servicegroup.__file__).parent.parent
DASHBOARD = ROOT / 'contrib' / 'grafana' / 'nova-servicegroup.json'
COMPLETION = ROOT / 'contrib' / 'completion' / 'nova-servicegroup'
RULES = ROOT / 'contrib' / 'prometheus' / 'nova-servicegroup.rules.yaml'
PAGE = ROOT / 'doc' / 'source' / 'admin' / 'monitoring.rst'

#: Labels that Prometheus itself gives to each series.
ADDED = {'instance', 'job'}

_NAME = re.compile(rf'\b{metrics.PREFIX}_\w+')
_SELECTOR = re.compile(rf'\b({metrics.PREFIX}_\w+)\{{([^}}]*)\}}')
_GROUPING = re.compile(r'\b(?:by|on|without|group_left)\s*\(([^)]*)\)')
_BY = re.compile(r'\bby\s*\(([^)]*)\)')
_VALUES = re.compile(r'label_values\((\w+), (\w+)\)')


class ContribTest(test_exporter.ExporterCase):
    def setUp(self) -> None:
        super().setUp()
        self.canary.join()
        self.driver.tell(a='degraded')
        self.poll()
        self.labels: dict[str, set[str]] = {}
        for sample in test_exporter.scrape(self.metrics.registry):
            self.labels.setdefault(sample.name, set()).update(sample.labels)
        self.names = {
            name for name in self.labels if name.startswith(metrics.PREFIX)
        }

    def rules(self) -> list[dict[str, Any]]:
        found = yaml.safe_load(RULES.read_text())
        return [rule for group in found['groups'] for rule in group['rules']]

    def dashboard(self) -> dict[str, Any]:
        return json.loads(DASHBOARD.read_text())

    def check(self, expression: str) -> set[str]:
        """Check names and labels; return the labels that may result."""
        used = set(_NAME.findall(expression))
        self.assertLessEqual(used, self.names, expression)
        there = ADDED.union(*(self.labels[name] for name in used))
        for name, matchers in _SELECTOR.findall(expression):
            labels = set(re.findall(r'(\w+)\s*[=!]', matchers))
            self.assertLessEqual(labels, self.labels[name] | ADDED, expression)
        for labels in _GROUPING.findall(expression):
            wanted = set(re.findall(r'\w+', labels))
            self.assertLessEqual(wanted, there, expression)
        outermost = _BY.search(expression)
        if outermost is None:
            return there
        return set(re.findall(r'\w+', outermost.group(1)))

    def test_the_checks_find_what_is_wrong(self) -> None:
        for wrong in (
            'nova_servicegroup_member',
            'nova_servicegroup_blind{host="a"}',
            'sum by (state) (nova_servicegroup_blind)',
        ):
            self.assertRaises(AssertionError, self.check, wrong)

    def test_alerts_use_what_is_exported_and_say_what_to_do(self) -> None:
        rules = self.rules()
        self.assertNotEqual([], rules)
        for rule in rules:
            there = self.check(rule['expr'])
            self.assertIn(rule['labels']['severity'], ('warning', 'critical'))
            for text in ('summary', 'description'):
                shown = re.findall(
                    r'\$labels\.(\w+)', rule['annotations'][text]
                )
                self.assertLessEqual(set(shown), there, rule['alert'])

    def test_every_alert_is_documented(self) -> None:
        documented = set(re.findall(r'``(NovaService\w+)``', PAGE.read_text()))
        self.assertEqual({rule['alert'] for rule in self.rules()}, documented)

    def test_a_service_that_flaps_raises_an_alert(self) -> None:
        (rule,) = [
            rule
            for rule in self.rules()
            if 'nova_servicegroup_flapping_members' in rule['expr']
        ]
        # It does so for as long as the window is, whatever it does now.
        self.assertNotIn('for', rule)
        self.assertTrue(rule['expr'].endswith(' > 0'))

    def test_panels_use_what_is_exported(self) -> None:
        panels = self.dashboard()['panels']
        targets = [each for panel in panels for each in panel['targets']]
        self.assertNotEqual([], targets)
        for target in targets:
            there = self.check(target['expr'])
            shown = re.findall(r'{{(\w+)}}', target['legendFormat'])
            self.assertLessEqual(set(shown), there, target['expr'])

    def test_the_dashboard_asks_for_its_data_source(self) -> None:
        board = self.dashboard()
        variables = {
            each['name']: each for each in board['templating']['list']
        }
        self.assertEqual('datasource', variables['datasource']['type'])
        for panel in board['panels']:
            for each in (panel, *panel['targets']):
                self.assertEqual('${datasource}', each['datasource']['uid'])
        queries = [
            each['definition']
            for each in variables.values()
            if each['type'] == 'query'
        ]
        for query in queries:
            name, label = _VALUES.fullmatch(query).groups()
            self.assertIn(label, self.labels[name] | ADDED)

    def test_every_metric_is_documented(self) -> None:
        documented = set(
            re.findall(r'``(nova_servicegroup_\w+)``', PAGE.read_text())
        )
        # A histogram is one metric, whatever it is made of.
        exported = {
            re.sub(r'_(bucket|sum|count)$', '', name) for name in self.names
        }
        self.assertEqual(exported, documented)


#: What a unit has to have, but for how its program is run.
HARDENED = {
    'AmbientCapabilities=',
    'CapabilityBoundingSet=',
    'LockPersonality=yes',
    'NoNewPrivileges=yes',
    'PrivateDevices=yes',
    'PrivateTmp=yes',
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHome=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectProc=invisible',
    'ProtectSystem=strict',
    'RemoveIPC=yes',
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
    'SystemCallErrorNumber=EPERM',
    'SystemCallFilter=@system-service',
    'SystemCallFilter=~@privileged @resources',
    'UMask=0077',
}


class UnitTest(base.TestCase):
    """The units for systemd."""

    def units(self) -> list[pathlib.Path]:
        found = sorted((ROOT / 'contrib' / 'systemd').glob('*.service'))
        self.assertEqual(4, len(found))
        return found

    def test_each_is_hardened(self) -> None:
        for path in self.units():
            lines = path.read_text().replace('=true\n', '=yes\n').splitlines()
            self.assertEqual(set(), HARDENED - set(lines), path.name)
            for bound in ('TasksMax', 'MemoryMax', 'User', 'Group'):
                values = [x for x in lines if x.startswith(f'{bound}=')]
                self.assertEqual(1, len(values), (path.name, bound))

    def test_systemd_takes_each(self) -> None:
        tool = shutil.which('systemd-analyze')
        if tool is None:
            self.skipTest('there is no systemd here')
        for path in self.units():
            text = re.sub(
                r'ExecStart=\S+', 'ExecStart=/bin/true', path.read_text()
            )
            made = self.create_tempfiles([(path.stem, text)], ext='.service')[
                0
            ]
            done = subprocess.run(
                [tool, 'verify', '--man=no', made],
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertNotIn(path.stem, done.stderr)


class CompletionTest(base.TestCase):
    def test_it_has_what_the_program_writes(self) -> None:
        written = io.StringIO()
        self.assertEqual(0, cli.Cli(stdout=written).run(['complete']))
        expected = self.completed(written.getvalue())
        shipped = self.completed(COMPLETION.read_text())
        self.assertEqual(expected.keys(), shipped.keys())
        # The others have the options of a version of cliff.
        for command in ('', '_member', '_doctor', '_watch'):
            self.assertEqual(expected[command], shipped[command])

    def completed(self, script: str) -> dict[str, str]:
        """Return what each command, after an underscore, is completed by."""
        return dict(re.findall(r"cmds(\w*)='(.*)'", script))
