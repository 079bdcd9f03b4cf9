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

"""Options of masakari-hostmonitor's driver, in masakarimonitors.conf."""

from oslo_config import cfg

from nova_servicegroup.opts import evidence

GROUP = 'servicegroup_masakari'

#: Values of notify_on: the evidence that is enough.
SILENT, FENCED = evidence.SILENT, evidence.FENCED
#: Values of on_domain_loss.
WAIT, NOTIFY = 'wait', 'notify'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'nova_config_files',
        default=['/etc/nova/nova.conf'],
        help="""
The configuration files of Nova that the driver reads for
``servicegroup_driver`` and its backend. They need no secrets but those of the
backend. ``[servicegroup] agents`` must be true in them.
""",
    ),
    cfg.StrOpt(
        'notify_on',
        default=SILENT,
        choices=[
            (SILENT, 'neither nova-compute nor the agent of its host reports'),
            (FENCED, 'the host is silent, and its watchdog has reset it'),
        ],
        help="""
The evidence that a host is dead with which masakari is notified, so that it
evacuates the host.

masakari fences no host. With ``silent``, a host that is only cut off from the
backend is evacuated, too, and its servers run twice unless something else has
powered it off.
""",
    ),
    cfg.StrOpt(
        'on_domain_loss',
        default=WAIT,
        choices=[
            (WAIT, 'masakari is not notified, and an error is logged once'),
            (NOTIFY, 'masakari is notified of each of the hosts'),
        ],
        help="""
What to do when more than half of the hosts of a domain, and at least three,
are silent together: a switch or a power supply is more likely to have failed
than so many hosts. Hosts without a domain count as one domain.

With ``wait``, masakari is notified of those that are still silent when fewer
are.
""",
    ),
]
