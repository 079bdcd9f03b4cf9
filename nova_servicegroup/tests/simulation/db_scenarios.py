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

"""Scenarios of the db driver; see scenarios."""

from nova_servicegroup.tests.simulation import plan
from nova_servicegroup.tests.simulation import scenario

Asker, Event, Plan = plan.Asker, plan.Event, plan.Plan

SCENARIOS: dict[str, scenario.Scenario] = {
    'db_no_report_interval': scenario.Scenario(
        Plan('db', options=scenario.options(report_interval=0), dead=(0,)),
        ('raises',),
    ),
    'db_nobody_reads_the_queue': scenario.Scenario(
        Plan(
            'db',
            hosts=20,
            faults=tuple(
                Event(each, 'unread', size=100.0)
                for each in (100.0, 231.0, 377.0)
            ),
        ),
        ('living',),
    ),
    'db_eight_requests_at_once_in_a_stall': scenario.Scenario(
        Plan(
            'db',
            faults=(Event(100.0, 'stall', size=90.0),),
            askers=(Asker(interval=7.0, threads=8),),
        ),
        ('threads', 'living'),
    ),
    'db_reads_are_slow_in_a_stall': scenario.Scenario(
        Plan(
            'db',
            faults=(
                Event(100.0, 'stall', size=90.0),
                Event(120.0, 'slow', size=60.0, much=0.8),
            ),
            askers=(Asker(host=0),),
        ),
        ('living',),
    ),
    'db_reads_fail_in_a_stall': scenario.Scenario(
        Plan(
            'db',
            faults=(
                Event(100.0, 'stall', size=90.0),
                Event(120.0, 'away', size=60.0, much=0.9),
            ),
            askers=(Asker(host=0),),
        ),
        ('living',),
    ),
    'db_no_access_in_a_stall': scenario.Scenario(
        Plan(
            'db',
            hosts=2,
            faults=(Event(100.0, 'stall', size=90.0),),
            askers=(Asker(access=False),),
        ),
        ('living',),
    ),
    'db_the_database_of_one_cell_is_away': scenario.Scenario(
        Plan(
            'db',
            hosts=8,
            settings=scenario.TWO_CELLS,
            happenings=(Event(50.0, 'die', 1),),
            faults=(Event(100.0, 'away', 0, 90.0),),
            askers=(Asker(), Asker(plain=True), Asker(views=True)),
        ),
        ('living', 'dead', 'again'),
    ),
    'db_those_that_come_back_late_from_a_stall': scenario.Scenario(
        Plan(
            'db',
            hosts=20,
            faults=(Event(100.0, 'stall', size=65.0),),
            askers=tuple(Asker(interval=each) for each in (45.0, 90.0, 120.0)),
        ),
        ('living',),
    ),
    'db_a_clock_of_a_reader_is_wrong': scenario.Scenario(
        Plan(
            'db',
            hosts=2,
            askers=tuple(Asker(clock=each) for each in (100.0, 300.0, -300.0)),
        ),
        ('living',),
    ),
    'db_a_record_from_the_future_and_a_stall': scenario.Scenario(
        Plan(
            'db',
            hosts=20,
            dead=(0,),
            faults=(
                Event(50.0, 'future', 0, 3600.0),
                Event(100.0, 'stall', size=90.0),
            ),
        ),
        ('living',),
    ),
    'db_the_clock_of_the_database_is_set_back': scenario.Scenario(
        Plan(
            'db',
            hosts=6,
            faults=(Event(100.0, 'back', size=200.0),),
            askers=(Asker(), Asker(interval=30.0), Asker(begins=103.0)),
        ),
        ('living',),
    ),
    'db_one_that_is_dead_and_its_record_from_the_future': scenario.Scenario(
        Plan(
            'db',
            dead=(0,),
            faults=(Event(50.0, 'future', 0, 300.0),),
            askers=(Asker(begins=60.0),),
        ),
        ('dead', 'again'),
    ),
    'db_the_clock_of_the_conductors_is_ahead': scenario.Scenario(
        Plan(
            'db',
            settings=scenario.settings(ahead=200.0),
            happenings=(Event(100.0, 'die', 0),),
        ),
        ('dead', 'again'),
    ),
}
