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
"""The files of keystone and Masakari, and what Nova's have more with them."""

import csv
import dataclasses
import json
import pathlib

from nova_servicegroup.tests.ministack import config
from nova_servicegroup.tests.ministack import settings as settings_

REGION = 'RegionOne'
PASSWORD = 'ministack'
#: The project of the services, and who they are there.
PROJECT = 'service'
USERS = ('nova', 'placement', 'masakari')
CLOUD = 'ministack'
_DOMAIN = {'user_domain_id': 'default', 'project_domain_id': 'default'}
_TABLE = pathlib.Path(__file__).with_name('settings.csv')

#: Rows of ``settings.csv``: an option of a file, and its values.
Row = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where keystone and Masakari are.

    :param directory: of both; each process has one of its own below.
    :param keystone: the URL of its API.
    """

    directory: pathlib.Path
    keystone: str
    masakari_port: int
    keystone_database: str
    masakari_database: str

    @property
    def masakari(self) -> str:
        """The URL of Masakari's API."""
        return f'http://127.0.0.1:{self.masakari_port}/v1'

    @property
    def files(self) -> pathlib.Path:
        """Where their configuration files are."""
        return self.directory / 'conf'

    @property
    def keys(self) -> pathlib.Path:
        """Where keystone has the keys of its tokens."""
        return self.directory / 'keys'


def table() -> list[Row]:
    """Return what can be compared, with a value for each choice."""
    with _TABLE.open(newline='') as file:
        return list(csv.DictReader(file))


def choices() -> list[str]:
    """Return the names of the settings that can be compared."""
    return [name for name in table()[0] if name not in ('file', 'option')]


def nova(
    settings: settings_.Settings, place: Place, at: config.Endpoints
) -> settings_.Settings:
    """Return settings by which Nova uses keystone, and has agents.

    Each host looks for processes in a directory of its own.
    """
    overrides = {
        **_flat('keystone_authtoken', authtoken(place, 'nova')),
        **_flat('placement', login(place, 'nova')),
        'servicegroup.agents': 'true',
        **settings.overrides,
    }
    own = {
        host: {
            'servicegroup.process_directory': str(processes(at, host)),
            **settings.own.get(host, {}),
        }
        for host in settings.hosts
    }
    return dataclasses.replace(
        settings, overrides=overrides, own={**settings.own, **own}
    )


def processes(at: config.Endpoints, host: str) -> pathlib.Path:
    """Return where the agent of a host learns of its nova-compute."""
    return at.state / host / 'processes'


def write_all(
    place: Place,
    settings: settings_.Settings,
    at: config.Endpoints,
    nova_files: pathlib.Path,
) -> None:
    """Write the files of keystone, Masakari and the client; placement's anew.

    :param nova_files: where the files of Nova and placement are.
    """
    compared = _compared(settings.masakari)
    files = {
        'keystone': keystone(place),
        'masakari': masakari(place, at),
        'masakarimonitors': monitors(place, nova_files),
    }
    for name, content in files.items():
        changed = config.overridden(content, compared.get(name, {}))
        config.write(place.files / f'{name}.conf', changed)
    config.write(nova_files / 'placement.conf', placement(place, at))
    clouds = json.dumps({'clouds': {CLOUD: client(place)}}, indent=1)
    (place.directory / 'clouds.yaml').write_text(clouds + '\n')


def _compared(choice: str) -> dict[str, dict[str, str]]:
    """Return ``{file: {'group.key': value}}`` of one choice."""
    found: dict[str, dict[str, str]] = {}
    for row in table():
        found.setdefault(row['file'], {})[row['option']] = row[choice]
    return found


def keystone(place: Place) -> config.Config:
    """Return keystone's file."""
    keys = {'key_repository': place.keys}
    return {
        'DEFAULT': {'use_stderr': 'true'},
        # Masakari gets a new token for each request to Nova.
        'cache': {'backend': 'dogpile.cache.memory', 'enabled': 'true'},
        'database': {'connection': place.keystone_database},
        'fernet_receipts': keys,
        'fernet_tokens': keys,
        # Passwords that guard nothing need not be slow to check.
        'identity': {'password_hash_rounds': 4},
        'token': {'provider': 'fernet'},
    }


def masakari(place: Place, at: config.Endpoints) -> config.Config:
    """Return the file of masakari-api and masakari-engine."""
    database = {'connection': place.masakari_database}
    return {
        'DEFAULT': {
            'host': config.CONTROLLER,
            'masakari_api_listen': '127.0.0.1',
            'masakari_api_listen_port': place.masakari_port,
            'masakari_api_workers': 1,
            'transport_url': at.transport,
            'os_privileged_user_name': 'masakari',
            'os_privileged_user_password': PASSWORD,
            'os_privileged_user_tenant': PROJECT,
            'os_privileged_user_auth_url': place.keystone,
            'os_region_name': REGION,
        },
        'database': database,
        'host_failure': {'evacuate_all_instances': 'true'},
        'keystone_authtoken': authtoken(place, 'masakari'),
        'oslo_concurrency': {'lock_path': place.directory / 'lock'},
        'taskflow': database,
        'wsgi': {'api_paste_config': place.files / 'api-paste.ini'},
    }


def monitors(place: Place, nova_files: pathlib.Path) -> config.Config:
    """Return the file of masakari-hostmonitor, with our driver."""
    return {
        'DEFAULT': {'hostname': config.CONTROLLER},
        'api': {**login(place, 'masakari'), 'region': REGION},
        'host': {'monitoring_driver': 'servicegroup'},
        'servicegroup_masakari': {
            'nova_config_files': nova_files / 'nova.conf'
        },
    }


def placement(place: Place, at: config.Endpoints) -> config.Config:
    """Return placement's file, with keystone."""
    more: config.Config = {
        'api': {'auth_strategy': 'keystone'},
        'keystone_authtoken': authtoken(place, 'placement'),
    }
    return config.merge(config.placement(at), more)


def client(place: Place) -> dict[str, object]:
    """Return what a cloud's client is told of it."""
    auth = {
        'auth_url': place.keystone,
        'username': 'admin',
        'password': PASSWORD,
        'project_name': 'admin',
        **_DOMAIN,
    }
    return {
        'auth': auth,
        'region_name': REGION,
        'identity_api_version': '3',
    }


def login(place: Place, user: str) -> dict[str, object]:
    """Return how a service logs in at keystone."""
    return {
        'auth_type': 'password',
        'auth_url': place.keystone,
        'username': user,
        'password': PASSWORD,
        'project_name': PROJECT,
        **_DOMAIN,
    }


def authtoken(place: Place, user: str) -> dict[str, object]:
    """Return how a service has keystone check the tokens of others."""
    return {
        **login(place, user),
        'www_authenticate_uri': place.keystone,
        'service_token_roles_required': 'true',
    }


def _flat(group: str, values: dict[str, object]) -> dict[str, str]:
    return {f'{group}.{key}': str(value) for key, value in values.items()}
