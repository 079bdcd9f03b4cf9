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

"""Options of [servicegroup]."""

from oslo_config import cfg

GROUP = 'servicegroup'

#: The option that names secondary drivers, as written in errors.
ALSO_REPORT_TO = '[servicegroup] also_report_to'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'also_report_to',
        default=[],
        help="""
SecondaryDrivers drivers with which a service joins. Who is up is asked by
``servicegroup_driver`` alone.

With it a Nova goes from one driver to another while every service stays up:
all report to both, then all ask by the new one, then nobody reports to the
old one any more. A secondary driver whose backend is away disturbs nobody, and
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
Seconds for which a service stays up without evidence: while the backend cannot
be reached, or where the backend may have lost it, as when more than half of a
group is lost at once.

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
enough. While the backend stays away, questions do not wait, for the group is
read in the background; where that is not possible, one that comes 5 s after
the last waits anew.
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
    cfg.BoolOpt(
        'pass_over_unfit',
        default=True,
        help="""
Whether nova-scheduler passes over a nova-compute that says of itself that it
is of no use: a check fails (see ``checks``), or it has begun to stop. It is up
for everything else, so that none of its servers can be evacuated.

Read by nova-scheduler alone.

Related options:

* ``checks``
""",
    ),
    cfg.ListOpt(
        'checks',
        default=['rpc', 'virt', 'storage'],
        help="""
Checks that each nova-compute runs of itself. One that has failed twice in a
row makes it degraded, until it succeeds once. What more than half of the hosts
fail at once, and at least three, counts for none of them.

Possible values:

* ``rpc``: its own RPC server answers through the message queue. It is asked
  once in 50 seconds, or in ``check_interval`` if that is longer.
* ``virt``: the virt driver counts its servers.
* ``storage``: ``instances_path`` takes a small file.
* The name of any other that is installed.
* Empty: none is run. A nova-compute that stops still says so.

With ``servicegroup_driver = db``, nothing is checked: the heartbeats say no
more than that they arrive.

Related options:

* ``check_interval``
* ``pass_over_unfit``
""",
    ),
    cfg.FloatOpt(
        'check_interval',
        default=30.0,
        min=5,
        max=600,
        help="""
Seconds between two runs of a check. A fault is known after two of them and 15
seconds, at the latest. All hosts check within the same three.

Related options:

* ``checks``
""",
    ),
]
