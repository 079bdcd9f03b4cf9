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


"""No part of a password in a URL is shown."""

from oslo_config import cfg
import sqlalchemy as sa

from nova_servicegroup import exceptions
from nova_servicegroup import masking
from nova_servicegroup.opts import secrets
from nova_servicegroup.tests import base

#: Passwords as people write them into a URL; what must not be seen of them is
#: in capitals.
PASSWORDS = (
    'HUSH',
    'HU%40SH',
    'HU@SH',
    'HU@SH@UP',
    'HU@SH UP',
    'HU/SH@UP',
    'HU@SH/UP',
    'HU@SH:UP',
    'HU:SH@UP?X#Y',
    "HU'SH@UP",
)
PARTS = ('HU', 'SH', 'UP')


def assert_hidden(text: str) -> None:
    """Check that no part of a password is in a text."""
    for part in PARTS:
        assert part not in text, text


class MaskingTest(base.TestCase):
    def test_a_url_is_masked_up_to_the_last_at(self) -> None:
        for password in PASSWORDS:
            url = f'mysql+pymysql://nova:{password}@db/nova'
            if ' ' not in password:
                shown = masking.urls(f'({url}) is away')
                assert_hidden(shown)
                self.assertIn('//***@db/nova) is away', shown)

    def test_of_several_hosts_none_is_left_out(self) -> None:
        shown = masking.urls('rabbit://a:HUSH@h1:5672,b:HUSH@h2:5672/ is away')
        self.assertEqual('rabbit://***@h2:5672/ is away', shown)

    def test_what_has_no_credentials_stays(self) -> None:
        for text in (
            'http://127.0.0.1:9000/metrics',
            'write to admin@example.org',
            "Access denied for user 'nova'@'10.0.0.1' (using password: YES)",
            "b'host1@00112233445566aa' has not answered",
            "a 'quoted' word, admin@example.org, and 'another' one",
        ):
            self.assertEqual(text, masking.urls(text))


class ErrorTest(base.TestCase):
    """What a real client says of a database that it cannot reach."""

    def error(self, password: str) -> tuple[str, Exception]:
        url = f'mysql+pymysql://nova:{password}@127.0.0.1:1/nova'
        try:
            sa.create_engine(url).connect()
        except Exception as error:
            return url, error
        raise AssertionError('There is a server.')

    def test_the_end_of_a_password_that_passes_for_a_host(self) -> None:
        for password in ('HU@SH', 'HU@SH@UP', 'HU@SH UP', 'HU/SH@UP'):
            line = exceptions.first_line(self.error(password)[1])
            assert_hidden(line)
            self.assertIn("'***@127.0.0.1'", line)

    def test_a_line_has_a_limit_and_hides_what_it_cuts(self) -> None:
        """A server chooses what its errors say."""
        text = 'x' * 490 + ' http://nova:HUSH@h:1/ ' + 'y' * 10**6
        line = exceptions.first_line(ValueError(text))
        assert_hidden(line)
        self.assertLess(len(line), 510)
        self.assertTrue(line.endswith('...'))

    def test_commands_hide_all_that_they_have_read(self) -> None:
        for password in PASSWORDS:
            url, error = self.error(password)
            for option in ('database', 'api_database'):
                conf = self.conf(option, url)
                assert_hidden(secrets.hide(conf, str(error)))
                shown = secrets.hide(conf, f'{url} is away')
                assert_hidden(shown)
                self.assertIn('is away', shown)

    def conf(self, group: str, url: str) -> cfg.ConfigOpts:
        conf = self.make_conf()
        conf.register_opt(cfg.StrOpt('connection', secret=True), group)
        conf.set_override('connection', url, group)
        return conf

    def test_queues_and_backends_too(self) -> None:
        conf = self.make_conf(
            '[servicegroup_monitor]\nbackend_url = etcd3+http://u:HU SH@h:1\n'
        )
        conf.register_opt(cfg.StrOpt('transport_url', secret=True))
        conf.set_override('transport_url', 'rabbit://u:HU UP@h:1/')
        for text in ('HU SH', 'HU UP'):
            self.assertEqual('*** it is', secrets.hide(conf, f'{text} it is'))
