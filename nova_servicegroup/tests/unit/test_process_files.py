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

"""The files by which processes show that they have joined."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from nova_servicegroup import process_files
from nova_servicegroup import services
from nova_servicegroup.tests import base

JOINED = services.Joined('host1', 'compute', '0a1b2c3d', 7)

#: Writes the file, says so, and waits; it may fork first.
_PROGRAM = """
import os, sys
from nova_servicegroup import process_files, services
file = process_files.ProcessFile(sys.argv[1], services.Joined({joined}))
file.write()
if {fork} and not os.fork():
    # The parent is ended meanwhile.
    sys.stdin.read()
    os._exit(0)
print('written', flush=True)
if sys.stdin.readline():
    file.remove()
    print('removed', flush=True)
    sys.stdin.read()
"""


class FilesCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = made.name

    def seen(self) -> process_files.Seen:
        """Return the only file."""
        [path] = process_files.find(self.directory)
        seen = process_files.Seen(path)
        self.addCleanup(seen.close)
        return seen


class ProcessTest(FilesCase):
    """A process that has written a file."""

    def start(self, fork: bool = False) -> 'subprocess.Popen[str]':
        program = _PROGRAM.format(
            joined=', '.join(map(repr, JOINED)), fork=fork
        )
        made = subprocess.Popen(
            [sys.executable, '-c', program, self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        )
        self.addCleanup(made.wait)
        for each in (made.stdin, made.stdout):
            self.addCleanup(each.close)
        self.addCleanup(made.kill)
        self.assertEqual('written', made.stdout.readline().strip())
        return made

    def test_it_lives(self) -> None:
        self.start()
        seen = self.seen()
        self.assertEqual(JOINED, seen.joined)
        for _ in range(3):
            self.assertTrue(seen.lives())
        self.assertFalse(seen.is_removed())

    def test_it_was_killed(self) -> None:
        made, seen = self.start(), self.seen()
        made.kill()
        made.wait()
        self.assertFalse(seen.lives())
        self.assertFalse(seen.is_removed())
        seen.remove()
        self.assertTrue(seen.is_removed())
        self.assertEqual([], list(process_files.find(self.directory)))

    def test_it_was_killed_and_its_child_lives(self) -> None:
        made, seen = self.start(fork=True), self.seen()
        self.assertTrue(seen.lives())
        made.kill()
        made.wait()
        self.assertFalse(seen.lives())

    def test_it_has_left(self) -> None:
        made, seen = self.start(), self.seen()
        made.stdin.write('leave\n')
        made.stdin.flush()
        self.assertEqual('removed', made.stdout.readline().strip())
        self.assertFalse(seen.lives())
        self.assertTrue(seen.is_removed())

    def test_two_processes(self) -> None:
        first, second = self.start(), self.seen()
        self.assertTrue(second.lives())
        file = process_files.ProcessFile(
            self.directory, JOINED._replace(incarnation='ffffffff')
        )
        file.write()
        self.assertEqual(2, len(list(process_files.find(self.directory))))
        file.remove()
        self.assertTrue(self.seen().lives())
        first.kill()


class WriteTest(FilesCase):
    def test_a_directory_that_is_not_there(self) -> None:
        file = process_files.ProcessFile(f'{self.directory}/no', JOINED)
        self.assertRaises(OSError, file.write)
        file.remove()

    def test_any_group(self) -> None:
        joined = JOINED._replace(group='../a b\n', host='h\u00f6st')
        file = process_files.ProcessFile(self.directory, joined)
        file.write()
        self.addCleanup(file.remove)
        self.assertEqual(joined, self.seen().joined)

    def test_removed_once(self) -> None:
        file = process_files.ProcessFile(self.directory, JOINED)
        file.write()
        for _ in range(2):
            file.remove()
        self.assertEqual([], os.listdir(self.directory))

    def test_removed_by_another(self) -> None:
        file = process_files.ProcessFile(self.directory, JOINED)
        file.write()
        self.seen().remove()
        file.remove()


class ForeignTest(FilesCase):
    """Files that another program has written."""

    def write(self, text: bytes) -> pathlib.Path:
        path = pathlib.Path(self.directory, 'x.member')
        path.write_bytes(text)
        return path

    def test_no_membership(self) -> None:
        good = JOINED._asdict()
        for text in (
            b'',
            b'\xff',
            b'5',
            b'null',
            b'[]',
            b'{}',
            10_000 * b'[',
            json.dumps({**good, 'more': 1}).encode(),
            *(
                json.dumps({**good, name: value}).encode()
                for name in good
                for value in (None, '', [], 1.5, True, 2000 * 'x')
            ),
        ):
            path = self.write(text)
            self.assertRaises(ValueError, process_files.Seen, path)
        path = self.write(b'')
        inode = path.stat().st_ino
        self.write(json.dumps({**good, 'inode': inode}).encode())
        self.assertEqual(JOINED, self.seen().joined)
        for odd in (inode + 1, str(inode), None, True):
            self.write(json.dumps({**good, 'inode': odd}).encode())
            self.assertRaises(ValueError, process_files.Seen, path)

    def test_a_copy_is_no_other_process(self) -> None:
        """It is not locked, though the process lives."""
        file = process_files.ProcessFile(self.directory, JOINED)
        file.write()
        self.addCleanup(file.remove)
        [path] = process_files.find(self.directory)
        copy = pathlib.Path(self.directory, 'copy.member')
        shutil.copy(path, copy)
        self.assertRaises(ValueError, process_files.Seen, copy)
        # A program that edits a file in its place may do that.
        copy.replace(path)
        self.assertRaises(ValueError, process_files.Seen, path)

    def test_no_file(self) -> None:
        path = pathlib.Path(self.directory, 'x.member')
        self.assertRaises(FileNotFoundError, process_files.Seen, path)
        path.symlink_to('/etc/passwd')
        self.assertRaises(OSError, process_files.Seen, path)
        path.unlink()
        path.mkdir()
        self.assertRaises((OSError, ValueError), process_files.Seen, path)
        path.rmdir()
        os.mkfifo(path)
        self.assertRaises((OSError, ValueError), process_files.Seen, path)

    def test_descriptors_are_closed(self) -> None:
        path = self.write(b'null')
        before = len(os.listdir('/proc/self/fd'))
        for _ in range(5):
            self.assertRaises(ValueError, process_files.Seen, path)
        self.assertEqual(before, len(os.listdir('/proc/self/fd')))
