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

"""A file system that can be frozen, as that of a storage cluster can.

It speaks as much of the kernel's FUSE protocol as is needed to keep files in
one directory, and needs root and /dev/fuse, but no library. Run as a program,
with the directory as its argument, it is the file system: stopped with
SIGSTOP, all that looks at the directory hangs.
"""

from collections.abc import Callable
import contextlib
import ctypes
import errno
import os
import pathlib
import stat
import struct
import subprocess
import sys

from nova_servicegroup.tests.harness import process

_DEVICE = pathlib.Path('/dev/fuse')
_READ = 1 << 20
_MAX_WRITE = 1 << 16
_ROOT = 1
_BLOCK = 4096
_BLOCKS = 1 << 16

_HEADER = struct.Struct('<IIQQIIIHH')
_ANSWER = struct.Struct('<IiQ')
#: What the kernel wants no answer to: FORGET, INTERRUPT, BATCH_FORGET.
_NO_ANSWER = (2, 36, 42)

#: The content of an answer, or the number of an error.
Answer = bytes | int

_SPACE = struct.pack('<5Q4I24x', *[_BLOCKS] * 5, _BLOCK, 255, _BLOCK, 0)
_ABILITIES = struct.pack(
    '<4IHHIIHHI28x', 7, 31, _MAX_WRITE, 0, 8, 8, _MAX_WRITE, 1, 1, 0, 0
)
#: What is always answered the same: OPEN, READ, STATFS, RELEASE, INIT,
#: OPENDIR, READDIR, RELEASEDIR.
_SAME: dict[int, Answer] = {
    14: bytes(16),
    15: b'',
    17: _SPACE,
    18: b'',
    26: _ABILITIES,
    27: bytes(16),
    28: b'',
    29: b'',
}


class Frozen:
    """The file system in a process of its own.

    :param directory: where it is mounted; what is there is hidden meanwhile
    :param place: of the process
    """

    def __init__(self, directory: pathlib.Path, place: pathlib.Path) -> None:
        self._directory = directory
        self._process = process.Program(place, __name__, str(directory))
        self.freeze = self._process.freeze
        self.thaw = self._process.thaw

    def start(self) -> None:
        """Mount it."""
        self._process.start()
        process.wait_until(
            self._is_mounted, 30.0, what='the file system is mounted'
        )

    def stop(self) -> None:
        """End it; whoever waits for it gets an error."""
        self._process.kill()
        if self._is_mounted():
            subprocess.run(['umount', '-l', str(self._directory)], check=True)

    def _is_mounted(self) -> bool:
        # To look at the directory itself may hang.
        mounts = pathlib.Path('/proc/self/mounts').read_text()
        return f' {self._directory} fuse' in mounts


def is_there() -> bool:
    """Tell whether this machine can have one."""
    return os.geteuid() == 0 and _DEVICE.exists()


class FileSystem:
    """Files of one directory, whose content nobody asks for again.

    :ivar answers: what to answer, by the number of the operation; what is not
        there is not supported, which the kernel mostly takes for a success
    """

    def __init__(self) -> None:
        self._nodes: dict[bytes, int] = {}
        self._sizes: dict[int, int] = {}
        self._last = _ROOT
        self.answers: dict[int, Callable[[int, bytes], Answer]] = {
            1: self._lookup,
            # GETATTR and SETATTR.
            3: self._describe,
            4: self._describe,
            10: self._unlink,
            16: self._write,
            35: self._create,
        }

    def answer(self, request: bytes) -> bytes | None:
        """Return the answer to a request of the kernel; None: none."""
        _, number, unique, node, *_ = _HEADER.unpack_from(request)
        if number in _NO_ANSWER:
            return None
        said = _SAME.get(number, errno.ENOSYS)
        if number in self.answers:
            said = self.answers[number](node, request[_HEADER.size :])
        error, data = (said, b'') if isinstance(said, int) else (0, said)
        return _ANSWER.pack(_ANSWER.size + len(data), -error, unique) + data

    def _lookup(self, node: int, data: bytes) -> Answer:
        found = self._nodes.get(_name(data))
        return errno.ENOENT if found is None else self._entry(found)

    def _create(self, node: int, data: bytes) -> Answer:
        self._last += 1
        self._nodes[_name(data[16:])] = self._last
        return self._entry(self._last) + bytes(16)

    def _unlink(self, node: int, data: bytes) -> Answer:
        found = self._nodes.pop(_name(data), None)
        return errno.ENOENT if found is None else b''

    def _write(self, node: int, data: bytes) -> Answer:
        _, offset, size = struct.unpack_from('<QQI', data)
        self._sizes[node] = max(self._sizes.get(node, 0), offset + size)
        return struct.pack('<II', size, 0)

    def _describe(self, node: int, data: bytes) -> Answer:
        return bytes(16) + self._attributes(node)

    def _entry(self, node: int) -> bytes:
        return struct.pack('<Q32x', node) + self._attributes(node)

    def _attributes(self, node: int) -> bytes:
        directory = node == _ROOT
        mode = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o644
        size = self._sizes.get(node, 0)
        return struct.pack(
            '<6Q10I',
            *(node, size, -(-size // 512), 0, 0, 0),
            *(0, 0, 0, mode, 1 + directory, 0, 0, 0, _BLOCK, 0),
        )


def _name(data: bytes) -> bytes:
    return data.partition(b'\0')[0]


def _mount(directory: str) -> int:
    """Mount it, and return the descriptor of the kernel's requests."""
    found = os.open(_DEVICE, os.O_RDWR)
    options = f'fd={found},rootmode=40000,user_id=0,group_id=0'
    libc = ctypes.CDLL(None, use_errno=True)
    words = (b'harness', directory.encode(), b'fuse')
    if libc.mount(*words, 0, options.encode()):
        raise OSError(ctypes.get_errno(), 'mount', directory)
    return found


def main() -> None:
    """Serve until killed or unmounted."""
    device, served = _mount(sys.argv[1]), FileSystem()
    with contextlib.suppress(OSError):
        while True:
            answer = served.answer(os.read(device, _READ))
            if answer is not None:
                os.write(device, answer)


if __name__ == '__main__':
    main()
