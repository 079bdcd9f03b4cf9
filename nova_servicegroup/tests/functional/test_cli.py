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


"""The command line, with real servers and real members."""

from collections.abc import Sequence
import json
import pathlib
import signal
import socket
import subprocess
import time
from typing import Any

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import test_db
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import command
from nova_servicegroup.tests.harness import server

#: Seconds in which a command ends, and in which a mute backend is noticed.
ENDS_WITHIN = 1.0
#: What a busy machine adds to that: Python's own end takes some computing.
BUSY = 9.0
LOST_WITHIN = 5.0
WAIT = 1.0


class CliContract(contract.Contract):
    """What the commands do alike with zk and mc."""

    def backends(self) -> Sequence[server.Server]:
        """Return all servers."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Make all servers mute."""
        for each in self.backends():
            each.freeze()
            self.addCleanup(each.thaw)  # type: ignore[attr-defined]

    def run_cli(self, *words: str) -> 'subprocess.CompletedProcess[str]':
        return command.run(self.config, *words)

    def start_watch(self, *words: str) -> command.Watch:
        """Return a watch that has seen the group."""
        watch = command.Watch(self.config, *words)
        self.addCleanup(watch.close)  # type: ignore[attr-defined]
        watch.wait(contract.START, 'begun')
        return watch

    def assert_ends(self, watch: command.Watch, how: Any) -> None:
        status, taken, errors = watch.end(how)
        self.measured('it ends after', taken)
        self.assertEqual((0, ''), (status, _other(errors)))
        self.assert_within(taken, ENDS_WITHIN + BUSY)

    def test_list_and_show(self) -> None:
        begun = int(time.time())
        member = self.running('host1')
        listed = self.run_cli('member', 'list', '--long', '-f', 'json')
        self.assertEqual(0, listed.returncode, listed.stderr)
        self.assertIn('down are not listed', listed.stderr)
        (host,) = json.loads(listed.stdout)
        self.assertEqual(
            ('host1', 'up', 1, [socket.gethostname()], [self.driver]),
            tuple(
                host[name]
                for name in ('Host', 'State', 'Processes', 'Machines', 'Reads')
            ),
        )
        self.assertLess(host['Proof age'], contract.START)
        shown = self.run_cli('member', 'show', 'host1', '-f', 'json')
        self.assertEqual(0, shown.returncode, shown.stderr)
        (process,) = json.loads(shown.stdout)['Incarnations']
        self.assertEqual(member.pid, process['pid'])
        self.assertGreaterEqual(process['since'], _iso(begun))
        unknown = self.run_cli('member', 'show', 'host2')
        self.assertEqual((2, ''), (unknown.returncode, unknown.stdout))
        self.assertIn('host2 is no member', unknown.stderr)

    def test_a_death_is_seen_as_it_happens(self) -> None:
        killed = self.running('host1')
        watch = self.start_watch()
        moment = time.monotonic()
        killed.kill()
        down = watch.wait(
            contract.START, 'transition', host='host1', state='down'
        )
        self.measured('SIGKILL to line', down - moment)
        self.assert_within(down - moment, self.down_within + faults.NOISE)
        self.assert_ends(
            watch, lambda: watch.process.send_signal(signal.SIGTERM)
        )

    def test_who_is_of_no_use(self) -> None:
        member = self.running('host1')
        watch = self.start_watch()
        member.mark('degraded:rpc:1700000000')
        watch.wait(
            contract.START,
            'transition',
            host='host1',
            state='degraded',
            condition={
                'state': 'degraded',
                'reason': 'rpc',
                'since': _iso(1700000000),
            },
        )
        shown = self.run_cli('member', 'show', 'host1', '-f', 'json')
        self.assertEqual(0, shown.returncode, shown.stderr)
        found = json.loads(shown.stdout)
        self.assertEqual(
            ('degraded', 'rpc', _iso(1700000000)),
            (found['State'], found['Condition'], found['Condition since']),
        )
        member.mark(None)
        watch.wait(
            contract.START,
            'transition',
            host='host1',
            before='degraded',
            state='up',
        )

    def test_a_mute_backend(self) -> None:
        self.running('host1')
        watch = self.start_watch()
        self.freeze()
        watch.wait(LOST_WITHIN, 'lost', group='compute')
        listed = self.run_cli('member', 'list', '--wait', f'{WAIT}')
        self.assertEqual((2, '\n'), (listed.returncode, listed.stdout))
        self.assertEqual(1, len(_other(listed.stderr).splitlines()))
        for each in self.backends():
            each.thaw()
        watch.wait(contract.START, 'recovered')
        self.freeze()
        # While a question is on its way, or soon after.
        time.sleep(faults.NOISE)
        self.assert_ends(
            watch, lambda: watch.process.send_signal(signal.SIGINT)
        )
        self.assertNotIn(
            'down', [each.get('state') for each in watch.events()]
        )


class ZooKeeperTest(
    test_zk.ZooKeeperBackend, CliContract, contract.FunctionalTestCase
):
    def backends(self) -> Sequence[server.Server]:
        return [self.server]

    def test_a_pipe_that_closes(self) -> None:
        piped = subprocess.Popen(
            [command.PROGRAM, '--config-file', self.config, 'watch'],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(piped.kill)
        piped.stdout.readline()
        piped.stdout.close()
        begun = time.monotonic()
        self.assertEqual(0, piped.wait(contract.START))
        self.assert_within(time.monotonic() - begun, ENDS_WITHIN + BUSY)
        self.assertEqual('', _other(piped.stderr.read()))
        piped.stderr.close()


class MemcachedTest(
    test_mc.MemcachedBackend, CliContract, contract.FunctionalTestCase
):
    def backends(self) -> Sequence[server.Server]:
        return self.servers


class CacheTest(
    test_mc.MemcachedBackend, contract.Contract, contract.FunctionalTestCase
):
    """The servers of Nova's cache, where Nova is not installed."""

    def options(self) -> tuple[str, str]:
        places = [each.address.split(':') for each in self.servers]
        servers = ','.join(f'inet:[{host}]:{port}' for host, port in places)
        return '', (
            f'[cache]\nmemcache_servers = {servers}\n'
            f'[memcached]\nkey_prefix = {self.unique}\n'
        )

    def test_every_program_asks_the_servers_of_the_cache(self) -> None:
        self.running('host1')
        shown = command.run(
            self.config, 'member', 'list', '-f', 'value', '-c', 'Host'
        )
        self.assertEqual((0, 'host1\n'), (shown.returncode, shown.stdout))
        checked = command.run_program(
            'nova-servicegroup-status',
            '--config-file',
            self.config,
            *('upgrade', 'check', '--json'),
        )
        *_, answer = json.loads(checked.stdout)['checks']
        self.assertEqual('Backend answers', answer['check'])
        for each in self.servers:
            self.assertIn(f'memcached {each.address}', answer['details'])


class NoServersTest(contract.FunctionalTestCase):
    """Who looks on from another process would see nobody."""

    def test_every_program_says_so(self) -> None:
        config = pathlib.Path(
            self.create_tempfiles(
                [('nova', '[DEFAULT]\nservicegroup_driver = mc\n')], '.conf'
            )[0]
        )
        for program, *words in (
            ('nova-servicegroup', 'member', 'list'),
            ('nova-servicegroup-exporter',),
            ('nova-servicegroup-monitor',),
            ('nova-servicegroup-status', 'upgrade', 'check', '--json'),
        ):
            done = command.run_program(
                program, '--config-file', config, *words
            )
            self.assertEqual(2, done.returncode, done.stderr)
            self.assertIn('sees only itself', done.stdout + done.stderr)


class DatabaseTest(
    test_db.DatabaseBackend, contract.Contract, contract.FunctionalTestCase
):
    """Without a Nova; with one, see the tests of it."""

    def test_why_nothing_can_be_told(self) -> None:
        for words in (
            ('member', 'list'),
            ('member', 'show', 'host1'),
            ('watch', '--for', '0'),
        ):
            done = command.run(self.config, *words)
            self.assertEqual(2, done.returncode)
            self.assertIn(
                'services table: Nova cannot be', done.stderr + done.stdout
            )


def _other(errors: str) -> str:
    """Return what is told beyond the lack of a services table."""
    lines = errors.splitlines(keepends=True)
    return ''.join(each for each in lines if 'services table' not in each)


def _iso(seconds: float) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%S+00:00', time.gmtime(seconds))
