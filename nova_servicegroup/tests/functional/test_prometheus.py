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

"""The alert rules, and the documented queries, in Prometheus itself."""

from collections.abc import Iterator, Mapping
import pathlib
import re
import subprocess
from typing import Any

import yaml

import nova_servicegroup
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import server

ROOT = pathlib.Path(nova_servicegroup.__file__).parent.parent
RULES = ROOT / 'contrib' / 'prometheus' / 'nova-servicegroup.rules.yaml'
PAGE = ROOT / 'doc' / 'source' / 'admin' / 'monitoring.rst'

PREFIX = 'nova_servicegroup'
OURS = 'job="nova-servicegroup", instance="c1"'
COMPUTE = f'{OURS}, group="compute"'
#: Series that raise no alert: an exporter that sees three live hosts.
CALM = {
    f'up{{{OURS}}}': '1x60',
    f'{PREFIX}_blind{{{COMPUTE}}}': '0x60',
    f'{PREFIX}_view_age_seconds{{{COMPUTE}}}': '0.5x60',
    f'{PREFIX}_members{{{COMPUTE}, state="up"}}': '3x60',
    f'{PREFIX}_members{{{COMPUTE}, state="down"}}': '0x60',
    f'{PREFIX}_members{{{COMPUTE}, state="held"}}': '0x60',
    f'{PREFIX}_unfit_members{{{COMPUTE}, state="degraded"}}': '0x60',
    f'{PREFIX}_ignored_checks{{{COMPUTE}}}': '0x60',
    f'{PREFIX}_lost_domains{{{COMPUTE}}}': '0x60',
    f'{PREFIX}_flapping_members{{{COMPUTE}}}': '0x60',
    f'{PREFIX}_canary_last_success_timestamp_seconds{{{OURS}}}': '0+60x60',
    f'{PREFIX}_detection_seconds_bucket{{{COMPUTE}, le="60"}}': '0+1x60',
    f'{PREFIX}_detection_seconds_bucket{{{COMPUTE}, le="120"}}': '0+1x60',
    f'{PREFIX}_detection_seconds_bucket{{{COMPUTE}, le="+Inf"}}': '0+1x60',
    f'{PREFIX}_refresh_seconds_bucket{{{COMPUTE}, le="0.5"}}': '0+9x60',
    f'{PREFIX}_refresh_seconds_bucket{{{COMPUTE}, le="5"}}': '0+9x60',
    f'{PREFIX}_refresh_seconds_bucket{{{COMPUTE}, le="+Inf"}}': '0+9x60',
}
#: What differs from CALM when an alert fires, as parts of the series' names.
FIRES: dict[str, Mapping[str, str]] = {
    'NovaServiceGroupExporterAbsent': {'up{': '_x60'},
    'NovaServiceGroupExporterDown': {'up{': '0x60'},
    'NovaServiceGroupBlind': {'_blind': '1x60'},
    'NovaServiceGroupMembersDown': {'state="down"': '1x60'},
    'NovaServiceGroupManyMembersDown': {'state="down"': '2x60'},
    'NovaServiceGroupMembersHeld': {'state="held"': '1x60'},
    'NovaServiceGroupMembersDegraded': {'state="degraded"': '1x60'},
    'NovaServiceGroupChecksIgnored': {'_ignored_checks': '1x60'},
    'NovaServiceGroupDomainLost': {'_lost_domains': '1x60'},
    'NovaServiceGroupFlapping': {'_flapping_members': '1x60'},
    'NovaServiceGroupNoMembers': {'state="up"': '0x60'},
    'NovaServiceGroupCanaryLost': {'_canary': '0x60'},
    'NovaServiceGroupDetectionSlow': {'seconds_bucket': '', 'le="60"': '0x60'},
    'NovaServiceGroupRefreshSlow': {'le="0.5"': '0x60'},
}
#: Alerts that the series of another one raise as well.
TOGETHER = {
    'NovaServiceGroupExporterDown': {'NovaServiceGroupExporterAbsent'},
    'NovaServiceGroupManyMembersDown': {'NovaServiceGroupMembersDown'},
    'NovaServiceGroupMembersDown': {'NovaServiceGroupManyMembersDown'},
}
_AT = '50m'


class PrometheusTest(base.TestCase):
    def promtool(self, *words: str) -> None:
        """Have Prometheus's own tool check something."""
        tool = server.find_program('promtool', 'prometheus')
        done = subprocess.run(
            [tool, *words], capture_output=True, text=True, timeout=60
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def check(self, *tests: Mapping[str, Any]) -> None:
        """Have it evaluate expressions on made-up series."""
        made = {
            'rule_files': [str(RULES)],
            'evaluation_interval': '1m',
            'tests': [{'interval': '1m', **each} for each in tests],
        }
        (path,) = self.create_tempfiles(
            [('tests', yaml.safe_dump(made))], ext='.yaml'
        )
        self.promtool('test', 'rules', path)

    def test_the_rules_are_valid(self) -> None:
        self.promtool('check', 'rules', str(RULES))

    def test_a_calm_cloud_raises_no_alert(self) -> None:
        self.check(fires(CALM))

    def test_each_alert_fires(self) -> None:
        rules = yaml.safe_load(RULES.read_text())['groups']
        names = {each['alert'] for group in rules for each in group['rules']}
        self.assertEqual(names, set(FIRES))
        self.check(
            *(
                fires(changed(changes), alert, *TOGETHER.get(alert, ()))
                for alert, changes in FIRES.items()
            )
        )

    def test_it_joins_with_the_exporter_of_openstack(self) -> None:
        series: dict[str, str] = {}
        for number, up, admin in (
            (1, 1, 'enabled'),
            (2, 0, 'enabled'),
            (3, 0, 'disabled'),
        ):
            name = f'{PREFIX}_member_up{{{COMPUTE}, host="h{number}"}}'
            series[name] = f'{up}x60'
            series[
                f'openstack_nova_agent_state{{hostname="h{number}", id="1", '
                f'service="nova-compute", adminState="{admin}", '
                f'zone="az{number}", disabledReason=""}}'
            ] = '1x60'
        queries = list(documented())
        self.assertEqual(2, len(queries))
        down, by_zone = queries
        self.check(
            {
                'input_series': listed(series),
                'promql_expr_test': [
                    samples(down, {'{host="h2"}': 0}),
                    samples(
                        by_zone,
                        {'{zone="az2"}': 1, '{zone="az3"}': 1},
                    ),
                ],
            }
        )


def changed(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the calm series with others in place of those with a part."""
    made = dict(CALM)
    for part, values in changes.items():
        found = [name for name in CALM if part in name]
        if values:
            made.update(dict.fromkeys(found, values))
    return made


def listed(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{'series': k, 'values': v} for k, v in series.items()]


def samples(query: str, expected: Mapping[str, float]) -> dict[str, Any]:
    return {
        'expr': query,
        'eval_time': _AT,
        'exp_samples': [
            {'labels': k, 'value': v} for k, v in expected.items()
        ],
    }


def fires(series: Mapping[str, str], *alerts: str) -> dict[str, Any]:
    """Return the test that these alerts fire, and no other."""
    query = 'count by (alertname) (ALERTS{alertstate="firing"})'
    expected = {f'{{alertname="{each}"}}': 1.0 for each in alerts}
    return {
        'input_series': listed(series),
        'promql_expr_test': [samples(query, expected)],
    }


def documented() -> Iterator[str]:
    """Yield the queries of the page that join with other metrics."""
    for block in re.findall(
        r'\.\. code-block:: promql\n\n((?:   .*\n|\n)+)', PAGE.read_text()
    ):
        if 'openstack_nova_agent_state' in block:
            yield block
