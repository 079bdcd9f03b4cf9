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

"""Nova's own options that matter here, where Nova has not registered them."""

from oslo_config import cfg

#: With Nova's defaults, so that the package works on a nova.conf without Nova.
OPTS: list[cfg.Opt] = [
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
