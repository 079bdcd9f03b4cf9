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

"""The machine and the versions that the figures depend on."""

import contextlib
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
    """Return the number and model of the processors, and the memory."""
    model = platform.machine()
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            model = line.partition(':')[2].strip()
            break
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return f'{os.cpu_count()} x {model}, {pages / 2**30:.0f} GiB'


def versions() -> str:
    """Return the versions of Python, the libraries and Debian's servers.

    Those that are not installed are left out.
    """
    versions = [f'Python {platform.python_version()}']
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f'{name} {metadata.version(name)}')
    for name in _SERVERS:
        done = subprocess.run(
            ['dpkg-query', '-W', '-f', '${Version}', name],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            versions.append(f'{name} {done.stdout}')
    return ', '.join(versions)
