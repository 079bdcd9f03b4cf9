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

"""Histories in which promises were once broken, by name.

One on each kind; all must be kept now. The times are seconds.
"""

from nova_servicegroup.tests.simulation import db_scenarios
from nova_servicegroup.tests.simulation import plan
from nova_servicegroup.tests.simulation import scenario

Asker, Event, Plan = plan.Asker, plan.Event, plan.Plan

SCENARIOS: dict[str, scenario.Scenario] = {
    'zk_nobody_ever_joined': scenario.Scenario(
        Plan(
            'zk',
            strangers=(0, 1, 2, 3),
            askers=tuple(Asker(interval=each) for each in (7.0, 30.0, 90.0)),
        ),
        ('dead',),
    ),
    'zk_nobody_ever_joined_and_reads_are_seldom': scenario.Scenario(
        Plan(
            'zk',
            strangers=(0, 1, 2, 3),
            options=scenario.options(refresh_interval=6.0),
        ),
        ('dead',),
    ),
    'zk_a_group_of_dead_is_wiped': scenario.Scenario(
        Plan(
            'zk',
            dead=(0, 1, 2, 3),
            faults=(Event(100.0, 'delete'),),
            askers=tuple(Asker(interval=each) for each in (7.0, 30.0, 90.0)),
        ),
        ('again', 'dead'),
    ),
    'zk_one_that_is_dead_and_an_outage': scenario.Scenario(
        Plan(
            'zk',
            happenings=(Event(50.0, 'die', 0),),
            faults=scenario.outages(9.0, 1.0, 1),
        ),
        ('again',),
    ),
    'zk_one_that_is_dead_and_many_outages': scenario.Scenario(
        Plan(
            'zk',
            happenings=(Event(50.0, 'die', 0),),
            faults=scenario.outages(6.0, 20.0, 20),
        ),
        ('again',),
    ),
    'zk_two_failures_and_no_question_between': scenario.Scenario(
        Plan(
            'zk',
            options=scenario.options(read_timeout=0.5),
            faults=(
                Event(29.0, 'away', size=2.5),
                Event(209.0, 'away', size=2.5),
            ),
            askers=(
                Asker(begins=30.0, interval=180.0),
                Asker(begins=30.0, interval=180.0, green=True),
            ),
        ),
        ('living',),
    ),
    'zk_a_host_whose_record_has_other_case': scenario.Scenario(
        Plan('zk', settings=scenario.settings(mixed=True)),
        ('living',),
    ),
    'zk_questions_that_make_no_sense': scenario.Scenario(
        Plan('zk', askers=(Asker(strange=True),)),
        ('raises', 'log'),
    ),
    'mc_nobody_ever_joined': scenario.Scenario(
        Plan(
            'mc',
            strangers=(0, 1, 2, 3),
            askers=tuple(Asker(interval=each) for each in (7.0, 30.0, 90.0)),
        ),
        ('dead',),
    ),
    'mc_evicts_and_one_died_before': scenario.Scenario(
        Plan(
            'mc',
            dead=(0,),
            faults=(Event(10.0, 'evict', size=500.0),),
            askers=(Asker(begins=60.0, interval=7.0),),
        ),
        ('dead', 'again'),
    ),
    'mc_one_that_is_dead_and_an_outage': scenario.Scenario(
        Plan(
            'mc',
            happenings=(Event(20.0, 'die', 0),),
            faults=scenario.outages(9.0, 1.0, 1),
        ),
        ('again',),
    ),
    'mc_a_live_host_is_first_asked_about_after_a_restart': scenario.Scenario(
        Plan(
            'mc',
            faults=(Event(100.0, 'restart', size=0.2),),
            askers=(Asker(interval=0.2, host=0, all_from=100.5),),
        ),
        ('living', 'threads'),
    ),
    'mc_a_server_that_is_away_for_long': scenario.Scenario(
        Plan(
            'mc',
            length=1200.0,
            settings=scenario.TWO_SERVERS,
            happenings=(Event(1000.0, 'die', 0),),
            faults=(Event(100.0, 'away', 1, 2000.0),),
        ),
        ('dead',),
    ),
    'mc_many_threads_and_new_hosts_on_a_slow_server': scenario.Scenario(
        Plan(
            'mc',
            hosts=12,
            length=60.0,
            faults=(Event(0.0, 'slow', size=100.0, much=0.5),),
            askers=(Asker(begins=20.0, threads=12, interval=7.0),),
        ),
        ('waits',),
    ),
    'mc_one_thread_and_new_hosts_on_a_slow_server': scenario.Scenario(
        Plan(
            'mc',
            hosts=12,
            length=60.0,
            strangers=tuple(range(12)),
            faults=(Event(0.0, 'slow', size=100.0, much=0.9),),
            askers=(Asker(begins=20.0, interval=7.0),),
        ),
        ('waits',),
    ),
    'mc_hosts_that_are_on_no_list': scenario.Scenario(
        Plan(
            'mc',
            hosts=12,
            strangers=tuple(range(1, 12)),
            askers=(Asker(begins=30.0),),
        ),
        ('reads',),
    ),
    'mc_views_beside_questions': scenario.Scenario(
        Plan(
            'mc',
            hosts=12,
            length=120.0,
            strangers=(11,),
            faults=(Event(0.0, 'slow', size=500.0),),
            askers=(Asker(begins=20.0, interval=0.2, threads=3, views=True),),
        ),
        ('stale', 'log', 'living'),
    ),
    'mc_all_die_at_once': scenario.Scenario(
        Plan('mc', hosts=6, happenings=scenario.all_die(100.0, 6)),
        ('dead', 'again'),
    ),
    'mc_fails_over_to_an_empty_server_and_back': scenario.Scenario(
        Plan(
            'mc',
            faults=(Event(100.0, 'replace', size=100.0),),
            askers=(
                Asker(interval=90.0),
                Asker(begins=200.2, interval=0.2),
                Asker(begins=100.2, interval=0.2),
            ),
        ),
        ('living',),
    ),
    'mc_a_host_whose_record_has_other_case': scenario.Scenario(
        Plan('mc', settings=scenario.settings(mixed=True)),
        ('living', 'stale'),
    ),
    'mc_questions_that_make_no_sense': scenario.Scenario(
        Plan('mc', askers=(Asker(strange=True),)),
        ('raises', 'log'),
    ),
    **db_scenarios.SCENARIOS,
}
