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
"""A host dies, Masakari recovers it: when each part of that was seen."""

from collections.abc import Callable, Sequence
import functools
import json
import time
from typing import Any

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack.masakari import clients
from nova_servicegroup.tests.ministack.masakari import stack as stack_

#: What is seen of a recovery, usually in this order: Nova's API says that the
#: host is down; nothing reports for it any more; Masakari was told of it;
#: Nova's scheduler avoids it; all its servers are on other hosts; they are
#: ACTIVE; Masakari has ended its work.
MARKS = (
    'down',
    'silent',
    'notified',
    'disabled',
    'evacuated',
    'active',
    'finished',
)
_ENDED = ('finished', 'error', 'failed', 'ignored')
_INTERVAL = 0.2


class Watch:
    """Records when our command line shows a host silent.

    It is a process of its own, which shows changes as they happen.
    """

    def __init__(self, stack: stack_.Stack) -> None:
        file = str(stack.directory / 'conf' / 'nova.conf')
        program = stack.venv.program('nova-servicegroup')
        argv = [program, '--config-file', file, 'watch', '--json']
        directory = stack.directory / 'masakari' / 'watch'
        self._process = process.Process(argv, directory, {'PYTHONPATH': ''})

    def start(self, timeout: float = 60.0) -> None:
        """Start it, and wait until it shows something."""
        self._process.stop()
        self._process.log.unlink(missing_ok=True)
        self._process.start()
        process.wait_until(self.events, timeout, what='watch shows nothing')

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def events(self) -> list[dict[str, Any]]:
        """Return what it has shown."""
        lines = self._process.log.read_text(errors='replace').splitlines()
        return [json.loads(line) for line in lines if line.startswith('{')]

    def is_silent(self, host: str, since: int) -> bool:
        """Tell whether it has shown that a host is silent.

        :param since: how many events it had shown before.
        """
        return any(
            each.get('host') == host and each.get('evidence') == 'silent'
            for each in self.events()[since:]
        )


class Recovery:
    """What the APIs of Nova and Masakari show after a host was killed.

    :param watch: None with stock Nova, which cannot tell who is silent.
    :param servers: the ids of the servers on the host.
    """

    def __init__(
        self,
        stack: stack_.Stack,
        watch: Watch | None,
        host: str,
        servers: Sequence[str],
    ) -> None:
        self.stack = stack
        self.host = host
        self.servers = list(servers)
        self.seen: dict[str, float] = {}
        self._told = told(stack, host)
        self._checks: dict[str, Callable[[], object]] = {
            'down': lambda: stack.state(host) == 'down',
            'notified': self.notification,
            'disabled': lambda: stack.service(host)['status'] == 'disabled',
            'evacuated': lambda: all(map(self._has_left, self.servers)),
            'active': lambda: all(map(self._is_active, self.servers)),
            'finished': self._has_ended,
        }
        if watch is not None:
            self._checks['silent'] = functools.partial(
                watch.is_silent, host, len(watch.events())
            )

    def run(self, timeout: float, by_hand: bool = False) -> dict[str, float]:
        """Kill the host and follow what happens.

        :param by_hand: notify Masakari as soon as the host is down, as
            hostmonitor does.
        :returns: the seconds from the kill to each of MARKS that can be seen.
        :raises TimeoutError: naming what was not seen.
        """
        begun = time.monotonic()
        self.stack.kill_host(self.host)
        while self._left():
            self._look(begun)
            if by_hand and 'down' in self.seen:
                by_hand = False
                self.stack.settle()
                self.stack.masakari.notify(self.host)
            if time.monotonic() - begun > timeout:
                missing = ', '.join(self._left())
                raise TimeoutError(f'after {timeout:g} s not seen: {missing}')
            time.sleep(_INTERVAL)
        return self.seen

    def _left(self) -> list[str]:
        """Return what was not seen yet."""
        return [mark for mark in self._checks if mark not in self.seen]

    def _look(self, begun: float) -> None:
        for mark in self._left():
            if self._checks[mark]():
                self.seen[mark] = time.monotonic() - begun

    def notification(self) -> clients.Body:
        """Return what Masakari was told since; empty if nothing."""
        for each in _deaths(self.stack, self.host):
            if each['notification_uuid'] not in self._told:
                return each
        return {}

    def _has_ended(self) -> bool:
        return self.notification().get('status') in _ENDED

    def _has_left(self, server_id: str) -> bool:
        return self.stack.server(server_id).host not in (None, self.host)

    def _is_active(self, server_id: str) -> bool:
        server = self.stack.server(server_id)
        return server.status == 'ACTIVE' and server.host != self.host


def moved(stack: stack_.Stack) -> set[str]:
    """Return the ids of all evacuations so far, by Nova's own records."""
    query = '/os-migrations?migration_type=evacuation'
    found = stack.expect('GET', query)['migrations']
    return {each['uuid'] for each in found}


def told(stack: stack_.Stack, host: str = '') -> set[str]:
    """Return the ids of all notifications of dead hosts so far.

    :param host: only of those about this one
    """
    return {each['notification_uuid'] for each in _deaths(stack, host)}


def _deaths(stack: stack_.Stack, host: str) -> list[clients.Body]:
    """Return the notifications of hosts that have ended, not come back."""
    return [
        each
        for each in stack.masakari.notifications(host)
        if each['payload'].get('event') == 'STOPPED'
    ]
