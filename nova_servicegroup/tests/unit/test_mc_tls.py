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


"""TLS to memcached: options that cannot work are refused."""

from importlib import metadata
import ssl
from typing import Any

import fixtures
import testtools
from tooz.drivers import memcached as tooz_memcached

from nova_servicegroup.drivers.common import peers
from nova_servicegroup.drivers.mc import configuration
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import pki


#: The lowest tooz that is declared does not know TLS.
KNOWS_TLS = int(metadata.version('tooz').partition('.')[0]) >= 7
NEEDS_TLS = testtools.skipUnless(KNOWS_TLS, 'tooz 7.0 or later')


class OldDriver(tooz_memcached.MemcachedDriver):
    """The driver of tooz before 7.0, which ignores unknown options."""

    def __init__(self, member: bytes, url: Any, options: Any) -> None:
        known = {
            name: value
            for name, value in options.items()
            if 'ssl' not in name and name != 'ca_cert'
        }
        super().__init__(member, url, known)
        del self.ssl_context


class UrlTest(base.TestCase):
    """A URL of tooz, by which monitors find each other."""

    def make(self, url: str) -> Any:
        conf = self.make_conf()
        gathered = peers.by_url(conf, url, 'monitors', 'host1')
        # A connection makes it so, in the background.
        return gathered._connection._factory.make(b'member')

    def test_a_library_that_does_not_know_tls_is_refused(self) -> None:
        if KNOWS_TLS:
            self.useFixture(
                fixtures.MockPatchObject(
                    tooz_memcached, 'MemcachedDriver', OldDriver
                )
            )
        for url in ('memcached://h1?use_ssl=true', 'memcached://h1?use_ssl=1'):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.make, url
            )
            self.assertIn('[servicegroup_monitor] backend_url', str(error))
            self.assertIn('7.0', str(error))
        for url in ('memcached://h1?use_ssl=false', 'memcached://h1'):
            self.assertEqual(('h1', 11211), self.make(url).host)

    def test_a_url_without_slashes_keeps_its_secret(self) -> None:
        made = peers.by_url(
            self.make_conf(), 'memcached:u:hush@h1:1', 'monitors', 'host1'
        )
        self.assertEqual('memcached://h1:1', made.backend)


class TlsTest(base.TestCase):
    keys: pki.Pki

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.keys = pki.Pki(cls.make_root() / 'pki')

    def settings(self, *lines: str) -> configuration.Settings:
        text = '\n'.join(lines)
        return configuration.Settings(
            self.make_conf(
                '[DEFAULT]\nmemcached_servers = h1\n'
                f'[memcached]\ncert_file = {self.keys.client}\n{text}\n'
            )
        )

    def tls(self, *lines: str) -> configuration.Settings:
        return self.settings('use_tls = true', *lines)

    def refused(self, *lines: str) -> str:
        return str(
            self.assertRaises(exceptions.ConfigurationError, self.tls, *lines)
        )

    @NEEDS_TLS
    def test_a_library_that_does_not_know_it_is_refused(self) -> None:
        key = f'key_file = {self.keys.client_key}'
        settings = self.tls(key)
        self.useFixture(
            fixtures.MockPatchObject(
                tooz_memcached, 'MemcachedDriver', OldDriver
            )
        )
        for part in ('[memcached] use_tls', 'tooz', '7.0', 'mc-tls'):
            self.assertIn(part, self.refused(key))
        self.settings('use_tls = false')
        # Nor does it work without that check.
        self.assertRaises(
            exceptions.ConfigurationError,
            coordinators.Factory('h1:11211', settings.conf.memcached, 60).make,
            b'member',
        )

    def test_one_that_compares_no_names_is_refused(self) -> None:
        made = self.useFixture(
            fixtures.MockPatchObject(
                coordinators.coordination, 'get_coordinator'
            )
        ).mock.return_value
        key = f'key_file = {self.keys.client_key}'
        made.ssl_context = ssl.create_default_context()
        self.tls(key)
        made.ssl_context.check_hostname = False
        self.assertIn('use_tls', self.refused(key))
        self.tls(key, 'check_hostname = false')
        made.ssl_context.verify_mode = ssl.CERT_NONE
        self.assertIn('use_tls', self.refused(key, 'check_hostname = false'))

    @NEEDS_TLS
    def test_files_that_cannot_be_used_are_named(self) -> None:
        key = f'key_file = {self.keys.client_key}'
        locked = f'key_file = {self.keys.client_locked_key}'
        for lines in (
            ['key_file = /nowhere'],
            # The password must not be asked for at a terminal.
            [locked],
            [locked, 'key_password = wrong'],
            [f'key_file = {self.keys.server_key}'],
            [key, 'ca_file = /nowhere'],
        ):
            error = self.refused(*lines)
            known = 'ca_file = /nowhere' not in lines
            option = 'cert_file' if known else 'ca_file'
            self.assertIn(f'[memcached] {option}', error)
            self.assertNotIn('wrong', error)
            value = lines[0 if known else 1]
            self.assertIn(value.partition(' = ')[2], error)
        self.tls(key, f'ca_file = {self.keys.ca}')
        self.tls(locked, f'key_password = {pki.PASSWORD}')
