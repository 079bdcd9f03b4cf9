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

"""The check whether each host has an agent."""

from unittest import mock

from nova_servicegroup import condition
from nova_servicegroup.doctor import agents
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import members
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base


def view(*found: views.Member, error: bool = False) -> views.View:
    problem = exceptions.BackendError('backend', 'mute') if error else None
    return views.View(found, 0.0, problem)


def member(host: str, state: str | None = None, **how: bool) -> views.Member:
    found = None
    if state is not None:
        found = condition.Condition(state, 'compute', 0.0)
    return views.Member(
        host, 'any', how.pop('up', True), condition=found, **how
    )


class JudgeTest(base.TestCase):
    def judge(self, *found: views.Member) -> list[finding.Finding]:
        seen = view(
            member('Host1'),
            member('host2'),
            member('held', held=True),
            member('dead', up=False),
        )
        return list(agents.judge(seen, view(*found)))

    def test_each_has_one(self) -> None:
        (found,) = self.judge(member('host1'), member('HOST2'), member('x'))
        self.assertEqual(
            (finding.Level.OK, '2 hosts have an agent.'),
            (found.level, found.what),
        )

    def test_some_have_none(self) -> None:
        (found,) = self.judge(member('host2'))
        self.assertEqual(finding.Level.WARNING, found.level)
        self.assertEqual('1 hosts have no agent: host1.', found.what)

    def test_some_do_not_see_it(self) -> None:
        (found,) = self.judge(
            member('host1', condition.STOPPED),
            member('host2', condition.DRAINING),
        )
        self.assertEqual(finding.Level.WARNING, found.level)
        self.assertIn(
            'do not see a nova-compute that is up: host1', found.what
        )


class CheckTest(base.TestCase):
    def check(
        self, agents_: str, has: bool = True, **how: bool
    ) -> list[finding.Finding]:
        conf = self.make_conf(f'[servicegroup]\nagents = {agents_}\n')
        self.asked = mock.Mock(has_agents=has)
        self.asked.driver.conf = conf
        self.asked.view.return_value = view(member('a'), **how)
        subject = finding.Subject(conf, None, lambda name: self.asked)
        with mock.patch.object(members, 'pause'):
            return list(agents.check(subject))

    def test_without_agents_nothing_is_asked(self) -> None:
        self.assertEqual([], self.check('false'))
        self.asked.view.assert_not_called()

    def test_a_driver_without_agents(self) -> None:
        (found,) = self.check('true', has=False)
        self.assertEqual(finding.Level.WARNING, found.level)
        self.asked.view.assert_not_called()

    def test_both_groups_are_read(self) -> None:
        (found,) = self.check('true')
        self.assertEqual(finding.Level.OK, found.level)
        self.assertEqual(
            {'compute', 'host'},
            {each.args[0] for each in self.asked.view.call_args_list},
        )

    def test_a_backend_that_is_away(self) -> None:
        """The check of the backend finds that."""
        self.assertEqual([], self.check('true', error=True))
