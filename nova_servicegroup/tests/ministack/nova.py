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


"""What a test or a user asks of Nova, in Nova's words."""

import dataclasses
import datetime
import time
from typing import Any

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack import client

_FLAVOR = {
    'id': '1',
    'name': 'tiny',
    'ram': 64,
    'vcpus': 1,
    'disk': 0,
    'OS-FLV-EXT-DATA:ephemeral': 1,
}
# Neither image nor volume: a blank local disk is all that it has.
_DISK = {
    'boot_index': 0,
    'source_type': 'blank',
    'destination_type': 'local',
    'delete_on_termination': True,
}

_REFRESH = 1.2

Service = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Server:
    """An instance as Nova tells of it, or the refusal to make one.

    :param status: Nova's, or ``REFUSED`` when the API itself said no.
    :param fault: why it could not be made.
    """

    id: str
    name: str
    status: str
    host: str | None = None
    fault: str = ''

    @property
    def refused(self) -> bool:
        """Whether there is no such server, for whatever reason."""
        return self.status in ('ERROR', 'REFUSED')


class Nova(client.Client):
    """Nova's API with a verb for each thing that is needed here."""

    def services(self, binary: str = '') -> list[Service]:
        """Return what GET /os-services tells."""
        query = f'?binary={binary}' if binary else ''
        found = self.expect('GET', f'/os-services{query}')['services']
        return sorted(found, key=lambda one: (one['binary'], one['host']))

    def service(self, host: str, binary: str = 'nova-compute') -> Service:
        """Return one service.

        :raises LookupError: when there is none such.
        """
        for one in self.services(binary):
            if one['host'] == host:
                return one
        raise LookupError(f'no {binary} on {host}')

    def state(self, host: str, binary: str = 'nova-compute') -> str:
        """Return ``up`` or ``down``."""
        return str(self.service(host, binary)['state'])

    def wait_state(
        self,
        host: str,
        state: str,
        timeout: float = 90.0,
        interval: float = 0.2,
    ) -> float:
        """Wait until a compute host is up or down.

        It waits some time more, so that all processes know.

        :returns: the seconds until the first one knew.
        :raises TimeoutError: when it does not get there.
        """
        took = process.wait_until(
            lambda: self.state(host) == state,
            timeout,
            interval,
            f'nova-compute on {host} is not {state}',
        )
        self.settle()
        return took

    def settle(self) -> None:
        """Wait until every process of API and scheduler is up to date.

        Each keeps what it has read for up to ``refresh_interval``.
        """
        time.sleep(_REFRESH)

    def forced_down(self, host: str, value: bool = True) -> None:
        """Tell Nova that a host is fenced, or not any more."""
        self._update(host, forced_down=value)

    def enable(self, host: str, value: bool = True) -> None:
        """Enable or disable a compute service."""
        self._update(host, status='enabled' if value else 'disabled')

    def _update(self, host: str, **fields: object) -> None:
        where = f'/os-services/{self.service(host)["id"]}'
        self.expect('PUT', where, fields)

    def create_flavor(self) -> None:
        """Create the one flavor, if there is none yet."""
        if not self.expect('GET', '/flavors')['flavors']:
            self.expect('POST', '/flavors', {'flavor': _FLAVOR})

    def boot(
        self, name: str, host: str | None = None, timeout: float = 60.0
    ) -> Server:
        """Boot a server and wait until it is there or refused.

        :param host: the only host that will do; the scheduler still checks.
        """
        wanted = {
            'name': name,
            'flavorRef': _FLAVOR['id'],
            'networks': 'none',
            'block_device_mapping_v2': [_DISK],
            **({'host': host} if host else {}),
        }
        status, body, _ = self.request('POST', '/servers', {'server': wanted})
        if status != 202:
            return Server('', name, 'REFUSED', fault=f'{status} {body}')
        return self.wait_server(body['server']['id'], timeout)

    def server(self, server_id: str) -> Server:
        """Return a server."""
        return _server(self._show(server_id))

    def wait_server(self, server_id: str, timeout: float = 60.0) -> Server:
        """Wait until nothing goes on with a server."""
        process.wait_until(
            lambda: _settled(self._show(server_id)),
            timeout,
            0.2,
            f'server {server_id} does not get ready',
        )
        return self.server(server_id)

    def delete(self, server_id: str) -> None:
        """Delete a server without waiting."""
        self.expect('DELETE', f'/servers/{server_id}', status=204)

    def evacuate(
        self, server_id: str, host: str | None = None
    ) -> tuple[int, Any, float]:
        """Ask to rebuild a server elsewhere, and return the answer.

        It is refused with 400 while the server's host is up.
        """
        where = {'host': host} if host else {}
        path = f'/servers/{server_id}/action'
        return self.request('POST', path, {'evacuate': where})

    def _show(self, server_id: str) -> dict[str, Any]:
        answer = self.expect('GET', f'/servers/{server_id}')
        return dict(answer['server'])


def reported(service: Service) -> float:
    """Return when a service has last reported, as seconds of the epoch.

    It is 0 when Nova shows no time.
    """
    text = service['updated_at']
    if not text:
        return 0.0
    when = datetime.datetime.fromisoformat(text)
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


def table(services: list[Service]) -> str:
    """Return services as a table."""
    lines = [f'{"BINARY":16} {"HOST":12} {"STATUS":9} {"STATE":6} UPDATED AT']
    for one in services:
        forced = ' (forced down)' if one['forced_down'] else ''
        lines.append(
            f'{one["binary"]:16} {one["host"]:12} {one["status"]:9}'
            f' {one["state"]:6} {one["updated_at"]}{forced}'
        )
    return '\n'.join(lines)


def now() -> float:
    """Return the time in whole seconds, as Nova's tables keep it."""
    return float(int(time.time()))


def _settled(shown: dict[str, Any]) -> bool:
    busy = shown['OS-EXT-STS:task_state']
    return shown['status'] == 'ERROR' or (
        shown['status'] != 'BUILD' and not busy
    )


def _server(shown: dict[str, Any]) -> Server:
    return Server(
        id=shown['id'],
        name=shown['name'],
        status=shown['status'],
        host=shown['OS-EXT-SRV-ATTR:host'],
        fault=shown.get('fault', {}).get('message', ''),
    )
