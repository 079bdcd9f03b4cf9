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

"""Decodes values from a backend, which any client may have written.

tooz decodes msgpack with the extension types of oslo.serialization. These nest
in C, so that a value of 700 bytes ends the process, and make objects that
raise errors of their own. Our values have none, so they are refused here, and
tooz gets the values that are decoded here.
"""

from typing import Any

from oslo_utils import importutils

msgpack = importutils.try_import('msgpack')
tooz_utils = importutils.try_import('tooz.utils')

#: Bytes of a value, at most. The servers' own limits are about 1 MiB.
_LARGEST = 8 * 1024 * 1024
#: Levels of nested lists and maps, at most. Our values have three.
_DEEPEST = 8


def decode(data: Any) -> Any:
    """Return the value that was packed, of plain types only.

    :raises ValueError: it is too large, nested too deeply, has an extension
        type or is not msgpack
    """
    if not isinstance(data, bytes) or len(data) > _LARGEST:
        raise ValueError('not a value of ours')
    value = msgpack.unpackb(
        data,
        raw=False,
        # Keys of other types can be chosen so that their hashes collide.
        strict_map_key=True,
        max_ext_len=0,
        ext_hook=_refuse,
    )
    _check_depth(value, _DEEPEST)
    return value


def decode_or_none(data: Any) -> Any:
    """Return the value that was packed, or None if it cannot be decoded."""
    try:
        return decode(data)
    except ValueError:
        return None


def _refuse(code: int, data: bytes) -> None:
    raise ValueError(f'extension type {code}')


def _check_depth(value: Any, levels: int) -> None:
    """Check the depth of a value, which code that recurses relies on.

    :raises ValueError: it has more levels of nested lists and maps
    """
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    if not levels:
        raise ValueError('nested too deeply')
    for each in value:
        _check_depth(each, levels - 1)


def guard_tooz() -> None:
    """Make tooz in this process refuse nested and extended values.

    For a program of ours that uses any driver of tooz. Of the extension types
    only the date is accepted, which the driver for files needs.
    """
    packing = tooz_utils.msgpackutils
    if isinstance(packing, _Packing):
        return
    tooz_utils.msgpackutils = _Packing(packing)


class _Packing:
    """Replaces oslo.serialization.msgpackutils in tooz."""

    def __init__(self, packing: Any) -> None:
        self.dumps = packing.dumps
        self._loads = packing.loads
        self._registry = packing.HandlerRegistry()
        inner = packing.HandlerRegistry()
        self._registry.register(packing.DateTimeHandler(inner), reserved=True)

    def loads(self, data: bytes) -> Any:
        """Return the value that was packed.

        :raises ValueError: it cannot be decoded; the error that tooz expects
        """
        try:
            value = self._loads(data, registry=self._registry)
        except Exception as error:
            raise ValueError(str(error)) from error
        _check_depth(value, _DEEPEST)
        return value
