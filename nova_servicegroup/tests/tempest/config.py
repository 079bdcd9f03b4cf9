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

"""The options of the plugin, in tempest.conf."""

from oslo_config import cfg

GROUP = cfg.OptGroup('servicegroup', title="Liveness of Nova's services")

OPTS = [
    cfg.StrOpt(
        'host',
        default='',
        help='The compute host that is killed, on which no servers of others '
        'run. Empty: the first one.',
    ),
    cfg.StrOpt(
        'kill_command',
        default='',
        help='Command that ends nova-compute on {host} without letting it '
        'stop in an orderly way, for instance: ssh {host} sudo systemctl kill '
        '-s KILL --kill-whom=all devstack@n-cpu. It must not be restarted. '
        'It runs without a shell. Empty: no host is killed.',
    ),
    cfg.StrOpt(
        'start_command',
        default='',
        help='Command that starts nova-compute on {host} again. It runs '
        'without a shell.',
    ),
    cfg.StrOpt(
        'stop_backend_command',
        default='',
        help='Command that stops all servers of the backend, for instance: '
        'sudo systemctl stop zookeeper. It runs without a shell. Empty: the '
        'backend is not stopped.',
    ),
    cfg.StrOpt(
        'start_backend_command',
        default='',
        help='Command that starts all servers of the backend again. It runs '
        'without a shell.',
    ),
    cfg.IntOpt(
        'outage',
        default=30,
        min=1,
        help='Seconds for which the backend is stopped. It must be less than '
        '[servicegroup] hold_time in nova.conf.',
    ),
    cfg.IntOpt(
        'down_within',
        default=75,
        min=1,
        help='Seconds within which a killed host must be down, once the '
        'driver has found it; see its page in the documentation.',
    ),
    cfg.IntOpt(
        'up_within',
        default=60,
        min=1,
        help='Seconds within which a host that was started must be up.',
    ),
    cfg.IntOpt(
        'command_timeout',
        default=60,
        min=1,
        help='Seconds after which a command has failed.',
    ),
]
