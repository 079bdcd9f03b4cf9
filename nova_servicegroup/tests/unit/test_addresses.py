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


from nova_servicegroup.drivers.common import addresses
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base


class AddressesTest(base.TestCase):
    def parse(self, value: str) -> list[str]:
        return addresses.parse('[zookeeper] address', value, 2181)

    def test_as_in_the_guide_with_quotes(self) -> None:
        self.assertEqual(
            ['h1:2181', 'h2:2181', 'h3:2181'],
            self.parse('"h1:2181,h2:2181,h3:2181"'),
        )

    def test_blanks_empty_items_and_repetitions_are_dropped(self) -> None:
        self.assertEqual(
            ['h1:2181', 'h2:2182'], self.parse(' h1, h2:2182 ,,h1:2181, ')
        )

    def test_ipv6(self) -> None:
        self.assertEqual(
            ['[::1]:2181', '[fe80::2]:9'], self.parse('[::1],[fe80::2]:9')
        )
        self.assertEqual(['[fe80::2]:2181'], self.parse('fe80::2'))

    def test_as_the_cache_of_nova_accepts_them(self) -> None:
        self.assertEqual(
            ['mc0:11211', '127.0.0.1:11211', '[::1]:11211', 'mc1:2181'],
            self.parse(
                'inet:[mc0]:11211,inet:[127.0.0.1]:11211,'
                'inet6:[::1]:11211,inet:mc1'
            ),
        )

    def test_brackets_are_for_any_host(self) -> None:
        self.assertEqual(
            ['mc0:1', '127.0.0.1:2181'], self.parse('[mc0]:1,[127.0.0.1]')
        )

    def test_any_host_name(self) -> None:
        names = ['a_b', 'a-1.example.org.', 'höst']
        self.assertEqual(
            [f'{name}:2181' for name in names], self.parse(','.join(names))
        )

    def test_a_scope(self) -> None:
        self.assertEqual(['[fe80::2%eth0]:1'], self.parse('[fe80::2%eth0]:1'))

    def test_no_address(self) -> None:
        for value in ('', '""', ' , '):
            self.assertEqual([], self.parse(value))

    def test_invalid_addresses_are_refused(self) -> None:
        for value in (
            'h1:port',
            'h1:0',
            'h1:65536',
            ':2181',
            'h1/path',
            'user@h1',
            'h1 h2',
            '[::1',
            'h1:1;h2:1',
            'h1;h2',
            'h1:1:2',
            'inet:[h1]:1:2',
            'inet:inet:h1',
            'inet:',
            '[h1:1',
            'h1]:1',
            '[h 1]:1',
            'h1:1_1',
            'h1:+1',
            '1.2.3.4.5:1:1',
            'h1\n:1',
            '[::1%a;b]:1',
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.parse, value
            )
            self.assertIn('[zookeeper] address', str(error))
            self.assertIs('@' not in value, repr(value) in str(error))
