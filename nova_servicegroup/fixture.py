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

"""A fixture for the tests of consumers: an API with the members of a test.

It needs the library fixtures, which this package does not install.
"""

from collections.abc import Collection
import datetime

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import condition
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import updates
from nova_servicegroup.drivers import views
from nova_servicegroup import exceptions
from nova_servicegroup import services

try:
    import fixtures
except ImportError as error:
    raise ImportError(
        'nova_servicegroup.fixture needs the library fixtures, which is not '
        'installed: pip install fixtures'
    ) from error


class ServiceGroupFixture(fixtures.Fixture):
    """A fixture with an API whose driver keeps the members in memory.

    Members that join are up; hosts that leave or never joined are down. Tests
    set everything else::

        group = self.useFixture(fixture.ServiceGroupFixture())
        group.set_up('host1')
        group.set_held('host2', proof_age=30.0)
        consumer.evacuate_from_dead_hosts(group.api)

    :ivar api: the api.API
    :param conf: its configuration; default: that of the options' defaults
    """

    api: api.API

    def __init__(self, conf: cfg.ConfigOpts | None = None) -> None:
        super().__init__()
        self._conf = conf

    def _setUp(self) -> None:
        conf = self._conf
        if conf is None:
            conf = cfg.ConfigOpts()
            conf([], project='nova', default_config_files=[])
        self._driver = _Driver(conf)
        self.api = api.API(conf, self._driver)

    def set_up(
        self, host: str, group: str = 'compute', proof_age: float = 0.0
    ) -> None:
        """Make a member up.

        :param proof_age: seconds since its last proof of life
        """
        self._driver.keep(views.Member(host, group, True, False, proof_age))

    def set_held(
        self, host: str, group: str = 'compute', proof_age: float = 0.0
    ) -> None:
        """Make a member held: up only since its absence is no evidence yet.

        :param proof_age: seconds since its last proof of life
        """
        self._driver.keep(views.Member(host, group, True, True, proof_age))

    def set_degraded(
        self,
        host: str,
        group: str = 'compute',
        reason: str = 'rpc',
        since: float = 0.0,
    ) -> None:
        """Make a member up but unfit, since one of its checks fails.

        :param reason: the name of the check
        :param since: in seconds since the epoch
        """
        self._set_unfit(host, group, condition.DEGRADED, reason, since)

    def set_draining(
        self, host: str, group: str = 'compute', since: float = 0.0
    ) -> None:
        """Make a member up but unfit, since its service stops.

        :param since: in seconds since the epoch
        """
        reason = condition.STOPPING
        self._set_unfit(host, group, condition.DRAINING, reason, since)

    def _set_unfit(
        self, host: str, group: str, state: str, reason: str, since: float
    ) -> None:
        reported = condition.Condition(state, reason, since)
        self._driver.keep(
            views.Member(
                host,
                group,
                True,
                proof_age=0.0,
                reason=condition.words(reported),
                condition=reported,
            )
        )

    def set_down(self, host: str, group: str = 'compute') -> None:
        """Make a member down."""
        self._driver.leave(host, group)

    def set_blind(self, age: float | None = None) -> None:
        """Make the backend not answer. Verdicts stay as they are set.

        :param age: seconds since its last answer; None: there was none
        """
        self._driver.error = exceptions.BackendError('fixture', 'blind')
        self._driver.age = age

    def set_seeing(self) -> None:
        """Make the backend answer, as it does initially."""
        self._driver.error, self._driver.age = None, 0.0


class _Driver(base.Driver):
    """A driver that keeps its members in memory."""

    servers = ()

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        self._members: dict[tuple[str, str], views.Member] = {}
        self.error: exceptions.BackendError | None = None
        self.age: float | None = 0.0

    def keep(self, member: views.Member) -> None:
        """Add a member, or replace it."""
        self._members[member.group, member.host] = member

    def join(self, member: str, group: str, service: services.Service) -> None:
        """See base.Driver."""
        self.keep(views.Member(member, group, True, False, 0.0))

    def leave(self, member: str, group: str) -> None:
        """See base.Driver."""
        self._members.pop((group, member), None)

    def is_up(self, service_ref: services.ServiceRef) -> bool:
        """See base.Driver."""
        return self._find(service_ref) is not None

    def updated_time(
        self, service_ref: services.ServiceRef
    ) -> datetime.datetime | None:
        """See base.Driver."""
        found = self._find(service_ref)
        age = None if found is None else found.proof_age
        return updates.newer(0.0 if found and found.held else age, service_ref)

    def view(
        self, group: str, detailed: bool | Collection[str] = False
    ) -> views.View:
        """See base.Driver."""
        members = sorted(
            (each for each in self._members.values() if each.group == group),
            key=lambda each: each.host,
        )
        return views.View(tuple(members), self.age, self.error)

    def check(self) -> str:
        """See base.Driver."""
        if self.error is not None:
            raise self.error
        return 'fixture: answers.'

    def _find(self, service_ref: services.ServiceRef) -> views.Member | None:
        key = base.group_of(service_ref), service_ref['host']
        return self._members.get(key)
