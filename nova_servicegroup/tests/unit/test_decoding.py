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

"""Values that any client may have stored, and how tooz decodes them."""

import datetime
import itertools
import pathlib
import subprocess
import sys
from typing import Any
from unittest import mock

from kazoo import exceptions as kazoo_exceptions
from kazoo.handlers import threading as kazoo_threading
import msgpack
import netaddr
from oslo_serialization import msgpackutils
import tooz
from tooz import coordination
from tooz.drivers import memcached as tooz_memcached
from tooz import utils as tooz_utils

from nova_servicegroup.drivers.common import decoding
from nova_servicegroup.drivers.common import provenance
from nova_servicegroup.drivers.mc import coordinators
from nova_servicegroup.drivers.zk import kazoo_client
from nova_servicegroup.tests import base

DRIVER = tooz_memcached.MemcachedDriver
SHARD = DRIVER.GROUP_PREFIX + b'nova:compute:1'

#: Prints the type of a value in a child process, which may crash.
CHILD = """
import sys
from tooz import utils
from nova_servicegroup.drivers.common import decoding
data = bytes.fromhex(sys.argv[2])
if sys.argv[1] == 'guarded':
    decoding.guard_tooz()
print(type(utils.loads(data)).__name__)
"""


def nested(levels: int) -> bytes:
    """Return a value that crashes a process that decodes it as tooz does."""
    data: bytes = msgpack.packb(1)
    for _ in range(levels):
        data = msgpack.packb(msgpack.ExtType(4, data))
    return data


def raising() -> list[bytes]:
    """Return values that tooz's decoder raises for, or makes no plain ones."""
    date = dict.fromkeys(('day', 'month', 'year', 'hour', 'minute'), 99)
    return (
        [
            msgpack.packb(msgpack.ExtType(*each))
            for each in (
                (4, msgpack.packb([[1]])),
                (5, msgpack.packb([{'a': 1}])),
                (1, msgpack.packb(date)),
                (7, msgpack.packb([])),
                (3, msgpack.packb([])),
                (2, msgpack.packb([])),
                (99, b''),
            )
        ]
        + [
            # msgpack's own type for a time.
            b'\xc7\x00\xff',
            b'\xd6\xff1234',
        ]
        + [
            msgpackutils.dumps(each)
            for each in (
                {1},
                datetime.datetime(2027, 1, 1),
                netaddr.IPAddress('::1'),
                itertools.count(),
            )
        ]
    )


class DecodeTest(base.TestCase):
    def test_plain_values(self) -> None:
        for value in (
            None,
            {'machine': 'a', 'pid': 5, 'reads': 'zk'},
            {b'id': {b'capabilities': {'host': 'ö'}}},
            {'published': b'\x00\xff'},
            [1, 2.5, True],
        ):
            data = tooz_utils.dumps(value)
            self.assertEqual(value, decoding.decode(data))

    def test_extension_types_are_refused(self) -> None:
        for data in [nested(1), nested(200), *raising()]:
            self.assertRaises(ValueError, decoding.decode, data)
            packed = msgpack.packb({'a': [1]})[:-1] + data
            self.assertRaises(ValueError, decoding.decode, packed)

    def test_other_data_than_msgpack_is_refused(self) -> None:
        for data in (
            b'',
            b'\xc1',
            b'\xff\x00{garbage',
            b'\xa1\xff',
            b'\x81\x05\x01',
            b'\x81\x91\x01\x01',
            b'\xdd\xff\xff\xff\xff',
            b'\xc6\xff\xff\xff\xff',
            'text',
            None,
        ):
            self.assertRaises(ValueError, decoding.decode, data)

    def test_depth_is_bounded(self) -> None:
        for data in (b'\x91', b'\x81\xa1a'):
            for levels in (9, 100, 600, 5000):
                packed = levels * data + b'\xc0'
                self.assertRaises(ValueError, decoding.decode, packed)
            self.assertIsNotNone(decoding.decode(4 * data + b'\xc0'))

    def test_size_is_bounded(self) -> None:
        data = msgpack.packb(bytes(9 * 1024 * 1024))
        self.assertRaises(ValueError, decoding.decode, data)


class CrashTest(base.TestCase):
    """tooz itself, in a child process."""

    def run_child(self, how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', CHILD, how]
            + [nested(200).hex()],
            cwd=pathlib.Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_714_bytes_crash_a_process_that_uses_tooz(self) -> None:
        # If this fails, tooz or oslo.serialization has been fixed, and the
        # guard may not be needed any more.
        self.assertEqual(714, len(nested(200)))
        self.assertLess(self.run_child('plain').returncode, 0)

    def test_a_guarded_process_does_not_crash(self) -> None:
        done = self.run_child('guarded')
        self.assertEqual((0, 'ExtType\n'), (done.returncode, done.stdout))


class GuardToozTest(base.TestCase):
    """Any driver of tooz, in a program of this package."""

    def setUp(self) -> None:
        super().setUp()
        packing = tooz_utils.msgpackutils
        self.addCleanup(setattr, tooz_utils, 'msgpackutils', packing)
        for _ in range(2):
            decoding.guard_tooz()

    def test_invalid_values_raise_the_error_of_tooz(self) -> None:
        for data in [100 * b'\x91' + b'\xc0', b'\xc1']:
            self.assertRaises(
                tooz_utils.SerializationError, tooz_utils.loads, data
            )

    def test_only_errors_of_tooz_are_raised(self) -> None:
        for data in raising():
            try:
                tooz_utils.loads(data)
            except tooz.ToozError:
                continue

    def test_values_that_tooz_has_packed_are_unchanged(self) -> None:
        now = datetime.datetime(2027, 1, 15, 8)
        for value in ({'joined_on': now}, {'published': b'x'}, None):
            self.assertEqual(value, tooz_utils.loads(tooz_utils.dumps(value)))

    def test_every_driver_uses_the_guarded_decoder(self) -> None:
        # The one for IPC has no extension types.
        for path in pathlib.Path(tooz_memcached.__file__).parent.glob('*.py'):
            text = path.read_text()
            if path.stem not in ('ipc', 'memcached', 'zookeeper'):
                self.assertNotRegex(text, r'import msgpack|msgpackutils')
        text = pathlib.Path(tooz_utils.__file__).read_text()
        self.assertEqual(1, text.count('msgpackutils.loads('))

    def test_the_driver_for_files_still_works(self) -> None:
        path = self.create_tempfiles([('x', '')])[0]
        made = coordination.get_coordinator(f'file://{path}.d', b'me')
        made.start()
        self.addCleanup(made.stop)
        made.create_group(b'g').get()
        made.join_group(b'g', {'published': b'x'}).get()
        self.assertEqual(
            {'published': b'x'},
            made.get_member_capabilities(b'g', b'me').get(),
        )


class ZooKeeperTest(base.TestCase):
    """tooz's own driver, with answers of a server."""

    def setUp(self) -> None:
        super().setUp()
        conf = self.make_conf('[zookeeper]\naddress = 127.0.0.1:1\n')
        self.coordinator = kazoo_client.Settings(conf).make(b'me')
        self.answer = kazoo_threading.AsyncResult(
            self.coordinator._coord.handler
        )
        self.coordinator._coord = mock.Mock(
            get_async=lambda path: self.answer,
            get_children_async=lambda path: self.answer,
        )

    def ask(self) -> Any:
        return self.coordinator.get_member_capabilities(b'g', b'a')

    def test_capabilities_are_decoded(self) -> None:
        result = self.ask()
        self.assertFalse(result.done())
        self.answer.set((tooz_utils.dumps({'machine': 'm'}), None))
        self.assertTrue(result.done())
        self.assertEqual({'machine': 'm'}, result.get())

    def test_invalid_values_are_none(self) -> None:
        for data in [nested(200), *raising(), b'', None, b'\xc1']:
            self.answer.set((data, None))
            self.assertIsNone(self.ask().get())

    def test_errors_are_those_of_tooz(self) -> None:
        for error, expected in (
            (kazoo_exceptions.NoNodeError(), coordination.MemberNotJoined),
            (kazoo_exceptions.ConnectionLoss(), tooz.ToozError),
        ):
            self.answer.set_exception(error)
            self.assertRaises(expected, self.ask().get)

    def test_no_answer_in_time(self) -> None:
        error = self.coordinator._timeout_exception
        self.assertRaises(
            (error, coordination.OperationTimedOut), self.ask().get, 0.01
        )

    def test_a_group_may_have_a_name_that_is_not_ascii(self) -> None:
        self.answer.set(['compute', 'hörst'])
        self.assertEqual(
            {b'compute', 'hörst'.encode()},
            self.coordinator.get_groups().get(1.0),
        )


class MemcachedTest(base.TestCase):
    """tooz's own driver, and the deserializer that it gives to pymemcache."""

    def deserialize(self, key: bytes, value: Any) -> Any:
        packed = msgpack.packb(value)
        return coordinators.deserialize(key, packed, 2)

    def test_tooz_uses_our_deserializer(self) -> None:
        conf = self.make_conf()
        made = coordinators.Factory('h:1', conf.memcached, 60).make(b'me')
        made.heartbeat = mock.Mock()
        client = mock.patch.object(
            tooz_memcached.pymemcache_client, 'PooledClient'
        )
        with client as pooled:
            made.start()
        self.assertIs(
            coordinators.deserialize,
            pooled.call_args.kwargs['deserializer'],
        )

    def test_values_that_tooz_has_packed_are_unchanged(self) -> None:
        for value in (b'token', {'machine': 'm'}, None):
            packed = DRIVER._msgpack_serializer(b'k', value)
            self.assertEqual(value, coordinators.deserialize(b'k', *packed))

    def test_invalid_values_are_none(self) -> None:
        for data in [nested(200), *raising(), b'', b'\xc1']:
            for flags in (0, 2, 3, 2**32):
                for key in (b'k', 'k'):
                    self.assertIsNone(
                        coordinators.deserialize(key, data, flags)
                    )

    def test_a_value_that_is_too_long_for_a_token_is_dropped(self) -> None:
        found = coordinators.deserialize(b'k', bytes(1_000_000), 1)
        self.assertEqual(b'', found)

    def test_an_invalid_list_is_replaced(self) -> None:
        for data, flags in ((nested(200), 2), (b'x', 1), (b'[]', 0)):
            found = coordinators.deserialize(SHARD, data, flags)
            self.assertEqual({}, found)
            key = DRIVER.GROUP_LIST_KEY
            found = coordinators.deserialize(key, data, flags)
            self.assertEqual([], found)

    def test_the_groups_of_other_programs_stay_listed(self) -> None:
        found = self.deserialize(DRIVER.GROUP_LIST_KEY, [b'a', 'b', [1], 5])
        self.assertEqual([b'a', 'b'], found)

    def test_valid_entries_stay(self) -> None:
        good = {b'a': {b'capabilities': None, b'more': 1}}
        bad = {'a': {b'capabilities': None}, b'b': 5, b'c': {}, b'd': [1]}
        self.assertEqual(good, self.deserialize(SHARD, {**bad, **good}))


class OriginTest(base.TestCase):
    def test_an_origin_is_shown_in_one_line(self) -> None:
        found = {'machine': '\x1b]0;x\x07' + 9999 * 'a', 'reads': 'z\nk'}
        made = provenance.incarnation('x\n@y', None, found)
        for shown in (made.name, made.machine, made.reads):
            self.assertTrue(shown.isprintable())
            self.assertLess(len(shown), 300)

    def test_an_invalid_origin_is_none(self) -> None:
        for found in (
            None,
            5,
            [],
            {'machine': 5, 'pid': 'x', 'reads': b'x'},
            {'pid': True},
            {'pid': -1},
            {'pid': 2**70},
        ):
            made = provenance.incarnation('x', None, found)
            self.assertEqual(
                (None, None, None), (made.machine, made.pid, made.reads)
            )
