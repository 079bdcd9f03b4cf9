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

"""Files that show which processes of a host have joined, while they live.

A process writes one for each group that it joins, and locks it until it leaves
or ends. The lock is a POSIX record lock: the kernel drops it when the process
ends, however that happens, and a forked child does not inherit it. Unlike
process ids, it works between containers that share the directory.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import json
import os
import pathlib
import stat
from typing import Any
import urllib.parse

from nova_servicegroup import services

_SUFFIX = '.member'
#: Bytes of a file, and characters of a name in it, at most.
_LONGEST = 8192
_LONGEST_NAME = 1000
#: The key of the number of the inode.
_INODE = 'inode'


class ProcessFile:
    """The file of this process about one membership.

    :param directory: where it is written, on a local file system
    """

    def __init__(self, directory: str, joined: services.Joined) -> None:
        group = urllib.parse.quote(joined.group, safe='')
        self._path = pathlib.Path(
            directory, f'{joined.incarnation}-{group}{_SUFFIX}'
        )
        self._joined = joined
        self._descriptor: int | None = None

    def _text(self, descriptor: int) -> bytes:
        """Return the text of the file. No copy of it has the same inode."""
        inode = os.fstat(descriptor).st_ino
        return json.dumps({**self._joined._asdict(), _INODE: inode}).encode()

    def write(self) -> None:
        """Write the file, and lock it. Others see it only as it is locked.

        :raises OSError: that cannot be done
        """
        new = self._path.with_suffix('.new')
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(new, flags, 0o640)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, self._text(descriptor))
            new.rename(self._path)
        except OSError:
            os.close(descriptor)
            new.unlink(missing_ok=True)
            raise
        self._descriptor = descriptor

    def remove(self) -> None:
        """Remove the file, if it was written. Raises nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            # This drops the lock, so it comes last.
            os.close(descriptor)


class Seen:
    """The file of another process.

    :ivar joined: the membership
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Open and read the file.

        :raises OSError: that cannot be done
        :raises ValueError: it is not such a file
        """
        self._path = path
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(path, flags)
        try:
            self.joined = _read(self._descriptor)
        except (OSError, ValueError):
            self.close()
            raise

    def lives(self) -> bool:
        """Return whether the process lives and has not left."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        return False

    def is_removed(self) -> bool:
        """Return whether the file was removed."""
        return os.fstat(self._descriptor).st_nlink == 0

    def remove(self) -> None:
        """Remove the file of a process that has ended.

        :raises OSError: that cannot be done
        """
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def find(directory: str) -> Iterator[pathlib.Path]:
    """Yield the paths of all files.

    :raises OSError: the directory cannot be read
    """
    with os.scandir(directory) as entries:
        for each in entries:
            if each.name.endswith(_SUFFIX):
                yield pathlib.Path(each.path)


def _read(descriptor: int) -> services.Joined:
    """Return the membership that a file describes.

    :raises OSError: it cannot be read
    :raises ValueError: it describes none, or is a copy: nobody locks that
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError('it is not a regular file')
    return _parse(os.read(descriptor, _LONGEST), status.st_ino)


def _parse(text: bytes, inode: int) -> services.Joined:
    """Return the membership in the text of a file.

    :raises ValueError: it is none
    """
    try:
        found: Any = json.loads(text)
        written_to = found.pop(_INODE, None)
        joined = services.Joined(**found)
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError('it describes no membership') from error
    if type(written_to) is not int or written_to != inode:
        raise ValueError('it is a copy')
    names = joined.host, joined.group, joined.incarnation
    if not all(map(_is_name, names)) or type(joined.record_id) is not int:
        raise ValueError('it describes no membership')
    return joined


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME
