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

"""All options of the package, and the settings derived from them."""

import copy
import math

from oslo_config import cfg

from nova_servicegroup.opts import _nova
from nova_servicegroup.opts import agent
from nova_servicegroup.opts import default
from nova_servicegroup.opts import etcd
from nova_servicegroup.opts import exporter
from nova_servicegroup.opts import masakari
from nova_servicegroup.opts import memcached
from nova_servicegroup.opts import monitor
from nova_servicegroup.opts import redis
from nova_servicegroup.opts import servicegroup
from nova_servicegroup.opts import zookeeper

ALSO_REPORT_TO = servicegroup.ALSO_REPORT_TO

_OPTS: tuple[tuple[str | None, list[cfg.Opt]], ...] = (
    (None, default.OPTS),
    (servicegroup.GROUP, servicegroup.OPTS),
    (zookeeper.GROUP, zookeeper.OPTS),
    (memcached.GROUP, memcached.OPTS),
    (etcd.GROUP, etcd.OPTS),
    (redis.GROUP, redis.OPTS),
    (exporter.GROUP, exporter.OPTS),
    (monitor.GROUP, monitor.OPTS),
    (agent.GROUP, agent.OPTS),
)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register every option on conf; calling it again is harmless."""
    _nova.register_opts(conf)
    for group, options in _OPTS:
        conf.register_opts(options, group=group)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return copies of the package's options, for the sample generator."""
    return [(group, copy.deepcopy(options)) for group, options in _OPTS]


def list_masakari_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options of masakarimonitors.conf, as list_opts does."""
    return [(masakari.GROUP, copy.deepcopy(masakari.OPTS))]


def service_down_time(conf: cfg.ConfigOpts) -> int:
    """Return the seconds without a heartbeat after which a service is down.

    As in Nova, a value that is not above report_interval is replaced by two
    and a half times report_interval.
    """
    if conf.service_down_time > conf.report_interval:
        return int(conf.service_down_time)
    return int(conf.report_interval * 2.5)


def hold_time(conf: cfg.ConfigOpts) -> int:
    """Return the seconds for which a missing member may be held."""
    return int(conf.servicegroup.hold_time or service_down_time(conf))


def session_timeout(conf: cfg.ConfigOpts) -> int:
    """Return ZooKeeper's session timeout in whole seconds, as tooz takes it.

    The option of the old driver is in milliseconds.
    """
    group = conf.zookeeper
    if group.recv_timeout and not is_set(
        conf, 'session_timeout', zookeeper.GROUP
    ):
        return max(1, math.ceil(int(group.recv_timeout) / 1000))
    timeout: int = group.session_timeout
    return timeout


def memcached_ttl(conf: cfg.ConfigOpts) -> int:
    """Return the seconds for which memcached keeps a member.

    They are at least three times report_interval.
    """
    return max(service_down_time(conf), 3 * int(conf.report_interval))


def secondary_drivers(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the secondary drivers, in the order of the option.

    Repeated names and that of servicegroup_driver are left out.
    """
    own = conf.servicegroup_driver
    names = dict.fromkeys(conf.servicegroup.also_report_to)
    return [name for name in names if name not in ('', own)]


def is_set(conf: cfg.ConfigOpts, name: str, group: str) -> bool:
    """Return whether a value was given for an option, not only a default."""
    location = conf.get_location(name, group)
    return location is not None and location.location not in (
        cfg.Locations.opt_default,
        cfg.Locations.set_default,
    )
