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

"""How programs read the configuration of Nova, and what they need of it."""

from collections.abc import Sequence
import re

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions


def read(
    conf: cfg.ConfigOpts,
    files: Sequence[str] | None,
    directories: Sequence[str] | None,
) -> None:
    """Read configuration files and directories, by default Nova's.

    :raises ConfigurationFileError: one of them cannot be read
    """
    arguments = [f'--config-file={each}' for each in files or ()]
    arguments += [f'--config-dir={each}' for each in directories or ()]
    try:
        # Nova's parser does not know the arguments of our commands.
        conf(arguments, project='nova', prog='nova-servicegroup')
    except cfg.ConfigFileParseError as error:
        # The rest of the message is the line, which may hold a password.
        place = re.match(r'at .*?:\d+', error.msg or '')
        raise exceptions.ConfigurationFileError(
            f'{place[0] if place else error.config_file}: neither a [group] '
            'nor name = value'
        ) from None
    except (cfg.Error, OSError, ValueError) as error:
        raise exceptions.ConfigurationFileError(str(error)) from None


def require_servers(name: str, driver: base.Driver) -> None:
    """Check that members are kept on servers, not in their own processes.

    In the memory of its process a member is invisible to other programs.

    :param name: the name of the driver
    :raises ConfigurationError: the driver has no servers
    """
    if driver.servers is not None and not driver.servers:
        raise exceptions.ConfigurationError(
            exceptions.DRIVER_OPTION,
            name,
            'a driver with servers. This one has none, so that every process '
            'sees only itself: see [DEFAULT] memcached_servers',
        )
