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

"""The driver that the documentation shows."""

import os
import pathlib
import time

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base


class ExampleTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.module = base.load_example('file_driver')
        self.directory = pathlib.Path(self.create_temp_dir()) / 'shared'
        self.directory.mkdir()
        self.api = self.make_api()

    def create_temp_dir(self) -> str:
        return str(pathlib.Path(self.create_tempfiles([('x', '')])[0]).parent)

    def make_api(self) -> api.API:
        """Return an API that has read nothing yet."""
        conf = self.make_conf(f'[file_driver]\ndirectory = {self.directory}\n')
        made = api.API(conf, self.module.FileDriver(conf))
        self.addCleanup(made.close)
        return made

    def is_up(self, host: str) -> bool:
        record = {'host': host, 'topic': 'compute', 'updated_at': None}
        return self.make_api().service_is_up(record)

    def join(self, host: str) -> base.FakeService:
        service = base.FakeService()
        self.api.join(host, 'compute', service)
        return service

    def age(self, host: str, seconds: float) -> None:
        """Let a member's last heartbeat be so old."""
        then = time.time() - seconds
        os.utime(self.directory / 'compute' / host, (then, then))

    def test_joined_is_up_and_left_is_down(self) -> None:
        self.join('other')
        service = self.join('a/b')
        self.assertTrue(self.is_up('a/b'))
        service.stop()
        self.assertFalse(self.is_up('a/b'))
        self.assertTrue(self.is_up('other'))

    def test_who_does_not_beat_is_down(self) -> None:
        self.join('a')
        self.age('a', 50)
        self.assertTrue(self.is_up('a'))
        self.age('a', 61)
        self.assertFalse(self.is_up('a'))
        self.join('a')
        self.assertTrue(self.is_up('a'))

    def test_a_backend_that_is_away_makes_nobody_down(self) -> None:
        self.directory.rmdir()
        self.assertTrue(self.is_up('a'))
        self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, 'compute'
        )

    def test_a_group_that_was_forgotten_makes_nobody_down(self) -> None:
        self.assertTrue(self.is_up('a'))

    def test_who_has_no_name_has_not_joined(self) -> None:
        self.join('a')
        for record in ({}, {'host': 'a'}, {'host': None, 'topic': 'compute'}):
            self.assertIs(False, self.api.service_is_up(record), record)

    def test_the_last_proof_is_now_for_who_is_present(self) -> None:
        self.join('a')
        record = {'host': 'a', 'topic': 'compute', 'updated_at': None}
        proof = self.make_api().get_updated_time(record)
        self.assertLess(abs(time.time() - proof.timestamp()), 10)

    def test_a_view_lists_the_members(self) -> None:
        self.join('a')
        view = self.make_api().view('compute')
        self.assertEqual(['a'], [each.host for each in view.members])

    def test_without_a_directory_nova_does_not_start(self) -> None:
        self.assertRaises(
            exceptions.ConfigurationError,
            self.module.FileDriver,
            self.make_conf(),
        )
