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


"""What a check finds, and what it may ask."""

from collections.abc import Callable, Iterable
import dataclasses
import enum
import functools

from oslo_config import cfg

from nova_servicegroup import api


class Level(enum.IntEnum):
    """How bad it is; also the exit status of the command."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that a check has found.

    :ivar check: the name of the check
    :ivar what: what was found
    :ivar why: why it matters; empty where all is well
    :ivar advice: what to do; empty where there is nothing to do
    """

    level: Level
    check: str
    what: str
    why: str = ''
    advice: str = ''


class Patient:
    """What the checks look at.

    :ivar nova_error: why Nova could not be imported here; None: it could
    :param make_api: makes an API that asks by the driver of a name.
        :raises ServiceGroupError: see api.API
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        nova_error: str | None,
        make_api: Callable[[str], api.API],
    ) -> None:
        self.conf = conf
        self.nova_error = nova_error
        self.api = functools.cache(make_api)


#: Looks at a patient, in bounded time.
#: :raises ServiceGroupError: what was looked at does not answer
Check = Callable[[Patient], Iterable[Finding]]
