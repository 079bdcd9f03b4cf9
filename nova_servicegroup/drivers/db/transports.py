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

"""Transports of oslo.messaging for programs without Nova."""

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
import oslo_messaging as messaging

from nova_servicegroup import exceptions


def make(conf: cfg.ConfigOpts, options: Mapping[str, str]) -> Any:
    """Return a new RPC transport, as Nova's services have it.

    :param options: of oslo.messaging, by name; those in the operator's URL
        take precedence
    :raises ConfigurationError: [DEFAULT] transport_url cannot be used
    """
    # The exchange of Nova, unless nova.conf sets one.
    messaging.set_transport_defaults('nova')
    try:
        url = messaging.TransportURL.parse(conf)
        url.query = {**options, **url.query}
        return messaging.get_rpc_transport(conf, url)
    except (
        messaging.InvalidTransportURL,
        messaging.DriverLoadFailure,
    ) as error:
        # The URL is not shown: it contains a password.
        raise exceptions.ConfigurationError(
            '[DEFAULT] transport_url',
            None,
            'a URL of oslo.messaging, as rabbit://host:5672/',
        ) from error
