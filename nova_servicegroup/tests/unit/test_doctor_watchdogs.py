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


from unittest import mock

from nova_servicegroup import api
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import members
from nova_servicegroup.doctor import watchdogs
from nova_servicegroup.drivers import views
from nova_servicegroup import fencing
from nova_servicegroup.tests import base
from nova_servicegroup.tests.unit import test_doctor_agents


class WatchdogsTest(base.TestCase):
    """The agents of host1 and host2 are alive."""

    groups: dict[str, views.View]

    def check(self, driver: str, *claims: str) -> list[finding.Finding]:
        conf = self.make_conf(
            f'[DEFAULT]\nservicegroup_driver = {driver}\n'
            'memcached_servers = localhost:1,localhost:2\n'
            '[servicegroup]\nagents = true\n'
            '[servicegroup_agent]\nwatchdog = /dev/watchdog\n'
            '[zookeeper]\naddress = localhost:1\n'
        )
        asked = api.API(conf)
        member, view = test_doctor_agents.member, test_doctor_agents.view
        self.groups = {
            'host': view(
                member('Host1'), member('host2'), member('held', held=True)
            )
        }
        if claims:
            group = fencing.group(conf, asked.driver)
            self.groups[group] = view(*map(member, claims))
        subject = finding.Subject(conf, None, lambda name: asked)
        with (
            mock.patch.object(members, 'pause'),
            mock.patch.object(asked, 'view', self.groups.__getitem__),
        ):
            return list(watchdogs.check(subject))

    def test_each_claims_one(self) -> None:
        (found,) = self.check('zk', 'HOST1', 'host2')
        self.assertEqual(
            (finding.Level.OK, '2 agents claim a watchdog.'),
            (found.level, found.what),
        )

    def test_one_claims_none(self) -> None:
        (found,) = self.check('zk', 'host1')
        self.assertEqual(finding.Level.WARNING, found.level)
        self.assertEqual('1 agents claim no watchdog: host2.', found.what)

    def test_a_driver_that_permits_none(self) -> None:
        (found,) = self.check('mc')
        self.assertEqual(finding.Level.ERROR, found.level)
        self.assertIn('[servicegroup_agent] watchdog', found.what)

    def test_where_there_are_none_nothing_is_asked(self) -> None:
        asked = mock.Mock(has_watchdogs=False)
        subject = finding.Subject(self.make_conf(''), None, lambda name: asked)
        self.assertEqual([], list(watchdogs.check(subject)))
        asked.view.assert_not_called()
