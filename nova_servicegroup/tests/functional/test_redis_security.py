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


"""Who may see and touch the groups, and what the log gives away."""

from typing import Any

import redis as redis_py

from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import redis_faults
from nova_servicegroup.tests.harness import pki
from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import redis

PASSWORD = 'hush-hush@:%&=/?#'


class Password(redis_faults.Faults):
    """A user with no more rights than the driver needs."""

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {
            'settings': {
                'requirepass': 'other',
                'user nova': f'on >{PASSWORD} ~*_group* ~*_beats:* ~*_young:* '
                '+@read +@write +@connection +@transaction +@scripting '
                '-@dangerous +info +time',
                'user few': f'on >{PASSWORD} ~* +@connection +info +psetex',
            }
        }

    def place(self) -> dict[str, Any]:
        return {
            **super().place(),
            'username': 'nova',
            # oslo.config takes what it begins with for an option.
            'password': PASSWORD,
        }

    def options(self) -> tuple[str, str]:
        default, groups = super().options()
        return f'debug = true\n{default}', groups


class PasswordTest(Password, contract.FunctionalTestCase):
    def test_members_see_each_other(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.dead_within + 1)

    def test_strangers_can_do_nothing(self) -> None:
        self.running()
        stranger = redis_py.Redis(port=self.server.port)
        self.assertRaises(
            redis_py.AuthenticationError, stranger.hkeys, self.group
        )

    def test_the_password_is_in_no_log(self) -> None:
        member = self.running()
        self.is_up()
        self.server.kill()
        self.watch(2.0, 'host1')
        self.restore_backend()
        self.watch(4.0, 'host1')
        text = member.log.read_text()
        self.assertNotIn('hush', f'{text}{self.log.output}')

    def test_a_wrong_password_is_an_error_that_hides_it(self) -> None:
        self.running()
        text = self.config.read_text().replace(PASSWORD, 'other-secret')
        self.config.write_text(text)
        error = self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        self.assertIn('invalid username-password pair', str(error))
        self.assertNotIn('other-secret', f'{error}{self.log.output}')


class UrlTest(redis_faults.Faults, contract.FunctionalTestCase):
    """The URL that other services of OpenStack have."""

    def options(self) -> tuple[str, str]:
        return '', (
            '[coordination]\n'
            f'backend_url = redis://default:hush@{self.server.address}'
            '?db=3&socket_timeout=60&retry_on_timeout=yes\n'
            f'[redis]\nttl = {self.ttl}\nnamespace = {self.unique}\n'
        )

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        return {'settings': {'requirepass': 'hush'}}

    def test_members_see_each_other(self) -> None:
        member = self.running()
        client = redis_py.Redis(port=self.server.port, password='hush', db=3)
        self.assertTrue(client.exists(self.group))
        self.assertNotIn('hush', member.log.read_text())
        member.kill()
        self.wait_down('host1', self.dead_within + 1)

    def test_its_timeout_is_bounded(self) -> None:
        self.running()
        self.observe('host1')
        self.server.freeze()
        stopped = process.wait_until(
            lambda: self.make_api().view(contract.GROUP).error, 10
        )
        self.measured('a new reader gave up', stopped)
        self.assertLess(stopped, 2.5)


class SentinelPassword(contract.Contract):
    """As kolla-ansible has it: passwords for both, in the URL."""

    driver = 'redis'

    @classmethod
    def start_backend(cls) -> None:
        cls.servers = redis.Watched(
            cls.root / 'redis', sentinels=1, password='hush'
        )
        cls.addClassCleanup(cls.servers.kill)
        cls.servers.start()

    def options(self) -> tuple[str, str]:
        return '', (
            '[coordination]\n'
            'backend_url = redis://default:hush@'
            f'{self.servers.sentinel_addresses}'
            f'?sentinel={self.servers.NAME}&sentinel_password=hush'
            '&db=0&socket_timeout=60&retry_on_timeout=yes\n'
            f'[redis]\nttl = 4\nnamespace = {self.unique}\n'
        )


class SentinelPasswordTest(SentinelPassword, contract.FunctionalTestCase):
    def test_members_see_each_other(self) -> None:
        member = self.running()
        member.kill()
        self.wait_down('host1', 5)
        self.assertNotIn('hush', member.log.read_text())


class Tls(redis_faults.Faults):
    """A server that wants a certificate of its clients."""

    pki: pki.Pki
    other: pki.Pki

    @classmethod
    def start_backend(cls) -> None:
        cls.pki = pki.Pki(cls.root / 'pki')
        cls.other = pki.Pki(cls.root / 'other')
        super().start_backend()

    @classmethod
    def server_options(cls) -> dict[str, Any]:
        cls.plain, cls.secure = ports.free_ports(2)
        return {
            'port': cls.plain,
            'settings': {
                'tls-port': cls.secure,
                'tls-ca-cert-file': cls.pki.ca,
                'tls-cert-file': cls.pki.server,
                'tls-key-file': cls.pki.server_key,
            },
        }

    def place(self) -> dict[str, Any]:
        return {
            'address': f'127.0.0.1:{self.secure}',
            'use_tls': True,
            'ca_file': self.pki.ca,
            'cert_file': self.pki.client,
            'key_file': self.pki.client_key,
        }


class TlsTest(Tls, contract.FunctionalTestCase):
    def change(self, option: str, value: object) -> None:
        """Give an option of [redis], the last group, another value."""
        lines = [
            line
            for line in self.config.read_text().splitlines()
            if not line.startswith(f'{option} ')
        ]
        lines += [] if value is None else [f'{option} = {value}']
        self.config.write_text('\n'.join(lines) + '\n')

    def refused(self) -> str:
        """Return why a new client that is told so is not let in."""
        check = self.make_api().driver.check
        return str(self.assertRaises(exceptions.BackendError, check))

    def test_members_see_each_other(self) -> None:
        killed = self.running()
        killed.kill()
        self.wait_down('host1', self.dead_within + 1)

    def test_an_eventlet_service_joins_too(self) -> None:
        killed = self.running(mode='eventlet')
        killed.kill()
        self.wait_down('host1', self.dead_within + 1)

    def test_a_client_without_certificate_is_refused(self) -> None:
        self.change('cert_file', None)
        self.change('key_file', None)
        self.refused()

    def test_an_authority_that_is_not_named_is_not_trusted(self) -> None:
        self.change('ca_file', self.other.ca)
        self.assertIn('certificate verify failed', self.refused())

    def test_a_server_must_have_its_name_in_its_certificate(self) -> None:
        text = self.config.read_text()
        self.config.write_text(text.replace('127.0.0.1', 'localhost'))
        self.assertIn("not valid for 'localhost'", self.refused())
        self.change('check_hostname', 'false')
        self.assertIn('answer', self.make_api().driver.check())

    def test_a_key_may_have_a_password_and_no_log_has_it(self) -> None:
        self.change('key_file', self.pki.client_locked_key)
        self.change('key_password', pki.PASSWORD)
        member = self.running()
        self.assertNotIn(pki.PASSWORD, member.log.read_text())

    def test_a_file_that_is_not_there_is_named(self) -> None:
        self.change('ca_file', '/nowhere')
        error = self.assertRaises(exceptions.ConfigurationError, self.make_api)
        self.assertIn('[redis] ca_file', str(error))
