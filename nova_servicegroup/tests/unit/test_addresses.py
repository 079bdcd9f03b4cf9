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


from nova_servicegroup import addresses
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

    def test_blanks_empty_places_and_repetitions_are_dropped(self) -> None:
        self.assertEqual(
            ['h1:2181', 'h2:2182'], self.parse(' h1, h2:2182 ,,h1:2181, ')
        )

    def test_ipv6(self) -> None:
        self.assertEqual(
            ['[::1]:2181', '[fe80::2]:9'], self.parse('[::1],[fe80::2]:9')
        )

    def test_nothing(self) -> None:
        for value in ('', '""', ' , '):
            self.assertEqual([], self.parse(value))

    def test_what_is_no_address_is_refused_by_name(self) -> None:
        for value in (
            'h1:port',
            'h1:0',
            'h1:65536',
            ':2181',
            'h1/path',
            'user@h1',
            'h1 h2',
            '[::1',
        ):
            error = self.assertRaises(
                exceptions.ConfigurationError, self.parse, value
            )
            self.assertIn('[zookeeper] address', str(error))
            self.assertIn(repr(value), str(error))
