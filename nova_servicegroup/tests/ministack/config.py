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

"""Nova's and placement's configuration files."""

from collections.abc import Mapping
import dataclasses
import pathlib

from nova_servicegroup.tests.ministack import settings as settings_

Config = dict[str, dict[str, object]]

CONTROLLER = 'controller'
_TOKEN = 'admin'
_LOG_FORMAT = (
    '%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s %(message)s'
)


@dataclasses.dataclass(frozen=True)
class Endpoints:
    """Where the servers are."""

    transport: str
    api_database: str
    cell_database: str
    placement_database: str
    placement: str
    neutron: str
    zookeeper: str
    memcached: str
    etcd: str
    redis: str
    state: pathlib.Path


def common(settings: settings_.Settings, at: Endpoints) -> Config:
    """Return what all of Nova's files have in common."""
    return {
        'DEFAULT': {
            'transport_url': at.transport,
            'servicegroup_driver': settings.driver,
            'report_interval': settings.report_interval,
            'service_down_time': settings.service_down_time,
            'memcached_servers': at.memcached,
            'graceful_shutdown_timeout': 15,
            'manager_shutdown_timeout': 1,
            'logging_default_format_string': _LOG_FORMAT,
            'logging_context_format_string': _LOG_FORMAT,
            'default_log_levels': 'nova_servicegroup=INFO,amqp=WARNING,'
            'sqlalchemy=WARNING,oslo.messaging=INFO,kazoo=WARNING',
        },
        'zookeeper': {'address': f'"{at.zookeeper}"'},
        'etcd': {'address': at.etcd},
        'redis': {'address': at.redis},
        'oslo_concurrency': {'lock_path': '$state_path/lock'},
        'oslo_messaging_rabbit': {'heartbeat_in_pthread': 'false'},
        'placement': _service(at.placement),
        'neutron': _service(at.neutron),
        'glance': _service(at.neutron),
        'upgrade_levels': {'compute': 'auto'},
    }


def controller(settings: settings_.Settings, at: Endpoints) -> Config:
    """Return the file of the API, conductor, scheduler and nova-manage."""
    own: Config = {
        'DEFAULT': {'host': CONTROLLER, 'state_path': at.state / CONTROLLER},
        'api_database': _database(at.api_database),
        'database': _database(at.cell_database),
        'conductor': {'workers': settings.workers},
        'scheduler': {'workers': settings.workers},
    }
    return merge(common(settings, at), own)


def compute(settings: settings_.Settings, at: Endpoints, host: str) -> Config:
    """Return the file of one nova-compute: without any database."""
    own: Config = {
        'DEFAULT': {
            'host': host,
            'state_path': at.state / host,
            'compute_driver': 'fake.FakeDriverWithoutFakeNodes',
        },
    }
    return merge(common(settings, at), own)


def placement(at: Endpoints) -> Config:
    """Return placement's file."""
    return {
        'api': {'auth_strategy': 'noauth2'},
        'placement_database': _database(at.placement_database),
    }


def merge(base: Config, more: Config) -> Config:
    """Return one configuration over another."""
    groups = {**base, **more}
    return {
        name: {**base.get(name, {}), **more.get(name, {})} for name in groups
    }


def overridden(base: Config, overrides: Mapping[str, str]) -> Config:
    """Return a configuration with ``group.key=value`` settings over it."""
    more: Config = {}
    for name, value in overrides.items():
        group, _, key = name.rpartition('.')
        more.setdefault(group or 'DEFAULT', {})[key] = value
    return merge(base, more)


def write_all(
    directory: pathlib.Path,
    settings: settings_.Settings,
    at: Endpoints,
    sample: str,
) -> None:
    """Write the files of Nova and placement.

    :param sample: Nova's own api-paste.ini.
    """
    files = {'nova': controller(settings, at)}
    for host in settings.hosts:
        files[host] = compute(settings, at, host)
        (at.state / host).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        changed = overridden(content, settings.overrides)
        changed = overridden(changed, settings.own.get(name, {}))
        write(directory / f'{name}.conf', changed)
    write(directory / 'placement.conf', placement(at))
    (directory / 'api-paste.ini').write_text(paste(sample))


def write(file: pathlib.Path, config: Config) -> None:
    """Write a file in oslo.config's format."""
    lines = []
    for group, values in config.items():
        lines.append(f'[{group}]')
        lines += [f'{key} = {value}' for key, value in values.items()]
        lines.append('')
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('\n'.join(lines))


def paste(sample: str) -> str:
    """Return api-paste.ini without keystone's middleware."""
    return sample.replace(' authtoken ', ' ')


def _service(url: str) -> dict[str, object]:
    return {
        'auth_type': 'admin_token',
        'token': _TOKEN,
        'endpoint': url,
        'endpoint_override': url,
    }


def _database(url: str) -> dict[str, object]:
    return {'connection': url, 'max_pool_size': 5, 'max_overflow': 20}
