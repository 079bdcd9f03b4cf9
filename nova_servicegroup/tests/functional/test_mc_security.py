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


"""Servers that speak TLS and want a certificate of their clients."""

import pathlib
import time

from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import faults
from nova_servicegroup.tests.functional import mc_faults
from nova_servicegroup.tests.harness import pki
from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import server


class SecureMemcached(mc_faults.Memcached):
    """A server that speaks TLS, and plain text on a second port."""

    def __init__(self, directory: pathlib.Path, keys: pki.Pki) -> None:
        self._plain = ports.free_port()
        settings = {
            'ssl_chain_cert': keys.server,
            'ssl_key': keys.server_key,
            'ssl_ca_cert': keys.ca,
            'ssl_verify_mode': 2,
        }
        options = ['-Z', '-l', f'notls:127.0.0.1:{self._plain}']
        for name, value in settings.items():
            options += ['-o', f'{name}={value}']
        super().__init__(directory, options=options)

    def serves(self) -> bool:
        answer = server.ask(self._plain, b'version\r\n')
        return answer.startswith(b'VERSION')


class TlsTest(mc_faults.Faults, contract.FunctionalTestCase):
    pki: pki.Pki
    other: pki.Pki

    @classmethod
    def start_backend(cls) -> None:
        cls.pki = pki.Pki(cls.root / 'pki')
        cls.other = pki.Pki(cls.root / 'other')
        cls.servers = [SecureMemcached(cls.root / 'memcached', cls.pki)]
        cls.addClassCleanup(cls.servers[0].kill)
        cls.servers[0].start()

    def options(self) -> tuple[str, str]:
        default, groups = super().options()
        # With debug, the libraries tell what they do, too.
        return f'{default}\ndebug = true', groups + self.pki.options()

    def change(self, option: str, value: object) -> None:
        """Change an option of [memcached] for who starts from now on."""
        lines = [
            line
            for line in self.config.read_text().splitlines()
            if not line.startswith(f'{option} ')
        ]
        # It is the last group.
        lines.append(f'{option} = {value}\n')
        self.config.write_text('\n'.join(lines))

    def test_members_see_each_other(self) -> None:
        member = self.running()
        watcher = self.observe('host1')
        killed = self.kill(member)
        down = watcher.wait('down', contract.START) - killed
        self.assertLess(down, self.dead_within)
        self.assertGreater(down, self.not_before)

    def test_a_key_may_have_a_password_and_no_log_has_it(self) -> None:
        self.change('key_file', self.pki.client_locked_key)
        self.change('key_password', pki.PASSWORD)
        member = self.running()
        watcher = self.observe('host1')
        self.server.kill()
        time.sleep(self.expiry)
        for each in (member, watcher):
            self.assertIn('memcached', each.log.read_text())
            self.assertNotIn(pki.PASSWORD, each.log.read_text())

    def test_a_wrong_authority_makes_nobody_down(self) -> None:
        self.running('host1')
        self.change('ca_file', self.other.ca)
        stranger = self.make_member('host2')
        stranger.start()
        watcher = self.make_observer('host1', 'host2')
        watcher.start()
        faults.wait_until(lambda: watcher.state('host2'), contract.START)
        time.sleep(2 * self.expiry)
        for host in watcher.hosts:
            self.assertEqual(['kept'], [s for _, s in watcher.changes(host)])
        for each in (stranger, watcher):
            lines = self._verify_failures(each.log)
            self.assertEqual(1, len(lines), lines)
        self.assertIn('lost contact', self._verify_failures(stranger.log)[0])

    def _verify_failures(self, log: pathlib.Path) -> list[str]:
        """Return the lines of a log that give the reason, but for debug."""
        return [
            line
            for line in log.read_text().splitlines()
            if 'certificate verify failed' in line and ' DEBUG ' not in line
        ]

    def test_a_strangers_certificate_is_refused(self) -> None:
        self.change('cert_file', self.other.client)
        self.change('key_file', self.other.client_key)
        check = self.make_api().driver.check
        self.assertRaises(exceptions.BackendError, check)

    def test_a_server_must_have_its_name_in_its_certificate(self) -> None:
        text = self.config.read_text()
        self.config.write_text(text.replace('127.0.0.1', 'localhost'))
        check = self.make_api().driver.check
        error = self.assertRaises(exceptions.BackendError, check)
        self.assertIn('certificate', str(error))
        self.change('check_hostname', 'false')
        self.assertIn('answer', self.make_api().driver.check())
