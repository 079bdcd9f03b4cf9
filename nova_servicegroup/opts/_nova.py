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

"""Options of Nova and other libraries that the package reads.

They are registered only where Nova has not done so.
"""

import socket

from oslo_config import cfg
from oslo_utils import importutils

#: With Nova's defaults, so that the package can read nova.conf without Nova.
OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'host',
        default=socket.gethostname(),
        help='The name by which Nova knows this host.',
    ),
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

CACHE = 'cache'

#: Options of oslo.cache, with its defaults.
CACHE_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'enabled',
        default=False,
        help='Whether Nova has a cache besides that of each process.',
    ),
    cfg.StrOpt(
        'backend',
        default='dogpile.cache.null',
        help="The cache's backend of dogpile.cache.",
    ),
    cfg.ListOpt(
        'memcache_servers',
        default=['localhost:11211'],
        help="The cache's memcached servers.",
    ),
]

COORDINATION = 'coordination'

#: The option that other OpenStack services have.
COORDINATION_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'backend_url',
        secret=True,
        help='The URL of the backend of tooz.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register options that conf lacks; calling it again is harmless."""
    for opt in OPTS:
        if opt.name not in conf:
            conf.register_opt(opt)
    if CACHE not in conf or 'memcache_servers' not in conf[CACHE]:
        _register_cache(conf)
    if COORDINATION not in conf or 'backend_url' not in conf[COORDINATION]:
        conf.register_opts(COORDINATION_OPTS, group=COORDINATION)


def _register_cache(conf: cfg.ConfigOpts) -> None:
    # oslo.config refuses another option of the same name, so if oslo.cache is
    # installed, register its own options.
    cache = importutils.try_import('oslo_cache.core')
    if cache is not None:
        cache.configure(conf)
    else:
        conf.register_opts(CACHE_OPTS, group=CACHE)
