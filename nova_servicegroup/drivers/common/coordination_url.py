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

"""The servers that other services of OpenStack use: see OPTION."""

from collections.abc import Sequence
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.drivers.common import addresses
from nova_servicegroup import exceptions

OPTION = '[coordination] backend_url'

_ACCEPTED = (
    'a URL of tooz, with host or host:port of each server; what is special in '
    'a password is escaped'
)


def parts(conf: cfg.ConfigOpts) -> urllib.parse.SplitResult:
    """Return the parts of the URL; all are empty where it is unset.

    :raises ConfigurationError: it is none. It is not shown: a part may be of
        the password
    """
    try:
        return urllib.parse.urlsplit(conf.coordination.backend_url or '')
    except ValueError:
        raise exceptions.ConfigurationError(OPTION, None, _ACCEPTED) from None


def servers(places: Sequence[str], default_port: int) -> list[str]:
    """Return the servers that the URL names, each as host:port.

    :raises ConfigurationError: one is no address
    """
    try:
        return addresses.parse(OPTION, ','.join(places), default_port)
    except exceptions.ConfigurationError:
        raise exceptions.ConfigurationError(OPTION, None, _ACCEPTED) from None


def check_unused(
    conf: cfg.ConfigOpts, group: str, options: Sequence[str]
) -> None:
    """Refuse options that would count only with servers of their own group.

    :raises ConfigurationError: one is set
    """
    for name in options:
        if conf[group][name]:
            raise exceptions.ConfigurationError(
                f'[{group}] {name}',
                conf[group][name],
                f'nothing while [{group}] address is unset: what {OPTION} '
                'says counts',
            )
