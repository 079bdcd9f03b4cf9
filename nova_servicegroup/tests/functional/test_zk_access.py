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


"""Who can do what to the groups in ZooKeeper, as the page on security says.

That page names these tests, row by row.
"""

from collections.abc import Callable
import time
from typing import Any

from kazoo import client
from kazoo import exceptions as kazoo_exceptions
from kazoo import security

from nova_servicegroup.drivers.common import naming
from nova_servicegroup import exceptions
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.functional import test_zk_security
from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.harness import zookeeper

HOLD_TIME = 5
#: For so many seconds it is asked whether a host is down.
_LOOKS = 1.5
USER, PASSWORD = 'nova', 'hush'
ADMINISTRATOR = 'super', 'power'


def _auth(name: str, password: str) -> list[tuple[str, str]]:
    return [('digest', f'{name}:{password}')]


class Access(test_zk.ZooKeeperBackend, contract.Contract):
    """A server with an administrator; set what a stranger knows."""

    credentials = ''
    knows: tuple[str, str] | None = None

    @classmethod
    def start_backend(cls) -> None:
        digest = security.make_digest_acl_credential(*ADMINISTRATOR)
        cls.server = zookeeper.ZooKeeper(
            cls.root / 'zookeeper',
            tick_ms=int(1000 * test_zk.TICK),
            java_options=[
                '-Dzookeeper.DigestAuthenticationProvider.superDigest='
                f'{digest}'
            ],
        )
        cls.addClassCleanup(cls.server.kill)  # type: ignore[attr-defined]
        cls.server.start()

    def options(self) -> tuple[str, str]:
        default, groups = super().options()
        return default, f'{groups}{self.credentials}'

    def _config(self) -> str:
        return (
            super()
            ._config()
            .replace('hold_time = 30', f'hold_time = {HOLD_TIME}')
        )

    def setUp(self) -> None:
        super().setUp()
        self.group = f'/{self.unique}/{contract.GROUP}'

    def connect(self, *who: str, **how: Any) -> client.KazooClient:
        """Return a client with the credentials of somebody, or of none."""
        auth = _auth(*who) if who else []
        made = client.KazooClient(self.server.address, auth_data=auth, **how)
        made.start(timeout=10)
        self.addCleanup(made.close)  # type: ignore[attr-defined]
        self.addCleanup(made.stop)  # type: ignore[attr-defined]
        return made

    def stranger(self) -> client.KazooClient:
        return self.connect(*self.knows or ())

    def node(self, host: str) -> str:
        """Return the path of the only member of a host."""
        administrator = self.connect(*ADMINISTRATOR)
        (name,) = (
            each
            for each in administrator.get_children(self.group)
            if naming.host_of(each.encode()) == host
        )
        return f'{self.group}/{name}'

    def seconds_down(self, host: str, harm: Callable[[], Any]) -> float:
        """Harm a host until it is seen down; return for how long it was."""
        while self.is_up(host):
            # It may be back before anybody looks.
            harm()
            end = time.monotonic() + _LOOKS
            while self.is_up(host) and time.monotonic() < end:
                time.sleep(0.01)
        begun = time.monotonic()
        self.wait_up(host)
        seconds = time.monotonic() - begun
        self.measured('down', seconds)  # type: ignore[attr-defined]
        return seconds


class OpenTest(Access, contract.FunctionalTestCase):
    """Somebody who reaches servers for which no user was set."""

    def test_sees_who_is_there(self) -> None:
        self.running()
        (name,) = self.stranger().get_children(self.group)
        self.assertEqual('host1', naming.host_of(name.encode()))

    def test_makes_a_dead_host_look_alive(self) -> None:
        self.running()
        self.running('host2').kill()
        name = naming.member_id('host2').decode()
        self.stranger().create(f'{self.group}/{name}', ephemeral=True)
        self.watch(2.0 * test_zk.SESSION_TIMEOUT, 'host2')

    def test_makes_a_live_host_look_dead_for_a_moment(self) -> None:
        self.running()
        stranger = self.stranger()
        down = self.seconds_down(
            'host1', lambda: stranger.delete(self.node('host1'))
        )
        self.assert_within(down, 1.0)

    def test_takes_the_group_until_an_administrator_gives_it_back(
        self,
    ) -> None:
        self.running('host1')
        thief = security.make_digest_acl('thief', 'other', all=True)
        stolen = time.monotonic()
        self.stranger().set_acls(self.group, [thief])
        # Nobody sees anything any more, nor joins.
        error = self.assertRaises(
            exceptions.BackendError, self.make_api().get_all, contract.GROUP
        )
        self.assertIn('NoAuth', str(error))
        self.make_member('host2').start()
        # It may have been read, in vain, as soon as that.
        self.watch(stolen + HOLD_TIME - 0.5 - time.monotonic(), 'host1')
        self.wait_down('host1', 1.5 * HOLD_TIME)
        time.sleep(HOLD_TIME)
        self.assertFalse(self.is_up('host1'))
        self.assertFalse(self.is_up('host2'))
        self.connect(*ADMINISTRATOR).set_acls(self.group, [self.rightful()])
        self.wait_up('host1')
        self.wait_up('host2')

    def rightful(self) -> security.ACL:
        """Return the rights with which the group was made."""
        return security.OPEN_ACL_UNSAFE[0]


class PasswordTest(OpenTest):
    """Somebody who knows the password, as every host with the driver does."""

    credentials = f'username = {USER}\npassword = {PASSWORD}\n'
    knows = USER, PASSWORD

    def rightful(self) -> security.ACL:
        return security.make_digest_acl(USER, PASSWORD, all=True)


class NoPasswordTest(Access, contract.FunctionalTestCase):
    """Somebody who reaches the servers, and does not know the password."""

    credentials = PasswordTest.credentials

    def test_neither_sees_nor_changes_anything(self) -> None:
        self.running()
        stranger = self.stranger()
        member = self.node('host1')
        for touch in (
            lambda: stranger.get_children(f'/{self.unique}'),
            lambda: stranger.get_children(self.group),
            lambda: stranger.get(member),
            lambda: stranger.set(member, b''),
            lambda: stranger.create(f'{self.group}/host2@token'),
            lambda: stranger.delete(member),
            lambda: stranger.set_acls(self.group, security.OPEN_ACL_UNSAFE),
            lambda: stranger.set_acls(member, security.OPEN_ACL_UNSAFE),
        ):
            self.assertRaises(kazoo_exceptions.NoAuthError, touch)
        self.watch(1.0, 'host1')

    def test_ends_sessions_for_a_moment(self) -> None:
        """No right protects a session: its password follows from its id.

        And ids are counted up, from the time of the server's start.
        """
        self.running()
        mine = self.stranger().client_id[0]
        self.assertLess(abs(mine - self.session_of('host1')), 20)
        down = self.seconds_down('host1', lambda: self.end('host1'))
        self.assert_within(down, 1.5)

    def session_of(self, host: str) -> int:
        node = self.connect(*ADMINISTRATOR).exists(self.node(host))
        session: int = node.ephemeralOwner
        return session

    def end(self, host: str) -> None:
        """End the session of a host, without any right."""
        session = self.session_of(host)
        self.connect(client_id=(session, _session_password(session))).stop()

    def test_takes_a_namespace_that_is_not_there_yet(self) -> None:
        thief = security.make_digest_acl('thief', 'other', all=True)
        self.stranger().create(f'/{self.unique}', acl=[thief])
        member = self.make_member()
        member.start()
        process.wait_until(
            lambda: 'NoAuth' in member.log.read_text(), contract.START
        )
        self.assertFalse(self.proven())


class WireTest(Access, contract.FunctionalTestCase):
    """Somebody who listens on a network without TLS, or answers there."""

    credentials = PasswordTest.credentials

    def test_reads_the_password(self) -> None:
        listener = test_zk_security.Impostor()
        self.addCleanup(listener.close)
        text = self.config.read_text()
        self.config.write_text(
            text.replace(self.server.address, listener.address)
        )
        self.make_member().start()
        process.wait_until(
            lambda: f'{USER}:{PASSWORD}'.encode() in listener.heard,
            contract.START,
        )


def _session_password(session: int) -> bytes:
    """Return what the servers let a client have a session back for.

    They draw it from java.util.Random, seeded with the id and a constant.
    """
    mask = (1 << 48) - 1
    state = (session ^ 0xB3415C00 ^ 0x5DEECE66D) & mask
    drawn = b''
    while len(drawn) < 16:
        state = (state * 0x5DEECE66D + 0xB) & mask
        drawn += (state >> 16).to_bytes(4, 'little')
    return drawn
