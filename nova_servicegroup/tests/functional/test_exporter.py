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


"""The exporter as a process, with real servers and members."""

import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

from prometheus_client import parser

from nova_servicegroup import diagnostics
from nova_servicegroup.exporter import service
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_mc
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import exporter
from nova_servicegroup.tests.harness import pki
from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import systemd

#: Seconds in which it ends, whatever happens; and what a busy machine adds.
ENDS_WITHIN = 2.0
NOISE = 0.5


class Exported(contract.Contract):
    """An exporter, and what it says."""

    def make_exporter(self, **options: object) -> exporter.Exporter:
        """Return an exporter that has not been started."""
        made = exporter.Exporter(
            self.directory / 'exporter', self.config, options
        )
        self.addCleanup(made.kill)
        return made

    def exporting(self, **options: object) -> None:
        """Start an exporter; wait until it has read the group."""
        self.exporter = self.make_exporter(**options)
        self.exporter.start()
        self.wait(lambda: self.value('blind') == 0, contract.START)

    def wait(self, check: object, within: float) -> float:
        return process.wait_until(
            lambda: self.answers() and check(), within, 0.05
        )

    def answers(self) -> bool:
        """Scrape once; what was said is kept for value()."""
        try:
            text = self.exporter.scrape()
        except OSError:
            return False
        self.samples = [
            sample
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        ]
        return True

    def value(self, name: str, **labels: str) -> float | None:
        """Return what the last scrape has said of group compute."""
        for each in self.samples:
            its = {'group': contract.GROUP, **each.labels}
            if each.name == f'nova_servicegroup_{name}' and (
                {'group': contract.GROUP, **labels}.items() <= its.items()
            ):
                return each.value
        return None

    def label(self, name: str, label: str) -> str:
        return next(
            each.labels[label]
            for each in self.samples
            if each.name == f'nova_servicegroup_{name}'
        )

    def is_ready(self) -> bool:
        """Return whether all groups are known."""
        return self.exporter.fetch('/readyz') == (200, 'ok\n')

    def beats(self) -> float:
        return self.value('canary_beats_total') or 0.0

    def end(self) -> float:
        """Send SIGTERM; return the seconds until it has ended."""
        self.exporter.signal(signal.SIGTERM)
        return process.wait_until(
            lambda: not self.exporter.running, 20, 0.01, 'it ends'
        )


class ExporterContract(Exported):
    """What it must do with every backend. Give ``freeze`` and ``thaw``."""

    def freeze(self) -> None:
        raise NotImplementedError

    def thaw(self) -> None:
        raise NotImplementedError

    def go_blind(self) -> None:
        """Export one member, until the backend freezes."""
        self.running('host1')
        self.exporting()
        self.wait(lambda: self.beats() > 0, contract.START)
        self.freeze()
        self.addCleanup(self.thaw)
        self.wait(lambda: self.value('blind') == 1, 10)

    def test_a_killed_member(self) -> None:
        killed = self.running('host1')
        self.running('host2')
        self.exporting()
        self.wait(
            lambda: self.value('members', state='up') == 2, contract.START
        )
        self.assertEqual(self.driver, self.label('build_info', 'driver'))
        killed.kill()
        self.wait(
            lambda: self.value('members', state='down') == 1,
            self.down_within + contract.START,
        )
        self.assertEqual(1, self.value('members', state='up'))
        change = {'from': 'up', 'to': 'down'}
        self.assertEqual(1, self.value('transitions_total', **change))
        self.assertEqual(1, self.value('detection_seconds_count'))
        # A member is proven until the backend drops it.
        took = self.value('detection_seconds_sum')
        self.measured('from the last proof to the verdict', took)
        self.assertGreater(took, 0.0)
        self.assertLess(took, self.down_within)

    def test_the_page_for_people(self) -> None:
        killed = self.running('host1')
        self.exporting()
        self.wait(self.is_ready, contract.START)
        self.assertIn('All services are up', self.exporter.fetch('/')[1])
        killed.kill()
        self.wait(
            lambda: '<title>1 down' in self.exporter.fetch('/')[1],
            self.down_within + contract.START,
        )
        text = self.exporter.fetch('/?host=HOST1')[1]
        self.assertIn('missing from a group that was just confirmed', text)
        self.assertIn('1 of 1 match', text)
        self.assertNotIn('missing', self.exporter.fetch('/?host=x')[1])

    def test_who_is_of_no_use(self) -> None:
        member = self.running('host1')
        self.exporting(per_host=True)
        member.mark('draining:stopping:1700000000')
        self.wait(
            lambda: self.value('unfit_members', state='draining') == 1,
            contract.START,
        )
        self.assertEqual(1, self.value('members', state='up'))
        self.assertEqual(1, self.value('member_up', host='host1'))
        name = 'member_unfit_since_timestamp_seconds'
        since = self.value(name, host='host1', reason='stopping')
        self.assertEqual(1700000000, since)
        member.mark(None)
        self.wait(
            lambda: self.value('unfit_members', state='draining') == 0,
            contract.START,
        )

    def test_the_canary_beats_and_leaves(self) -> None:
        begun = time.time()
        self.exporting()
        self.wait(lambda: self.beats() > 1, contract.START)
        self.assertEqual(0, self.value('canary_beat_failures_total'))
        last = self.value('canary_last_success_timestamp_seconds')
        self.assertGreater(last, begun)
        self.assertLessEqual(last, time.time())
        host = socket.gethostname()
        self.wait_up(host, service.GROUP)
        self.assertLess(self.end(), ENDS_WITHIN + NOISE)
        record = {
            'host': host,
            'topic': service.GROUP,
            'binary': 'any',
            'updated_at': None,
        }
        process.wait_until(
            lambda: not self.api.service_is_up(record),
            self.leaves_within + NOISE,
            what='the canary has left',
        )

    def test_systemd_is_told_how_it_is(self) -> None:
        told = systemd.Systemd(watchdog=1.5)
        self.addCleanup(told.close)
        self.exporter = self.make_exporter()
        self.exporter.env.update(told.env)
        self.exporter.start()
        told.wait('READY=1', contract.START)
        told.wait('STATUS=compute: ready; conductor: ready', contract.START)
        told.wait('WATCHDOG=1', 2.0)
        self.freeze()
        self.addCleanup(self.thaw)
        told.wait('compute: blind for ', contract.START)
        # An outage of the backend is no reason to restart it.
        told.wait('WATCHDOG=1', 2.0)
        told.wait('WATCHDOG=1', 2.0)

    def test_a_report_of_what_it_remembers(self) -> None:
        # Nothing is asked for it.
        self.go_blind()
        self.exporter.signal(signal.SIGUSR2)
        log = self.exporter.log
        process.wait_until(
            lambda: diagnostics.TITLE in log.read_text(), contract.START
        )
        self.assertIn(f' of {service.GROUP} = ', log.read_text())
        self.assertIn('present = 1', log.read_text())
        self.assertTrue(self.exporter.running)

    def test_a_frozen_backend(self) -> None:
        self.go_blind()
        self.assertEqual((200, 'ok\n'), self.exporter.fetch('/healthz'))
        status, text = self.exporter.fetch('/readyz')
        self.assertEqual(503, status)
        self.assertIn('compute: blind for ', text)
        age = self.value('view_age_seconds')
        self.wait(lambda: self.value('view_age_seconds') > age + 1, 5)
        self.wait(lambda: self.value('canary_lost_total') == 1, 10)
        begun = time.monotonic()
        self.exporter.scrape()
        self.measured('scrape while frozen', time.monotonic() - begun)
        begun = time.monotonic()
        status, text = self.exporter.fetch('/')
        self.measured('page while frozen', time.monotonic() - begun)
        self.assertEqual(200, status)
        self.assertIn('Blind for ', text)
        self.assertIn('host1', text)
        self.assertEqual(1, self.value('members', state='up'))
        self.assertGreater(self.value('backend_errors_total'), 0)
        self.assertGreater(self.value('canary_beat_failures_total'), 0)
        self.thaw()
        self.wait(lambda: self.value('blind') == 0, contract.START)
        self.wait(self.is_ready, contract.START)
        self.wait(
            lambda: self.value('canary_recovered_total') == 1, contract.START
        )
        self.freeze()
        self.wait(lambda: self.value('blind') == 1, 10)
        took = self.end()
        self.measured('SIGTERM to the end while frozen', took)
        self.assertLess(took, ENDS_WITHIN + NOISE)


class ZooKeeperTest(
    test_zk.ZooKeeperBackend, ExporterContract, contract.FunctionalTestCase
):
    def freeze(self) -> None:
        self.server.freeze()

    def thaw(self) -> None:
        self.server.thaw()


class MemcachedTest(
    test_mc.MemcachedBackend, ExporterContract, contract.FunctionalTestCase
):
    def freeze(self) -> None:
        for server in self.servers:
            server.freeze()

    def thaw(self) -> None:
        for server in self.servers:
            server.thaw()


class ServerTest(Exported, contract.FunctionalTestCase):
    """How it serves, whatever it sees: here, a server that is away."""

    driver = 'mc'

    @classmethod
    def start_backend(cls) -> None:
        pass

    def options(self) -> tuple[str, str]:
        return 'memcached_servers = 127.0.0.1:1', ''

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            second = self.make_exporter(port=port)
            done = subprocess.run(
                second.argv,
                capture_output=True,
                text=True,
                timeout=contract.START,
                env={**os.environ, 'PYTHONWARNINGS': 'default'},
            )
        self.assertEqual(2, done.returncode, done.stderr)
        (line,) = done.stderr.splitlines()
        self.assertIn('Address already in use', line)
        self.assertIn(f'port = {port}', line)

    def test_its_paths(self) -> None:
        self.exporter = self.make_exporter()
        self.exporter.start()
        self.wait(lambda: self.value('blind') == 1, contract.START)
        for path, status, begin in (
            ('/metrics', 200, '# HELP'),
            ('/healthz', 200, 'ok\n'),
            ('/readyz', 503, 'compute: blind for '),
            ('/', 200, '<!doctype html>'),
            ('/static/status.js', 200, '/*'),
            ('/static/../status.js', 404, 'there is no such page'),
            ('/favicon.ico', 404, 'there is no such page'),
        ):
            found = self.exporter.fetch(path)
            self.assertEqual(status, found[0], path)
            self.assertTrue(found[1].lstrip().startswith(begin), found[1])
            self.assertEqual(
                (status, ''), self.exporter.fetch(path, method='HEAD')
            )
        groups = self.exporter.fetch('/readyz')[1].splitlines()
        self.assertEqual(3, len(groups))

    def test_without_a_page_for_people(self) -> None:
        self.exporter = self.make_exporter(status_page=False)
        self.exporter.start()
        self.wait(lambda: self.value('blind') == 1, contract.START)
        self.assertEqual(404, self.exporter.fetch('/')[0])

    def test_clients_that_take_their_time(self) -> None:
        keys = pki.Pki(self.directory / 'pki')
        for tls in (
            {},
            {'cert_file': keys.server, 'key_file': keys.server_key},
        ):
            self.exporter = self.make_exporter(**tls)
            self.exporter.start()
            port = self.exporter.port
            process.wait_until(
                lambda p=port: not ports.can_bind(p), contract.START
            )
            self._drip(port, begin=b'\x16\x03' if tls else b'GET /metrics')
            self.exporter.kill()

    def _drip(self, port: int, begin: bytes) -> None:
        """Have a client send a byte now and then, and many say nothing."""
        where = '127.0.0.1', port
        threads = pathlib.Path(f'/proc/{self.exporter.pid}/task')
        begun = time.monotonic()
        dripping = socket.create_connection(where)
        dripping.settimeout(0.5)
        self.addCleanup(dripping.close)
        dripping.sendall(begin)

        def is_cut() -> bool:
            try:
                dripping.sendall(b'x')
                return dripping.recv(1) == b''
            except TimeoutError:
                return False
            except OSError:
                return True

        process.wait_until(is_cut, 30, 0.01, 'it is cut')
        taken = time.monotonic() - begun
        self.measured('a client that drips is cut after', taken)
        self.assertLess(taken, 11 + NOISE)
        before = len(list(threads.iterdir()))
        silent = [socket.create_connection(where) for _ in range(100)]
        time.sleep(0.5)
        now = len(list(threads.iterdir()))
        self.measured('threads of 100 clients', now - before, unit='')
        # Some of the exporter's own come and go.
        self.assertLessEqual(now, before + 20)
        for each in silent:
            each.close()

    def test_a_client_with_a_certificate_is_served(self) -> None:
        keys = pki.Pki(self.directory / 'pki')
        self.exporter = self.make_exporter(
            cert_file=keys.server,
            key_file=keys.server_key,
            client_ca_file=keys.ca,
        )
        self.exporter.start()
        where = '127.0.0.1', self.exporter.port
        process.wait_until(
            lambda: not ports.can_bind(where[1]), contract.START
        )
        context = ssl.create_default_context(cafile=str(keys.ca))
        self.assertRaises(OSError, self.fetch, context)
        context.load_cert_chain(keys.client, keys.client_key)
        # One that says nothing keeps nobody waiting.
        with socket.create_connection(where):
            self.assertIn('nova_servicegroup_build_info', self.fetch(context))
        self.assertNotIn('Traceback', self.exporter.log.read_text())

    def fetch(self, context: ssl.SSLContext) -> str:
        url = f'https://127.0.0.1:{self.exporter.port}/metrics'
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return answer.read().decode()
