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


"""An observer: a process that asks all the time who is up.

Run as a program, it is that process. ``Observer`` starts one and tells what
it has seen.
"""

from collections.abc import Mapping, Sequence
import argparse
import datetime
import json
import pathlib
import time
from typing import Any, TextIO

from nova_servicegroup.tests.harness import process

#: A verdict of up is fresh while its proof is not older than this (seconds).
FRESH = 1.0
#: A host that is up must not have been updated longer ago than this (seconds).
#: InstanceHA evacuates one of 30 s and more, whatever its state.
STALE = 10.0
_SLOW = 0.05
_SEEN = 'seen'


class Observer(process.Program):
    """One observer process.

    It sees a host as ``up``, as ``kept`` (up, without a fresh proof) or as
    ``down``. Times are those of time.monotonic(), the same in every process.

    :param interval: seconds between two rounds
    """

    def __init__(
        self,
        directory: pathlib.Path,
        config: pathlib.Path,
        hosts: Sequence[str],
        group: str = 'compute',
        interval: float = 0.01,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.hosts = list(hosts)
        super().__init__(
            directory,
            __name__,
            f'--config={config}',
            f'--group={group}',
            f'--interval={interval}',
            *hosts,
            prefix=prefix,
            env=env,
            forks=True,
        )

    def events(self) -> list[dict[str, Any]]:
        """Return what it has noted so far: changes, and slow calls."""
        file = self.directory / _SEEN
        if not file.exists():
            return []
        lines = file.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith('\n')]

    def changes(self, host: str) -> list[tuple[float, str]]:
        """Return when a host became what."""
        return [
            (event['at'], event['state'])
            for event in self.events()
            if event.get('host') == host
        ]

    def state(self, host: str) -> str:
        """Return what a host is now; empty: nothing is known yet."""
        return next((state for _, state in self.changes(host)[::-1]), '')

    def last_proof(self, host: str) -> float:
        """Return the last proof of life of a host that was kept."""
        return max(
            float(event['proof'])
            for event in self.events()
            if event.get('host') == host and event['proof'] is not None
        )

    def downs(self, since: float, *hosts: str) -> list[tuple[float, str]]:
        """Return when which host became down."""
        return [
            (at, host)
            for host in hosts or self.hosts
            for at, state in self.changes(host)
            if state == 'down' and at >= since
        ]

    def stale(self, since: float) -> list[dict[str, Any]]:
        """Return who was up, but updated long ago."""
        return [
            event
            for event in self.events()
            if 'stale' in event and event['at'] >= since
        ]

    def longest_call(self, since: float = 0.0) -> float:
        """Return how long the slowest verdict took."""
        return max(
            (
                event['call']
                for event in self.events()
                if 'call' in event and event['at'] >= since
            ),
            default=_SLOW,
        )

    def warnings(self, part: str = '') -> list[str]:
        """Return the log's warnings that contain part."""
        return [
            line
            for line in self.log.read_text(errors='replace').splitlines()
            if ' WARNING nova_servicegroup' in line and part in line
        ]

    def wait(self, state: str, within: float, *hosts: str) -> float:
        """Wait until hosts are seen so; return when the last one became it.

        :raises TimeoutError: they are not, in time
        """
        hosts = hosts or tuple(self.hosts)
        process.wait_until(
            lambda: all(self.state(host) == state for host in hosts),
            within,
            0.02,
            f'not all {state}: { {host: self.state(host) for host in hosts} }',
        )
        return max(self.changes(host)[-1][0] for host in hosts)


class _Eye:
    """Notes what changes."""

    def __init__(self, api: Any, group: str, notes: TextIO) -> None:
        self._api = api
        self._group = group
        self._notes = notes
        self._states: dict[str, str] = {}
        # Since when each host was up, but updated long ago.
        self._stale: dict[str, float] = {}

    def look(self, hosts: Sequence[str]) -> None:
        up = {host: self._is_up(host) for host in hosts}
        for host in hosts:
            if up[host]:
                self._check_update(host)
        now, members = time.monotonic(), self._members()
        for host in hosts:
            age = members[host].proof_age if host in members else None
            state = 'down'
            if up[host]:
                state = 'up' if _is_fresh(members.get(host)) else 'kept'
            if self._states.get(host) != state:
                self._states[host] = state
                proof = None if age is None else now - age
                self._note(host=host, state=state, proof=proof)

    def _record(self, host: str) -> dict[str, Any]:
        return {
            'host': host,
            'topic': self._group,
            'binary': f'nova-{self._group}',
            'forced_down': False,
            'updated_at': None,
        }

    def _check_update(self, host: str) -> None:
        """Note a host that is up if a consumer would take it for dead."""
        updated = self._api.get_updated_time(self._record(host))
        if updated is None or _age(updated) <= STALE:
            self._stale.pop(host, None)
            return
        # After a step of the clock, the last date is wrong until a reading.
        now = time.monotonic()
        if now - self._stale.setdefault(host, now) > 2.0 and self._is_up(host):
            self._note(stale=host, age=_age(updated))

    def _is_up(self, host: str) -> bool:
        begun = time.monotonic()
        verdict: bool = self._api.service_is_up(self._record(host))
        call = time.monotonic() - begun
        if call > _SLOW:
            self._note(call=call)
        return verdict

    def _members(self) -> dict[str, Any]:
        from nova_servicegroup import exceptions

        try:
            members = self._api.get_all(self._group)
        except exceptions.BackendError:
            return {}
        return {each.host: each for each in members}

    def _note(self, **event: Any) -> None:
        line = json.dumps({'at': time.monotonic(), **event})
        self._notes.write(f'{line}\n')
        self._notes.flush()


def _age(date: datetime.datetime) -> float:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - date).total_seconds()


def _is_fresh(member: Any) -> bool:
    return (
        member is not None
        and not member.held
        and member.proof_age is not None
        and member.proof_age < FRESH
    )


def main() -> None:
    """Look until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--config', required=True)
    parser.add_argument('--group', required=True)
    parser.add_argument('--interval', type=float, required=True)
    parser.add_argument('hosts', nargs='+')
    args = parser.parse_args()
    with open(_SEEN, 'a') as notes:
        eye = _Eye(_api(args.config), args.group, notes)
        while True:
            eye.look(args.hosts)
            time.sleep(args.interval)


def _api(config: str) -> Any:
    from oslo_config import cfg
    from oslo_log import log as logging

    from nova_servicegroup import api

    conf = cfg.ConfigOpts()
    logging.register_options(conf)
    conf(['--config-file', config], project='nova')
    logging.setup(conf, 'observer')
    return api.API(conf)


if __name__ == '__main__':
    main()
