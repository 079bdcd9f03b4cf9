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


"""The API that all drivers in a process of Nova share."""

from typing import TYPE_CHECKING

from nova_servicegroup import exceptions
from nova_servicegroup.plugin import records

if TYPE_CHECKING:
    from oslo_config import cfg

    from nova_servicegroup import api
    from nova_servicegroup.drivers import base

_apis: 'dict[tuple[int, str], api.API]' = {}


def make(
    conf: 'cfg.ConfigOpts', driver: 'base.Driver | None' = None
) -> 'api.API':
    """Make an API that can read Nova's services table.

    :param driver: see api.API
    :raises: as api.API, with the traceback cut off: the operator who finds
        the error in Nova's log needs the last line
    """
    from nova_servicegroup import api

    try:
        made = api.API(conf, driver)
    except exceptions.ServiceGroupError as error:
        raise error.with_traceback(None) from None
    made.give_table(records.ServicesTable())
    return made


def forget() -> None:
    """Close all that drivers of this process share; the next makes it anew.

    For tests, which change Nova's options and databases in one process.
    """
    while _apis:
        _, made = _apis.popitem()
        made.close()


def shared() -> 'api.API':
    """Return the one that all drivers of Nova's option share.

    :raises: see make
    """
    import nova.conf

    conf = nova.conf.CONF
    key = id(conf), conf.servicegroup_driver
    if key not in _apis:
        # Of two threads one wins; the loser's object has done nothing yet.
        _apis.setdefault(key, make(conf))
    return _apis[key]
