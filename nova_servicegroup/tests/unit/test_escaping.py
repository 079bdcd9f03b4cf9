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

from nova_servicegroup import escaping
from nova_servicegroup.tests import base


class PrintableTest(base.TestCase):
    def test_what_can_be_printed_stays(self) -> None:
        for text in ('', 'compute17', 'hö/st (cell a)', 'C:\\x', '名前'):
            self.assertEqual(text, escaping.printable(text))

    def test_what_cannot_is_escaped(self) -> None:
        for text, shown in (
            ('a\nb\r\tc', r'a\nb\r\tc'),
            ('\x1b[2J\x00\x7f', r'\x1b[2J\x00\x7f'),
            ('\x85\x9b\xa0', r'\x85\x9b\xa0'),
            ('\u202e\u2028\ufeff', r'\u202e\u2028\ufeff'),
            # As a name that is not UTF-8 comes from the operating system.
            ('h\udcff', r'h\udcff'),
        ):
            self.assertEqual(shown, escaping.printable(text))
            self.assertEqual(shown, escaping.printable(shown))

    def test_every_character(self) -> None:
        text = ''.join(map(chr, range(0x11000)))
        shown = escaping.printable(text)
        self.assertTrue(shown.isprintable())
        shown.encode()

    def test_any_value(self) -> None:
        self.assertEqual('None', escaping.printable(None))
        self.assertEqual(r"b'\n'", escaping.printable(b'\n'))

    def test_it_is_cut(self) -> None:
        self.assertEqual('abc...', escaping.printable('abcdef', 3))
        self.assertEqual('abc', escaping.printable('abc', 3))


class NamesTest(base.TestCase):
    def test_the_first_are_named(self) -> None:
        hosts = {f'h{number}' for number in range(5)}
        self.assertEqual('h0, h1 and 3 more', escaping.names(hosts, 2))
        self.assertEqual('h0, h1, h2, h3, h4', escaping.names(hosts, 5))

    def test_in_one_line(self) -> None:
        self.assertEqual(r'a\n, b\x1b', escaping.names(['b\x1b', 'a\n'], 5))
