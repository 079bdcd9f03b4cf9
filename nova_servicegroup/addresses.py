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

"""Lists of server addresses as operators write them."""

from oslo_utils import netutils

from nova_servicegroup import exceptions

_ACCEPTED = (
    'host, host:port or [IPv6 address]:port, each once, separated by commas'
)


def parse(option: str, value: str, default_port: int) -> list[str]:
    """Return the addresses in value, each as host:port.

    Quotes around the whole are dropped, as are empty places and repetitions.

    :param option: what to call the option in an error
    :raises ConfigurationError: a place that is no address
    """
    found = [
        _address(option, value, place.strip(), default_port)
        for place in value.strip(' \t"\'').split(',')
        if place.strip()
    ]
    return list(dict.fromkeys(found))


def _address(option: str, value: str, place: str, default_port: int) -> str:
    try:
        host, port = netutils.parse_host_port(place, default_port)
        valid = bool(host) and netutils.is_valid_port(port) and int(port) > 0
    except (ValueError, AssertionError):
        valid = False
    if not valid or any(char in place for char in ' /@'):
        raise exceptions.ConfigurationError(option, value, _ACCEPTED)
    return f'{netutils.escape_ipv6(host)}:{port}'
