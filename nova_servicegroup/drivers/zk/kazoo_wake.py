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

"""What wakes kazoo's connection loop, under eventlet.

Workers that uWSGI forks from a master which has loaded Nova share its epoll
object, and eventlet tells each of them of the sockets of the others that have
the same number. So kazoo reads the byte by which a request is announced when
there is none, and then waits for it for ever, with no time limit anywhere.
"""

from typing import Any

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


def never_block(coordinator: Any) -> None:
    """Have kazoo find that there is no such byte, instead of waiting.

    :param coordinator: tooz', not started
    """
    try:
        handler = coordinator._coord.handler
        make = handler.create_socket_pair
    except AttributeError:
        LOG.debug('kazoo does not show what wakes its loop any more.')
        return

    def create_socket_pair() -> tuple[Any, Any]:
        reader, writer = make()
        reader.setblocking(False)
        return reader, writer

    handler.create_socket_pair = create_socket_pair
