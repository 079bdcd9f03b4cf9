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


import argparse
import csv
import dataclasses
import gc
import io
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg
import yaml

from nova_servicegroup.cmd import _startup
from nova_servicegroup.cmd import cli
from nova_servicegroup.cmd import member
from nova_servicegroup.cmd import watch
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import opts
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_watcher

SECRET = 'c0rrect-horse'
CONFIG = f"""
[DEFAULT]
servicegroup_driver = zk
[zookeeper]
username = nova
password = {SECRET}
"""
JOINED = '2027-01-15T07:51:40+00:00'
UNFIT_SINCE = '2027-01-15T07:58:30+00:00'


class CliTest(test_watcher.WatchedTest):
    """The application, with a driver that sees what a test sets."""

    def setUp(self) -> None:
        super().setUp()
        handlers, level = list(logging.root.handlers), logging.root.level
        self.addCleanup(setattr, logging.root, 'handlers', handlers)
        self.addCleanup(logging.root.setLevel, level)
        self.path = self.create_tempfiles([('nova', CONFIG)], ext='.conf')[0]
        self.patch(_startup, 'load', self.load)
        self.patch(_startup, 'make_api', lambda conf, problem: self.api)
        self.closed = threading.Event()
        self.driver.close = self.closed.set

    def patch(self, where: Any, name: str, value: Any) -> None:
        self.useFixture(fixtures.MockPatchObject(where, name, value))

    def load(self) -> tuple[cfg.ConfigOpts, None]:
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        return conf, None

    def run_cli(self, *words: str) -> int:
        """Run a command; return its exit status."""
        self.out, self.err = io.StringIO(), io.StringIO()
        self.app = cli.Cli(stdout=self.out, stderr=self.err)
        try:
            return self.app.run(['--config-file', self.path, *words])
        except SystemExit as error:
            return error.code or 0

    def run_json(self, *words: str) -> Any:
        self.status = self.run_cli(*words, '-f', 'json')
        return json.loads(self.out.getvalue())

    @property
    def warnings(self) -> list[str]:
        """The lines on standard error."""
        return self.err.getvalue().splitlines()


class ListTest(CliTest):
    def setUp(self) -> None:
        super().setUp()
        self.register('a', 'c', disabled=True)
        self.driver.tell(b='held')

    def test_a_table(self) -> None:
        self.assertEqual(0, self.run_cli('member', 'list'))
        rows = [
            [each.strip() for each in line.strip('|').split('|')]
            for line in self.out.getvalue().splitlines()
            if line.startswith('|')
        ]
        self.assertEqual(
            [
                [
                    'Host',
                    'State',
                    'Since',
                    'Proof age',
                    'Processes',
                    'Condition',
                    'Condition since',
                ],
                ['a', 'up', JOINED, '1.0', '3', '-', '-'],
                ['b', 'held', JOINED, '1.0', '3', '-', '-'],
                ['c', 'down', '-', '-', '-', '-', '-'],
            ],
            rows,
        )
        self.assertEqual([], self.warnings)

    def test_a_group_is_read_once(self) -> None:
        where = views.Incarnation('x', machine='m1')
        for host, each in self.driver.members.items():
            self.driver.members[host] = dataclasses.replace(
                each, incarnations=(where,)
            )
        self.driver.view = mock.Mock(side_effect=self.driver.view)
        self.assertEqual(0, self.run_cli('member', 'list', '--long'))
        self.driver.view.assert_called_once()

    def test_json_has_plain_values(self) -> None:
        self.assertEqual(
            [
                {
                    'Host': 'a',
                    'State': 'up',
                    'Since': JOINED,
                    'Proof age': 1.0,
                    'Processes': 3,
                    'Condition': None,
                    'Condition since': None,
                },
                {
                    'Host': 'c',
                    'State': 'down',
                    'Since': None,
                    'Proof age': None,
                    'Processes': None,
                    'Condition': None,
                    'Condition since': None,
                },
            ],
            self.run_json('member', 'list')[::2],
        )

    def test_yaml_has_the_same_values(self) -> None:
        found = self.run_json('member', 'list', '--long')
        self.run_cli('member', 'list', '--long', '-f', 'yaml')
        self.assertEqual(found, yaml.safe_load(self.out.getvalue()))

    def test_csv_and_value(self) -> None:
        self.run_cli('member', 'list', '--long', '-f', 'csv')
        rows = list(csv.DictReader(io.StringIO(self.out.getvalue())))
        self.assertEqual('old,new,unknown', rows[0]['Incarnations'])
        self.assertEqual('', rows[2]['Proof age'])
        self.assertIn(f'"{JOINED}",1.0,3,', self.out.getvalue())
        self.assertEqual(
            ['True', 'False', 'True'], [each['Registered'] for each in rows]
        )
        self.run_cli('member', 'list', '-f', 'value')
        self.assertEqual(
            ['a', 'up', JOINED, '1.0', '3'], self.out.getvalue().split()[:5]
        )
        self.assertEqual(
            'c down - - - - -', self.out.getvalue().splitlines()[2]
        )

    def test_long(self) -> None:
        self.driver.members['a'] = dataclasses.replace(
            self.driver.members['a'],
            incarnations=(
                views.Incarnation('x', None, 'm2', 7, 'zk'),
                views.Incarnation('y', None, 'm1', 8, 'zk'),
            ),
        )
        a, b, c = self.run_json('member', 'list', '--long')
        self.assertEqual(
            (['x', 'y'], ['m1', 'm2'], ['zk'], True, True),
            (
                a['Incarnations'],
                a['Machines'],
                a['Reads'],
                a['Registered'],
                a['Disabled'],
            ),
        )
        self.assertEqual((False, None), (b['Registered'], b['Disabled']))
        self.assertTrue(self.driver.detailed)

    def test_a_slow_backend_is_read_again_while_it_has_more(self) -> None:
        places: list[str | None] = [None, None, None]
        found = iter(enumerate(['m1', 'm2']))

        def view(group: str, detailed: views.Detailed) -> views.View:
            for number, place in itertools.islice(found, bool(detailed)):
                places[number] = place
            processes = [views.Incarnation('x', machine=m) for m in places]
            a = views.Member('a', group, True, False, 1.0, tuple(processes))
            return views.View((a,), 0.0)

        self.driver.view = view
        found = self.run_json('member', 'list', '--long')
        self.assertEqual(['m1', 'm2'], found[0]['Machines'])

    def test_only_long_asks_where_members_run(self) -> None:
        self.run_cli('member', 'list')
        self.assertFalse(self.driver.detailed)

    def test_degraded_and_draining_members_have_conditions(self) -> None:
        self.driver.tell(a='degraded', b='draining')
        self.assertEqual(
            [
                ('degraded', 'rpc', JOINED, UNFIT_SINCE),
                ('draining', 'rpc', JOINED, UNFIT_SINCE),
                ('down', None, None, None),
            ],
            [
                (
                    each['State'],
                    each['Condition'],
                    each['Since'],
                    each['Condition since'],
                )
                for each in self.run_json('member', 'list')
            ],
        )
        found = self.run_json('member', 'list', '--state', 'degraded')
        self.assertEqual(['a'], [each['Host'] for each in found])
        self.assertEqual(0, self.status)

    def test_a_check_that_is_ignored_since_it_fails_on_many(
        self,
    ) -> None:
        self.driver.ignored = ('rpc', 'virt')
        self.assertEqual(0, self.run_cli('member', 'list'))
        (line,) = self.warnings
        self.assertIn('rpc, virt', line)

    def test_states_are_chosen(self) -> None:
        self.register('d', forced_down=True)
        for states, hosts in (
            (['up'], ['a']),
            (['held', 'forced down'], ['b', 'd']),
        ):
            words = [word for each in states for word in ('--state', each)]
            found = self.run_json('member', 'list', *words)
            self.assertEqual(hosts, [each['Host'] for each in found])
        self.assertEqual(2, self.run_cli('member', 'list', '--state', 'x'))

    def test_unknown_values_are_sorted_last(self) -> None:
        found = self.run_json(
            'member', 'list', '--sort-column', 'Since', '--sort-column', 'Host'
        )
        self.assertEqual('c', found[-1]['Host'])
        self.assertEqual([], self.warnings)

    def test_another_group(self) -> None:
        self.run_cli('member', 'list', 'conductor')
        self.assertEqual('conductor', self.driver.group)

    def test_without_the_services_table(self) -> None:
        self.records = None
        found = self.run_json('member', 'list', '--long')
        self.assertEqual(['a', 'b'], [each['Host'] for each in found])
        self.assertEqual([None, None], [each['Registered'] for each in found])
        self.assertEqual(0, self.status)
        (line,) = self.warnings
        self.assertIn('down are not listed', line)
        self.assertIn('services table: away', line)

    def test_a_backend_that_never_answers(self) -> None:
        self.driver.lose(age=None)
        self.driver.tell(a='down', b='down')
        self.driver.presumes = True
        found = self.run_json('member', 'list', '--wait', '0')
        self.assertEqual(['held', 'held'], [each['State'] for each in found])
        self.assertEqual(2, self.status)
        (line,) = self.warnings
        self.assertIn('state of the members is unknown', line)
        self.assertIn('ZooKeeper: mute', line)

    def test_a_backend_that_answers_in_time(self) -> None:
        self.driver.lose(age=None)
        self.patch(member.time, 'sleep', lambda _: self.driver.find())
        self.assertEqual(0, self.run_cli('member', 'list'))
        self.assertEqual([], self.warnings)

    def test_no_wait_without_access(self) -> None:
        self.driver.lose(age=None, error=exceptions.NoAccess('x', 'none'))
        self.patch(member.time, 'sleep', self.fail)
        self.assertEqual(2, self.run_cli('member', 'list'))

    def test_hosts_that_are_presumed_up_are_counted(self) -> None:
        self.driver.presumes = True
        self.assertEqual(0, self.run_cli('member', 'list'))
        self.assertEqual(['1'], [line.split()[0] for line in self.warnings])

    def test_an_old_view_is_reported(self) -> None:
        self.driver.lose(age=7.0)
        self.assertEqual(0, self.run_cli('member', 'list'))
        (line,) = self.warnings
        self.assertIn('7.0 s ago', line)
        self.assertIn('ZooKeeper: mute', line)


#: A name that would control a terminal.
NAME = 'x\x1b]0;t\x07\x1b[2J\n\x9b\u202e\udcff'
SHOWN = r'x\x1b]0;t\x07\x1b[2J\n\x9b\u202e\udcff'


class EscapingTest(CliTest):
    """Names and values that others may have written."""

    def setUp(self) -> None:
        super().setUp()
        self.register(NAME, disabled=True, disabled_reason=f'why {NAME}')
        self.driver.tell(**{NAME: 'up'})
        member = self.driver.members[NAME]
        process = views.Incarnation(NAME, 0.0, NAME, 7, NAME)
        self.driver.members[NAME] = dataclasses.replace(
            member, incarnations=(process, process)
        )

    def assert_shown(self) -> None:
        lines = self.out.getvalue().splitlines()
        for line in [*lines, *self.warnings]:
            self.assertTrue(line.isprintable(), line)
        self.assertIn(SHOWN, self.out.getvalue().replace('\\\\', '\\'))

    def test_tables_show_them_as_escapes(self) -> None:
        for words in (
            ('list', '--long', '-f', 'table', '--max-width', '0'),
            ('list', '--long', '-f', 'csv'),
            ('list', '--long', '-f', 'value'),
            ('show', NAME, '-f', 'table'),
            ('show', NAME, '-f', 'shell'),
            ('show', NAME, '-f', 'value'),
        ):
            self.assertEqual(0, self.run_cli('member', *words))
            self.assert_shown()

    def test_json_and_yaml_have_them_as_they_are(self) -> None:
        for words in (('list', '--long'), ('show', NAME)):
            found = self.run_json('member', *words)
            self.assertTrue(self.out.getvalue().isascii())
            entry = found[-1] if words[0] == 'list' else found
            self.assertEqual(NAME, entry['Host'])
            for line in self.out.getvalue().splitlines():
                self.assertTrue(line.isprintable(), line)
            self.run_cli('member', *words, '-f', 'yaml')
            for line in self.out.getvalue().splitlines():
                self.assertTrue(line.isprintable(), line)

    def test_a_warning_is_one_line(self) -> None:
        self.run_cli('member', 'show', f'{NAME}2')
        self.assertEqual(1, len(self.warnings))
        self.assertTrue(self.warnings[0].isprintable())
        self.driver.lose(None, exceptions.BackendError('zk', NAME))
        self.run_cli('member', 'list', '--wait', '0')
        self.assertEqual(1, len(self.warnings))
        self.assertIn(SHOWN, self.warnings[0])


class ShowTest(CliTest):
    def setUp(self) -> None:
        super().setUp()
        self.register('a', 'b', 'c', disabled_reason='broken fan')

    def show(self, host: str, *words: str) -> tuple[int, str, str]:
        found = self.run_json('member', 'show', host, *words)
        return self.status, found['State'], found['Reason']

    def test_up(self) -> None:
        self.assertEqual(
            (0, 'up', 'its last proof of life is 1.0 s old'), self.show('a')
        )

    def test_held(self) -> None:
        self.driver.tell(a='held')
        self.assertEqual(
            (0, 'held', 'not seen for 1.0 s, but that is no evidence'),
            self.show('a'),
        )

    def test_missing(self) -> None:
        self.assertEqual(
            (1, 'down', 'missing from a group that was just confirmed'),
            self.show('c'),
        )

    def test_late(self) -> None:
        self.driver.members['a'] = views.Member(
            'a', 'compute', False, proof_age=75.0
        )
        self.assertEqual((1, 'down', 'not seen for 75.0 s'), self.show('a'))

    def test_forced_down(self) -> None:
        self.register('a', forced_down=True)
        self.assertEqual(
            (1, 'forced down', 'an operator has declared it down'),
            self.show('a'),
        )

    def test_forced_down_while_blind(self) -> None:
        self.register('a', forced_down=True)
        self.driver.lose(age=None)
        self.assertEqual(1, self.show('a', '--wait', '0')[0])

    def test_a_presumption_is_no_verdict(self) -> None:
        self.driver.presumes = True
        status, state, reason = self.show('c', '--wait', '0')
        self.assertEqual((2, 'held'), (status, state))
        self.assertIn('not known yet which hosts', reason)

    def test_a_verdict_is_waited_for(self) -> None:
        self.driver.presumes = True
        self.patch(
            member.time,
            'sleep',
            lambda _: setattr(self.driver, 'presumes', False),
        )
        self.assertEqual((1, 'down'), self.show('c')[:2])

    def test_all_that_is_known(self) -> None:
        found = self.run_json('member', 'show', 'a')
        self.assertEqual(
            {'name': 'old', 'since': JOINED},
            {
                name: value
                for name, value in found['Incarnations'][0].items()
                if value is not None
            },
        )
        self.assertEqual('broken fan', found['Disabled reason'])
        self.assertEqual('zk', found['Driver'])
        self.assertEqual({'a'}, self.driver.detailed)

    def test_a_table_shows_processes_in_lines(self) -> None:
        self.run_cli('member', 'show', 'a')
        self.assertIn(f'old, since {JOINED}', self.out.getvalue())

    def test_an_unknown_host(self) -> None:
        self.assertEqual(2, self.run_cli('member', 'show', 'x'))
        self.assertEqual(
            [
                'x is no member of group compute, and Nova has no such '
                'service on record.'
            ],
            self.warnings,
        )

    def test_an_unknown_host_without_the_services_table(self) -> None:
        self.records = None
        self.assertEqual(2, self.run_cli('member', 'show', 'x'))
        self.assertIn('may be down, or unknown (services', self.warnings[0])

    def test_an_unknown_host_while_blind(self) -> None:
        self.driver.lose(age=None)
        words = ('member', 'show', 'x', '--wait', '0')
        self.assertEqual(2, self.run_cli(*words))
        (line,) = self.warnings
        self.assertIn('ZooKeeper: mute', line)


class EvidenceTest(CliTest):
    """Why hosts are down, where each has an agent."""

    options = test_watcher.AGENTS

    def make_driver(self) -> test_watcher.AgentsDriver:
        return test_watcher.AgentsDriver()

    def setUp(self) -> None:
        super().setUp()
        self.register('a', 'b', 'c')
        self.driver.tell(b='down')
        self.driver.agents = {'a': 'up', 'b': 'process-died'}

    def evidence(self, *words: str) -> list[str | None]:
        found = self.run_json('member', 'list', *words)
        return [each['Evidence'] for each in found]

    def test_a_list_has_it_last(self) -> None:
        for words in ((), ('--long',)):
            self.assertEqual(
                [None, 'process-died', 'silent'], self.evidence(*words)
            )
            found = self.run_json('member', 'list', *words)
            self.assertEqual('Evidence', list(found[0])[-1])

    def test_a_table_csv_and_yaml(self) -> None:
        self.run_cli('member', 'list')
        last = [
            line.strip('|').split('|')[-1].strip()
            for line in self.out.getvalue().splitlines()
            if line.startswith('|')
        ]
        self.assertEqual(['Evidence', '-', 'process-died', 'silent'], last)
        self.run_cli('member', 'list', '-f', 'csv')
        rows = list(csv.DictReader(io.StringIO(self.out.getvalue())))
        self.assertEqual(
            ['', 'process-died', 'silent'], [each['Evidence'] for each in rows]
        )
        self.run_cli('member', 'list', '-f', 'yaml')
        self.assertEqual(
            [None, 'process-died', 'silent'],
            [each['Evidence'] for each in yaml.safe_load(self.out.getvalue())],
        )

    def test_without_agents_only_a_long_list_has_it(self) -> None:
        self.api.has_agents = False
        self.assertNotIn('Evidence', self.run_json('member', 'list')[0])
        self.assertEqual([None, 'unknown', 'unknown'], self.evidence('--long'))
        self.assertNotIn('host', self.driver.asked)

    def test_one_host(self) -> None:
        self.register('d', forced_down=True)
        for host, evidence in (
            ('a', None),
            ('b', 'process-died'),
            ('c', 'silent'),
            ('d', 'forced'),
        ):
            found = self.run_json('member', 'show', host)
            self.assertEqual(evidence, found['Evidence'])


class ErrorTest(CliTest):
    """Every error is reported in one line, with status 2."""

    def assert_error(self, text: str, *words: str) -> None:
        self.assertEqual(2, self.run_cli(*words))
        (line,) = self.warnings
        self.assertIn(text, line)
        self.assertEqual('', self.out.getvalue())

    def configure(self, text: str) -> None:
        self.path = self.create_tempfiles([('nova', text)], ext='.conf')[0]

    def test_a_missing_file(self) -> None:
        self.assert_error(
            '/nowhere', '--config-file=/nowhere', 'member', 'list'
        )

    def test_a_directory_in_place_of_a_file(self) -> None:
        self.path = os.path.dirname(self.path)
        self.assert_error(self.path, 'member', 'list')

    def test_a_file_that_cannot_be_parsed(self) -> None:
        self.configure(f'[zookeeper]\n{SECRET}: a: b\n{SECRET}\n')
        self.assert_error(f'{self.path}:3: neither', 'member', 'list')
        self.assertNotIn(SECRET, self.warnings[0])

    def test_a_value_that_cannot_be_used(self) -> None:
        self.configure('[servicegroup]\nrefresh_interval = often\n')
        self.assert_error('often', 'watch', '--for', '0')

    def test_an_unknown_driver(self) -> None:
        self.assert_error(
            "--driver = 'ldap'", '--driver=ldap', 'member', 'list'
        )

    def test_a_chosen_driver(self) -> None:
        found = self.run_json('--driver', 'mc', 'member', 'show', 'a')
        self.assertEqual('mc', found['Driver'])

    def test_an_interval_that_cannot_be_used(self) -> None:
        self.assert_error('--interval = 0.01', 'watch', '--interval', '0.01')

    def test_a_number_of_seconds_that_cannot_be_used(self) -> None:
        for text in ('soon', '-1', 'inf', 'nan'):
            self.assertRaises(
                argparse.ArgumentTypeError, member._command.seconds, text
            )

    def test_a_driver_that_cannot_be_made(self) -> None:
        self.patch(
            _startup,
            'make_api',
            mock.Mock(
                side_effect=exceptions.ConfigurationError(
                    '[zookeeper] address', f'zk://nova:{SECRET}@h', 'hosts'
                )
            ),
        )
        self.assert_error('[zookeeper] address', 'member', 'list')
        self.assertNotIn(SECRET, self.warnings[0])

    def test_a_driver_without_servers(self) -> None:
        self.driver.servers = []
        self.assert_error('every process sees only itself', 'member', 'list')

    def test_a_command_that_cannot_be_loaded(self) -> None:
        module = 'nova_servicegroup.cmd.watch'
        with mock.patch.dict(sys.modules, {module: None}):
            self.assertEqual(2, self.run_cli('watch'))
        errors = [
            line for line in self.warnings if line.startswith('The command')
        ]
        self.assertEqual(
            [
                'The command watch cannot be loaded: ModuleNotFoundError: '
                f'import of {module} halted; None in sys.modules'
            ],
            errors,
        )

    def test_only_the_command_that_is_called_is_imported(self) -> None:
        call = (
            'import sys; from nova_servicegroup.cmd import cli; '
            "cli.Cli().command_manager.find_command(['member', 'list']); "
            "sys.exit('nova_servicegroup.cmd.doctor' in sys.modules)"
        )
        subprocess.run([sys.executable, '-c', call], check=True)

    def test_a_bug(self) -> None:
        self.driver.view = mock.Mock(side_effect=KeyError(f'x {SECRET}'))
        self.assert_error('x ***', 'member', 'list')

    def test_a_bug_with_debug(self) -> None:
        self.driver.view = mock.Mock(side_effect=KeyError(f'x {SECRET}'))
        self.assertEqual(2, self.run_cli('--debug', 'member', 'list'))
        self.assertIn('Traceback', self.err.getvalue())
        self.assertNotIn(SECRET, self.err.getvalue())

    def test_a_log_file_that_cannot_be_written(self) -> None:
        self.patch(cli.Cli, 'print_help_if_requested', self.fail)
        words = ['--log-file=/nowhere/x', 'member', 'list']
        with fixtures.StringStream('err') as stream:
            self.useFixture(fixtures.MonkeyPatch('sys.stderr', stream.stream))
            self.assertEqual(2, self.run_cli(*words))

    def test_no_command_shows_the_help(self) -> None:
        self.path = '/nowhere'
        self.assertEqual(0, self.run_cli())
        self.assertIn('member list', self.out.getvalue())

    def test_help_needs_no_configuration(self) -> None:
        self.path = '/nowhere'
        for words in (['--help'], ['help', 'watch'], ['watch', '--help']):
            self.assertEqual(0, self.run_cli(*words))
            self.assertEqual('', self.err.getvalue())


class LoggingTest(CliTest):
    def levels(self, *words: str) -> set[str]:
        """Return the levels at which the log of a library is shown."""
        self.run_cli(*words, 'member', 'list')
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            logging.getLogger('tooz').log(level, logging.getLevelName(level))
        return set(self.warnings)

    def test_the_log_of_libraries_is_shown_on_demand(self) -> None:
        self.register('a')
        self.assertEqual({'ERROR'}, self.levels())
        self.assertEqual({'ERROR', 'INFO'}, self.levels('-v'))
        self.assertLess({'ERROR', 'INFO', 'DEBUG'}, self.levels('-vv'))


class EndTest(CliTest):
    def test_connections_are_closed(self) -> None:
        self.run_cli('member', 'list')
        self.assertTrue(self.closed.is_set())
        self.assertFalse(self.app.unclosed)

    def test_the_wait_for_a_mute_backend_is_bounded(self) -> None:
        self.driver.close = threading.Event().wait
        self.patch(cli, '_CLOSE_TIMEOUT', 0.0)
        self.assertEqual(0, self.run_cli('member', 'list'))
        self.assertTrue(self.app.unclosed)


class MainTest(CliTest):
    """The program as a whole."""

    def main(self, *words: str) -> int:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        argv = ['nova-servicegroup', *words]
        self.useFixture(fixtures.MonkeyPatch('sys.argv', argv))
        self.stream = self.useFixture(fixtures.StringStream('out')).stream
        self.useFixture(fixtures.MonkeyPatch('sys.stdout', self.stream))
        return cli.main()

    def test_its_status_is_that_of_the_command(self) -> None:
        self.assertEqual(0, self.main('--version'))
        self.assertEqual(2, self.main('nothing'))

    def test_garbage_is_seldom_collected(self) -> None:
        self.main('--version')
        self.assertGreater(gc.get_threshold()[0], 10000)

    def test_threads_of_libraries_do_not_hold_it_up(self) -> None:
        end = self.useFixture(fixtures.MockPatchObject(os, '_exit')).mock
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait)
        thread.start()
        try:
            self.main('nothing')
        finally:
            gate.set()
            thread.join()
        end.assert_called_once_with(2)

    def test_a_pipe_that_nobody_reads(self) -> None:
        ours, theirs = os.pipe()
        os.close(ours)
        with open(theirs, 'w') as stream:
            stream.write('x')
            self.useFixture(fixtures.MonkeyPatch('sys.stdout', stream))
            cli._flush()


class CompleteTest(CliTest):
    def test_bash_understands_it(self) -> None:
        self.path = '/nowhere'
        self.assertEqual(0, self.run_cli('complete'))
        script = self.out.getvalue()
        subprocess.run(['bash', '-n'], input=script, text=True, check=True)
        self.assertIn("cmds_member='list show'", script)
        for option in ('--long', '--state', '--for', '--json'):
            self.assertIn(option, script)


class WatchTest(CliTest):
    """One look; see test_watch for what follows."""

    def test_the_first_look(self) -> None:
        self.register('a', 'b', 'c')
        self.assertEqual(0, self.run_cli('watch', '--json', '--for', '0'))
        begun = json.loads(self.out.getvalue())
        self.assertEqual([], self.warnings)
        counts = {
            'up': 2,
            'held': 0,
            'degraded': 0,
            'draining': 0,
            'down': 1,
            'forced down': 0,
        }
        self.assertEqual(
            ('begun', 'compute', counts),
            (begun['event'], begun['group'], begun['counts']),
        )

    def test_without_the_services_table(self) -> None:
        self.assertEqual(0, self.run_cli('watch', '--for', '0', 'a', 'b'))
        (line,) = self.warnings
        self.assertIn(
            'forced-down hosts are unknown (services table: away)', line
        )

    def test_each_group_once(self) -> None:
        self.run_cli('watch', '--for', '0', 'b', 'a', 'b')
        groups = [line.split()[1] for line in self.out.getvalue().splitlines()]
        self.assertEqual(['b', 'a'], groups)

    def test_nothing_was_seen(self) -> None:
        self.driver.lose(age=None, error=exceptions.BackendError('x', SECRET))
        self.assertEqual(2, self.run_cli('watch', '--for', '0'))
        self.assertIn('lost: x: ***', self.out.getvalue())

    def test_a_signal_ends_it(self) -> None:
        self.driver.view = lambda *_: signal.raise_signal(signal.SIGTERM)
        before = signal.getsignal(signal.SIGTERM)
        self.assertEqual(0, self.run_cli('watch'))
        self.assertEqual(before, signal.getsignal(signal.SIGTERM))

    def test_a_reader_that_has_gone_ends_it(self) -> None:
        ours, theirs = os.pipe()
        os.close(ours)
        with open(theirs, 'w') as stream:
            self.assertTrue(watch._wait(stream, 60.0))

    def test_a_reader_that_does_not_read_delays_nothing(self) -> None:
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        os.set_blocking(theirs, False)
        with open(theirs, 'wb', buffering=0) as stream:
            while stream.write(b'x' * 65536):
                pass
            with watch._ended_by_signals(stream):
                signal.raise_signal(signal.SIGINT)
            os.set_blocking(theirs, True)
            self.assertEqual(1, stream.write(b'x'))


class RecordsTest(base.TestCase):
    """The services table where it cannot be reached."""

    def test_the_reason_why_there_is_no_access(self) -> None:
        conf = self.make_conf()
        made = _startup.make_api(conf, 'ImportError: no nova')
        error = self.assertRaises(
            exceptions.NoAccess, made.driver.read_records, 'compute'
        )
        self.assertIn('no nova', str(error))
