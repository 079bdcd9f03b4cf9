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

"""Who may see and touch the groups, and what the log gives away."""

import time
from typing import Any
import urllib.error

from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_etcd
from nova_servicegroup.tests.harness import etcd
from nova_servicegroup.tests.harness import pki

PASSWORD = 'hush-hush@:%&='


class User(test_etcd.EtcdBackend, contract.Contract):
    """A user who may touch the groups of one namespace, and nothing else."""

    @classmethod
    def start_backend(cls) -> None:
        cls.server = etcd.Etcd(
            cls.root / 'etcd', options=['--auth-token-ttl=3']
        )
        cls.addClassCleanup(cls.server.kill)
        cls.server.start()
        prefix = b'tooz/groups/ours-'
        ask = cls.server.ask
        for name, password in (('root', 'root'), ('nova', PASSWORD)):
            ask('auth/user/add', {'name': name, 'password': password})
        ask('auth/role/add', {'name': 'root'})
        ask('auth/user/grant', {'user': 'root', 'role': 'root'})
        ask('auth/role/add', {'name': 'groups'})
        permission = {
            'permType': 'READWRITE',
            'key': etcd.encode(prefix),
            'range_end': etcd.encode(prefix[:-1] + b'.'),
        }
        ask('auth/role/grant', {'name': 'groups', 'perm': permission})
        ask('auth/user/grant', {'user': 'nova', 'role': 'groups'})
        ask('auth/enable', {})

    def options(self) -> tuple[str, str]:
        _, groups = super().options()
        return (
            'debug = true',
            groups.replace(self.unique, f'ours-{self.unique}')
            + f'username = nova\npassword = {PASSWORD}\n',
        )


class UserTest(User, contract.FunctionalTestCase):
    def test_members_see_each_other_and_outlive_tokens(self) -> None:
        killed = self.running('host1')
        self.running('host2')
        # A token lasts for three seconds.
        self.watch(3 * self.ttl, 'host1', 'host2')
        killed.kill()
        self.wait_down('host1', self.down_within)
        self.watch(1.0, 'host2')

    def test_a_server_that_is_restarted_knows_no_token(self) -> None:
        self.running('host1')
        self.server.kill()
        self.addCleanup(self.restore_backend)
        self.server.launch()
        self.watch(2 * self.ttl, 'host1')
        self.wait_up('host1')

    def test_upgrade_checks_need_no_more(self) -> None:
        self.assertIn('answers', self.api.driver.check())

    def test_strangers_can_neither_read_nor_delete(self) -> None:
        self.running()
        key = b'tooz/groups/ours-%s:compute/' % self.unique.encode()
        for touch in (
            lambda: self.server.keys(key),
            lambda: self.server.put(key + b'x', b''),
            lambda: self.server.delete(key, prefix=True),
        ):
            self.assertRaises(urllib.error.HTTPError, touch)
        self.watch(1.0, 'host1')

    def test_nor_may_the_user_touch_anything_else(self) -> None:
        self.config.write_text(
            self.config.read_text().replace(' = ours', ' = theirs')
        )
        error = self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        self.assertIn('permission denied', str(error))

    def test_a_wrong_password_is_an_error_that_hides_it(self) -> None:
        text = self.config.read_text().replace(PASSWORD, 'other-secret')
        self.config.write_text(text)
        error = self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        self.assertIn('authentication failed', str(error))
        self.assertNotIn('other-secret', f'{error}{self.log.output}')

    def test_neither_password_nor_token_is_in_any_log(self) -> None:
        member = self.running()
        self.is_up()
        session = next(
            iter(self.api.driver._reading.get().backend.connection._attempts)
        ).start.connected.coordinator._gateway
        self.server.kill()
        self.addCleanup(self.restore_backend)
        self.watch(2.0, 'host1')
        self.server.launch()
        self.watch(4.0, 'host1')
        text = f'{member.log.read_text()}{self.log.output}'
        for secret in ('hush', session._token):
            self.assertTrue(secret)
            self.assertNotIn(secret, text)


class Tls(test_etcd.EtcdBackend, contract.Contract):
    """A server that wants a certificate of its clients."""

    pki: pki.Pki
    other: pki.Pki

    @classmethod
    def start_backend(cls) -> None:
        cls.pki = pki.Pki(cls.root / 'pki')
        cls.other = pki.Pki(cls.root / 'other')
        files: dict[str, Any] = {
            'cert-file': cls.pki.server,
            'key-file': cls.pki.server_key,
            'trusted-ca-file': cls.pki.ca,
        }
        cls.server = etcd.Etcd(
            cls.root / 'etcd',
            scheme='https',
            options=[
                *(f'--{name}={file}' for name, file in files.items()),
                '--client-cert-auth',
                '--log-level=info',
            ],
        )
        cls.addClassCleanup(cls.server.kill)
        cls.server.start()

    def options(self) -> tuple[str, str]:
        _, groups = super().options()
        return '', (
            f'{groups}use_tls = true\nca_file = {self.pki.ca}\n'
            f'cert_file = {self.pki.client}\n'
            f'key_file = {self.pki.client_key}\n'
        )


class TlsTest(Tls, contract.FunctionalTestCase):
    def replaced(self, old: object, new: object) -> str:
        """Return the error of a reader with another option."""
        self.config.write_text(
            self.config.read_text().replace(str(old), str(new))
        )
        error = self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        return str(error)

    def test_members_see_each_other(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.down_within)

    def test_as_other_services_name_the_servers(self) -> None:
        url = (
            f'etcd3+https://{self.server.address}?timeout=60'
            f'&ca_cert={self.pki.ca}&cert_cert={self.pki.client}'
            f'&cert_key={self.pki.client_key}'
        )
        text = self.config.read_text().partition('[etcd]')[0]
        self.config.write_text(
            f'{text}[etcd]\nttl = {self.ttl}\nnamespace = {self.unique}\n'
            f'[coordination]\nbackend_url = {url}\n'
        )
        self.api = self.make_api()
        self.test_members_see_each_other()

    def test_a_server_of_another_authority_is_refused(self) -> None:
        self.assertIn(
            'CERTIFICATE_VERIFY_FAILED',
            self.replaced(self.pki.ca, self.other.ca),
        )

    def test_a_server_with_another_name_is_refused(self) -> None:
        self.assertIn('SSLError', self.replaced('"127.0.0.1:', '"localhost:'))

    def test_a_client_of_another_authority_is_refused(self) -> None:
        begun = time.monotonic()
        text = self.config.read_text()
        self.config.write_text(
            text.replace(str(self.pki.client), str(self.other.client)).replace(
                str(self.pki.client_key), str(self.other.client_key)
            )
        )
        self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        self.assertLess(time.monotonic() - begun, 10)
