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

"""The file system of the tests that can be frozen."""

import errno
import struct

from nova_servicegroup.tests import base
from nova_servicegroup.tests.harness import fuse

_LOOKUP, _FORGET, _UNLINK, _STATFS, _INIT, _CREATE = 1, 2, 10, 17, 26, 35
_RENAME = 12
_HEADER = struct.Struct('<IIQQIIIHH')


class FileSystemTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.served = fuse.FileSystem()

    def ask(self, number: int, data: bytes = b'') -> tuple[int, int]:
        """Return the error and the size of what is answered."""
        length = _HEADER.size + len(data)
        header = _HEADER.pack(length, number, 7, 1, 0, 0, 0, 0, 0)
        answer = self.served.answer(header + data)
        assert answer is not None
        size, error, unique = struct.unpack_from('<IiQ', answer)
        self.assertEqual((len(answer), 7), (size, unique))
        return -error, len(answer) - 16

    def test_what_the_kernel_wants_to_know_first(self) -> None:
        self.assertEqual((0, 64), self.ask(_INIT))
        self.assertEqual((0, 80), self.ask(_STATFS))

    def test_a_file_is_there_until_it_is_removed(self) -> None:
        self.assertEqual((errno.ENOENT, 0), self.ask(_LOOKUP, b'a\0'))
        self.assertEqual((0, 144), self.ask(_CREATE, bytes(16) + b'a\0'))
        self.assertEqual((0, 128), self.ask(_LOOKUP, b'a\0'))
        self.assertEqual((0, 0), self.ask(_UNLINK, b'a\0'))
        self.assertEqual((errno.ENOENT, 0), self.ask(_LOOKUP, b'a\0'))

    def test_what_it_does_not_know(self) -> None:
        self.assertEqual((errno.ENOSYS, 0), self.ask(_RENAME))

    def test_what_wants_no_answer(self) -> None:
        header = _HEADER.pack(40, _FORGET, 7, 1, 0, 0, 0, 0, 0)
        self.assertIsNone(self.served.answer(header))
