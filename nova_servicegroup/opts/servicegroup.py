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

#: What the name of a failure domain has to match.
DOMAIN = '[A-Za-z0-9._:-]{1,64}'

#: The option that names secondary drivers, as written in errors.
ALSO_REPORT_TO = '[servicegroup] also_report_to'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'also_report_to',
        default=[],
        help="""
Secondary drivers, with which a service also joins. Only
``servicegroup_driver`` decides which services are up.

With it, Nova can be moved from one driver to another while every service stays
up: first all services report to both, then all use the new one as
``servicegroup_driver``, then they stop reporting to the old one. A secondary
driver whose backend is unreachable affects no service, and keeps trying.

Possible values:

* A list of possible values of ``servicegroup_driver``. Its own is ignored.
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
be reached, or when the backend may have lost the service, as when more than
half of a group is lost at once.

Possible values:

* A number of seconds. With less than ``service_down_time``, an outage of the
  backend takes services down sooner than with the db driver.
* Unset: ``service_down_time`` is used.
""",
    ),
    cfg.FloatOpt(
        'read_timeout',
        default=2.0,
        min=0.1,
        max=30,
        help="""
Seconds that a query may wait for the backend when the known membership is too
old. During an outage, queries do not wait, since the group is read in the
background; where that is not possible, a query that comes 5 s after the last
one waits again.
""",
    ),
    cfg.BoolOpt(
        'leave_on_stop',
        default=True,
        help="""
Whether a service that is stopped cleanly is down at once. Otherwise it is down
when its membership expires, as if it had been killed.
""",
    ),
    cfg.StrOpt(
        'domain',
        regex=rf'^{DOMAIN}\Z',
        help="""
The failure domain of this host: what it shares with other hosts and can be
lost with them, as the power and the switch of a rack.

When more than half of the hosts of a domain, and at least three, are lost
together, they are held up to ``hold_time``, as when that happens to a whole
group. A host of a domain that is lost alone is down later by three quarters of
the session timeout or ``ttl``, or by ``report_interval`` with ``mc``, unless
its agent has ended its membership. All others are judged as ever. The driver
``db`` knows no domains.

Possible values:

* A name of 1 to 64 of the characters A-Z, a-z, 0-9, ``.``, ``_``, ``:`` and
  ``-``, the same on all hosts of a domain.
* Unset: it has none.

Related options:

* ``hold_time``
""",
    ),
    cfg.BoolOpt(
        'agents',
        default=False,
        help="""
Whether nova-servicegroup-agent runs on every host that runs nova-compute.

With it, programs that show services also show the evidence for a service that
is down: only its process has died, or its whole host is silent. Verdicts do
not depend on it. The driver ``db`` has no evidence.

Related options:

* ``process_directory`` has to be set on the hosts
""",
    ),
    cfg.StrOpt(
        'process_directory',
        help="""
The directory in which each service of this host shows that its process lives,
for nova-servicegroup-agent. All services of the host and its agent need the
same one, and may write there.

Possible values:

* A directory on a local file system that is emptied at boot, for example
  ``/run/nova-servicegroup``. Containers have to share it.
* Unset: there is no agent.
""",
    ),
    cfg.BoolOpt(
        'pass_over_unfit',
        default=True,
        help="""
Whether nova-scheduler passes over a nova-compute that reports itself degraded
or draining: one of its ``checks`` fails, or it has begun to stop. For
everything else it is up, so that none of its servers can be evacuated.

Only nova-scheduler reads it.

Related options:

* ``checks``
""",
    ),
    cfg.ListOpt(
        'checks',
        default=['rpc', 'virt', 'storage'],
        help="""
Checks that each nova-compute runs on itself. A check that fails twice in a row
makes it degraded, until it succeeds once. A check that more than half of the
hosts, and at least three, fail at once counts for none of them.

Possible values:

* ``rpc``: its own RPC server answers through the message queue. It is asked
  once in 50 seconds, or in ``check_interval`` if that is longer.
* ``virt``: the virt driver can count its servers.
* ``storage``: a small file can be written to ``instances_path``.
* The name of any other check that is installed.
* Empty: none is run. A nova-compute that stops still reports that.

With ``servicegroup_driver = db``, nothing is checked, since its heartbeats
cannot carry the result.

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
Seconds between two runs of a check. A fault is known within twice this time
and 15 seconds. All hosts run a check within the same three seconds.

Related options:

* ``checks``
""",
    ),
]
