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

"""The contract between a service and its checks."""

import abc
from typing import Any

from oslo_config import cfg


class Check(abc.ABC):
    """A check of whether a running service can do its work.

    Subclasses are registered in the entry points ``nova_servicegroup.checks``.
    The name there, 1 to 32 of a-z, 0-9, _ and -, is the one to list in
    ``[servicegroup] checks``, and the reason given for a degraded service.

    :param conf: Nova's configuration. A check registers its own options on it
    :param service: the service, which has joined: ``host`` and ``binary`` are
        its names. Other attributes may change with any release
    :raises Exception: the check cannot work here. It stands aside, and the
        first line of the error is logged
    """

    #: Whether it blocks the thread that it runs in, as reading a file does.
    #: Where Nova runs on green threads, it then gets a native thread, in which
    #: it must neither log nor wait for a green thread.
    blocks = False
    #: The fewest seconds between two runs while it succeeds.
    least_interval = 0.0

    def __init__(self, conf: cfg.ConfigOpts, service: Any) -> None:
        """Store what the check needs, without any I/O."""
        self.conf = conf
        self.service = service

    @abc.abstractmethod
    def check(self) -> None:
        """Return if the service can do its work.

        It runs in a thread of its own. A run that takes longer than
        ``runner.TIMEOUT`` has failed, and is not repeated before it has ended.

        :raises Exception: the service cannot; the first line says why
        """
