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

"""Every option, and the settings that several of them decide together."""

import copy
import math

from oslo_config import cfg

SERVICEGROUP = 'servicegroup'
ZOOKEEPER = 'zookeeper'
MEMCACHED = 'memcached'
EXPORTER = 'servicegroup_exporter'
MONITOR = 'servicegroup_monitor'

#: The option that names further drivers, as written in errors.
ALSO_REPORT_TO = '[servicegroup] also_report_to'

_NAME = r'^[A-Za-z0-9._-]+$'
#: The old driver's prefix began with a slash.
_NAMESPACE = r'^/?[A-Za-z0-9._-]+$'

#: Nova's own options. Registered here only where Nova has not done it, with
#: Nova's defaults, so that the package works on a nova.conf without Nova.
nova_opts = [
    cfg.StrOpt(
        'servicegroup_driver',
        default='db',
        help='The driver that tells which services are alive.',
    ),
    cfg.IntOpt(
        'report_interval',
        default=10,
        help='Seconds between two heartbeats of a service.',
    ),
    cfg.IntOpt(
        'service_down_time',
        default=60,
        help='Seconds without a heartbeat after which a service is down.',
    ),
]

default_opts: list[cfg.Opt] = [
    cfg.ListOpt(
        'memcached_servers',
        default=None,
        help="""
The memcached servers of the mc driver.

Every heartbeat goes to all of them, and a service is up when any of them says
so: each server added is one more that may fail.

Possible values:

* A list of ``host:port``, ``[IPv6 address]:port`` or ``host`` (port 11211).
  ``inet6:[IPv6 address]:port`` is taken, too.
* Unset: the servers of ``[cache] memcache_servers`` are used. When those are
  unset too, services are kept in the memory of their own process, which is
  of use only to try things out.

Related options:

* ``servicegroup_driver`` must be ``mc``
""",
    ),
]

servicegroup_opts = [
    cfg.ListOpt(
        'also_report_to',
        default=[],
        help="""
Further drivers with which a service joins. Who is up is asked by
``servicegroup_driver`` alone.

With it a Nova goes from one driver to another while every service stays up:
all report to both, then all ask by the new one, then nobody reports to the
old one any more. A further driver whose backend is away disturbs nobody, and
goes on trying.

Possible values:

* A list of names that ``servicegroup_driver`` could have. Its own is ignored.
* Empty: a service reports to ``servicegroup_driver`` alone.
""",
    ),
    cfg.FloatOpt(
        'refresh_interval',
        default=1.0,
        min=0.1,
        max=60,
        help="""
Seconds for which a membership that the backend has confirmed is used.

A process reads a group at most once in this time, however often it asks
whether a service is up.
""",
    ),
    cfg.IntOpt(
        'hold_time',
        min=1,
        help="""
Seconds for which a service stays up after its last proof of life when its
absence is no evidence: the backend cannot be reached, or has lost more than
half of a group at once.

Possible values:

* A number of seconds. Less than ``service_down_time`` lets an outage of the
  backend end in services called down sooner than with the db driver.
* Unset: ``service_down_time`` is used.
""",
    ),
    cfg.FloatOpt(
        'read_timeout',
        default=2.0,
        min=0.1,
        max=30,
        help="""
Seconds that a question may wait for the backend when no membership is young
enough. While the backend stays away, only the first question waits.
""",
    ),
    cfg.BoolOpt(
        'leave_on_stop',
        default=True,
        help="""
Whether a service that is stopped cleanly is down at once. If not, it is down
when its membership expires, as if it had been killed.
""",
    ),
]

#: What TLS takes alike with every backend.
_CERT_FILE = cfg.StrOpt(
    'cert_file',
    help="""
File with this host's certificate.
""",
)
_KEY_PASSWORD = cfg.StrOpt(
    'key_password',
    secret=True,
    help="""
The password of ``key_file``.
""",
)

zookeeper_opts = [
    cfg.StrOpt(
        'address',
        default='',
        help="""
The ZooKeeper servers of the zk driver.

Possible values:

* ``host:port`` of each server, separated by commas, for example
  ``"zk1:2181,zk2:2181,zk3:2181"``. The port is 2181 when left out. An IPv6
  address stands in brackets.

Related options:

* ``servicegroup_driver`` must be ``zk``
""",
    ),
    cfg.IntOpt(
        'session_timeout',
        default=10,
        min=1,
        max=3600,
        help="""
Seconds without contact after which ZooKeeper ends a session: the time in
which a dead service is found. The servers silently raise or lower it to
between 2 and 20 of their ticks.

Related options:

* ``service_down_time`` should not be smaller
""",
    ),
    cfg.StrOpt(
        'namespace',
        default='nova_servicegroup',
        regex=_NAMESPACE,
        deprecated_name='sg_prefix',
        help="""
The node at the root of ZooKeeper below which groups are kept. Every service
of one Nova must use the same. Letters, digits and ``._-``.
""",
    ),
    cfg.StrOpt(
        'username',
        help="""
The user of the digest scheme. With it, only this user can read and change
the groups. Needs ``password``.
""",
    ),
    cfg.StrOpt(
        'password',
        secret=True,
        help="""
The password of ``username``.
""",
    ),
    cfg.BoolOpt(
        'use_tls',
        default=False,
        help="""
Whether to connect with TLS.
""",
    ),
    cfg.StrOpt(
        'ca_file',
        help="""
File with the certificates of the authorities that sign the servers'.
""",
    ),
    _CERT_FILE,
    cfg.StrOpt(
        'key_file',
        help="""
File with the private key of ``cert_file``.
""",
    ),
    _KEY_PASSWORD,
    cfg.IntOpt(
        'recv_timeout',
        min=1000,
        deprecated_for_removal=True,
        deprecated_reason='Use session_timeout, in seconds.',
        deprecated_since='1.0.0',
        help="""
The session timeout in milliseconds. Used when ``session_timeout`` is not set.
""",
    ),
    cfg.IntOpt(
        'sg_retry_interval',
        deprecated_for_removal=True,
        deprecated_reason='Retries now back off by themselves.',
        deprecated_since='1.0.0',
        help="""
Ignored.
""",
    ),
]

memcached_opts = [
    cfg.IntOpt(
        'timeout',
        default=1,
        min=1,
        max=10,
        help="""
Seconds that a server may take to answer. One that does not is left alone for
a while.
""",
    ),
    cfg.StrOpt(
        'key_prefix',
        regex=_NAME,
        default='nova_servicegroup',
        help="""
The beginning of every key. Every service of one Nova must use the same; give
each Nova its own where several share their servers. Letters, digits and
``._-``.
""",
    ),
    cfg.BoolOpt(
        'use_tls',
        default=False,
        help="""
Whether to connect with TLS. Needs ``cert_file``.
""",
    ),
    cfg.StrOpt(
        'ca_file',
        help="""
File with the certificates of the authorities that sign the servers'. Unset:
those that the system trusts.
""",
    ),
    _CERT_FILE,
    cfg.StrOpt(
        'key_file',
        help="""
File with the private key of ``cert_file``, unless that file has it, too.
""",
    ),
    _KEY_PASSWORD,
    cfg.BoolOpt(
        'check_hostname',
        default=True,
        help="""
Whether a server's certificate must name the host, or the address, under which
it stands in ``memcached_servers``.
""",
    ),
]

exporter_opts = [
    cfg.ListOpt(
        'groups',
        default=['compute', 'conductor', 'scheduler'],
        help="""
The groups that the exporter watches. Each is read once in ``[servicegroup]
refresh_interval``.
""",
    ),
    cfg.HostAddressOpt(
        'listen',
        default='127.0.0.1',
        help="""
The address on which the exporter serves its metrics. Whoever reaches it can
read them: the default lets this machine alone.

Related options:

* ``client_ca_file`` lets in who has a certificate
""",
    ),
    cfg.PortOpt(
        'port',
        default=18774,
        help="""
The port on which the exporter serves its metrics.
""",
    ),
    cfg.BoolOpt(
        'canary',
        default=True,
        help="""
Whether the exporter is a member itself, of the group
``servicegroup-exporter``, which shows whether services of this host can
report. It never is with a driver whose members need a record in Nova's
services table, like ``db``.
""",
    ),
    cfg.BoolOpt(
        'per_host',
        default=False,
        help="""
Whether there is a metric for each host. With thousands of hosts it takes
thousands of time series.
""",
    ),
    cfg.StrOpt(
        'cert_file',
        help="""
File with the certificate of the exporter. With it, and ``key_file``, metrics
are served with TLS only.
""",
    ),
    cfg.StrOpt(
        'key_file',
        help="""
File with the private key of ``cert_file``, without a password.
""",
    ),
    cfg.StrOpt(
        'client_ca_file',
        help="""
File with the certificates of the authorities that sign those of clients. With
it, clients must show one. Needs ``cert_file``.
""",
    ),
]

monitor_opts = [
    cfg.ListOpt(
        'groups',
        default=['compute'],
        help="""
The groups that nova-servicegroup-monitor watches, every ``[servicegroup]
refresh_interval``.
""",
    ),
    cfg.ListOpt(
        'topics',
        default=['servicegroup_notifications'],
        help="""
The topics to which nova-servicegroup-monitor sends its notifications.

A topic is two queues, ``<topic>.warn`` for members that go down and
``<topic>.info`` for those that come up. Without a consumer they grow.

Related options:

* ``[oslo_messaging_notifications] transport_url``, or else ``[DEFAULT]
  transport_url``, names the message queue
""",
    ),
    cfg.StrOpt(
        'backend_url',
        secret=True,
        help="""
Where several nova-servicegroup-monitor meet to agree on the one that sends.

Possible values:

* A URL of tooz, for example ``etcd3+http://etcd1:2379``.
* Unset: with the driver ``zk`` the same ZooKeeper servers are used, with
  ``mc`` the first of the memcached servers. With ``db`` there may be one
  monitor only.
""",
    ),
]

_OPTS: tuple[tuple[str | None, list[cfg.Opt]], ...] = (
    (None, default_opts),
    (SERVICEGROUP, servicegroup_opts),
    (ZOOKEEPER, zookeeper_opts),
    (MEMCACHED, memcached_opts),
    (EXPORTER, exporter_opts),
    (MONITOR, monitor_opts),
)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register every option on conf; again is harmless."""
    for opt in nova_opts:
        if opt.name not in conf:
            conf.register_opt(opt)
    for group, options in _OPTS:
        conf.register_opts(options, group=group)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return copies of the package's options, for the sample generator."""
    return [(group, copy.deepcopy(options)) for group, options in _OPTS]


def service_down_time(conf: cfg.ConfigOpts) -> int:
    """Return the seconds without proof after which a service is down.

    As in Nova, a value that is not above report_interval is replaced by two
    and a half times report_interval.
    """
    if conf.service_down_time > conf.report_interval:
        return int(conf.service_down_time)
    return int(conf.report_interval * 2.5)


def hold_time(conf: cfg.ConfigOpts) -> int:
    """Return the seconds for which a missing member may be held up."""
    return int(conf.servicegroup.hold_time or service_down_time(conf))


def session_timeout(conf: cfg.ConfigOpts) -> int:
    """Return ZooKeeper's session timeout in seconds, whole as tooz takes it.

    The old driver had another option for it, in milliseconds.
    """
    group = conf.zookeeper
    if group.recv_timeout and not is_set(conf, 'session_timeout', ZOOKEEPER):
        return max(1, math.ceil(int(group.recv_timeout) / 1000))
    timeout: int = group.session_timeout
    return timeout


def memcached_ttl(conf: cfg.ConfigOpts) -> int:
    """Return the seconds for which memcached keeps a member.

    Three heartbeats must fit in.
    """
    return max(service_down_time(conf), 3 * int(conf.report_interval))


def further_drivers(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the drivers with which a service joins, too.

    Each is named once, in the order of the option; servicegroup_driver is
    not among them.
    """
    own = conf.servicegroup_driver
    names = dict.fromkeys(conf.servicegroup.also_report_to)
    return [name for name in names if name not in ('', own)]


def is_set(conf: cfg.ConfigOpts, name: str, group: str) -> bool:
    """Tell whether somebody has given the option a value."""
    location = conf.get_location(name, group)
    return location is not None and location.location not in (
        cfg.Locations.opt_default,
        cfg.Locations.set_default,
    )
