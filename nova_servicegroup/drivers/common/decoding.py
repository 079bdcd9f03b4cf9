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

"""What is stored in a backend, decoded as what anybody may have written.

tooz decodes msgpack with the extension types of oslo.serialization. They nest
in C, so that a value of 700 bytes ends the process, and make objects that
raise errors of their own. None of ours has any, so here they are refused, and
tooz is given what is decoded here.
"""

from typing import Any

from oslo_utils import importutils

msgpack = importutils.try_import('msgpack')
tooz_utils = importutils.try_import('tooz.utils')

#: Bytes. No server takes more than about 1 MiB unless it is told to.
_LARGEST = 8 * 1024 * 1024
#: Lists and maps in each other; the deepest of ours has three.
_DEEPEST = 8


def decode(data: Any) -> Any:
    """Return what was packed, made of plain values alone.

    :raises ValueError: it is too large, nested too deeply, has an extension
        type or is no msgpack
    """
    if not isinstance(data, bytes) or len(data) > _LARGEST:
        raise ValueError('not a value of ours')
    value = msgpack.unpackb(
        data,
        raw=False,
        # Other keys can be made to collide.
        strict_map_key=True,
        max_ext_len=0,
        ext_hook=_refuse,
    )
    _check_depth(value, _DEEPEST)
    return value


def decode_or_none(data: Any) -> Any:
    """Return what was packed; None: it cannot be decoded."""
    try:
        return decode(data)
    except ValueError:
        return None


def _refuse(code: int, data: bytes) -> None:
    raise ValueError(f'extension type {code}')


def _check_depth(value: Any, levels: int) -> None:
    """Check that what uses a value, by recursion, does not go too deep.

    :raises ValueError: it is nested more deeply than that
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
    """Have all of tooz in this process decode nothing that nests.

    For a program of our own that uses any driver of tooz's. Of the extension
    types there is but the date, which the driver for files needs.
    """
    packing = tooz_utils.msgpackutils
    if isinstance(packing, _Packing):
        return
    tooz_utils.msgpackutils = _Packing(packing)


class _Packing:
    """What tooz uses of oslo.serialization.msgpackutils."""

    def __init__(self, packing: Any) -> None:
        self.dumps = packing.dumps
        self._loads = packing.loads
        self._registry = packing.HandlerRegistry()
        inner = packing.HandlerRegistry()
        self._registry.register(packing.DateTimeHandler(inner), reserved=True)

    def loads(self, data: bytes) -> Any:
        """Return what was packed.

        :raises ValueError: it cannot be decoded, which tooz expects
        """
        try:
            value = self._loads(data, registry=self._registry)
        except Exception as error:
            raise ValueError(str(error)) from error
        _check_depth(value, _DEEPEST)
        return value
