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

"""The checks of nova-compute that use Nova."""

from typing import Any

from oslo_config import cfg

from nova_servicegroup.checks import base
from nova_servicegroup.plugin import compat

#: Seconds to wait for the answer to a ping, and its time to live in the queue.
PING_TIMEOUT = 5.0


class RPCCheck(base.Check):
    """A check that pings the service's own RPC server, through its queue.

    An answer proves that the queue has a consumer, that a worker is free, and
    that answers arrive. Every service of Nova answers pings. A ping takes two
    messages: one in 50 s makes 2.4 messages a minute, a fifth of the 12 of
    Nova's own heartbeats.
    """

    least_interval = 50.0

    def __init__(self, conf: cfg.ConfigOpts, service: Any) -> None:
        super().__init__(conf, service)
        compat.check_names(compat.CHECK_NAMES['rpc'])
        from nova import baserpc

        self._client = baserpc.BaseAPI(topic=service.topic).client

    def check(self) -> None:
        """See base.Check. BaseAPI.ping would ping any host of the topic.

        :raises MessagingTimeout: there is no answer
        """
        from nova import context

        own = self._client.prepare(
            server=self.service.host, timeout=PING_TIMEOUT
        )
        own.call(context.get_admin_context(), 'ping', arg='')


class VirtCheck(base.Check):
    """A check that makes the virt driver count its servers.

    Every virt driver supports this, and Nova itself uses it. With libvirt it
    is one call, on the connection that all other calls use. Other methods
    would not ask the hypervisor: the host's uptime comes from a command, and
    the names of nodes are a constant with VMware. With ironic they are a list
    of all nodes, while this method counts the nodes that were listed last.
    """

    def __init__(self, conf: cfg.ConfigOpts, service: Any) -> None:
        super().__init__(conf, service)
        compat.check_names(compat.CHECK_NAMES['virt'])
        self._driver = service.manager.driver

    def check(self) -> None:
        """See base.Check.

        :raises Exception: what the virt driver raises
        """
        self._driver.get_num_instances()
