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

"""What the figures depend on: the machine, and the versions."""

from importlib import metadata
import os
import pathlib
import platform
import subprocess

_PACKAGES = (
    'nova',
    'nova-servicegroup',
    'tooz',
    'kazoo',
    'pymemcache',
    'etcd3gw',
    'redis',
    'dogpile.cache',
    'oslo.cache',
    'oslo.messaging',
)
_SERVERS = (
    'etcd-server',
    'mariadb-server',
    'memcached',
    'rabbitmq-server',
    'redis-server',
    'zookeeper',
)


def machine() -> str:
    """Return what this runs on."""
    model = platform.machine()
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            model = line.partition(':')[2].strip()
            break
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return f'{os.cpu_count()} x {model}, {pages / 2**30:.0f} GiB'


def versions() -> str:
    """Return the versions of what is measured, as far as it is installed."""
    versions = [f'Python {platform.python_version()}']
    for name in _PACKAGES:
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    versions += [f'{name} {version}' for name, version in _packages()]
    return ', '.join(versions)


def _packages() -> list[tuple[str, str]]:
    """Return the versions of the servers, where they are Debian's."""
    found = []
    for name in _SERVERS:
        done = subprocess.run(
            ['dpkg-query', '-W', '-f', '${Version}', name],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            found.append((name, done.stdout))
    return found
