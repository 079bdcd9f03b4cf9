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


"""A process that asks every driver all the time who is up.

It runs for as long as a Nova goes from one driver to another, and is never
started anew. Prints a line for each look: the time, the driver, and the hosts
of nova-compute that are down. Where its directory has the file ``question``,
with the name of a driver by which is asked and of another, it writes into
``answer`` what the doctor says of the way between them.
Arguments: a configuration file, and the drivers.
"""

import os
import sys
import time
from unittest import mock

INTERVAL = 0.25
QUESTION, ANSWER = 'question', 'answer'


def main(config_file, *drivers):
    """Look until killed."""
    from nova_servicegroup.cmd import _startup
    from nova_servicegroup.plugin import database

    conf, problem = _startup.load()
    assert problem is None, problem
    conf(['--config-file', config_file], project='nova')
    database.open_database(conf)
    made = {name: make_api(conf, name) for name in drivers}
    while True:
        for name, api in made.items():
            look(name, api)
        if os.path.exists(QUESTION):
            answer(conf, made)
        time.sleep(INTERVAL)


def make_api(conf, driver):
    """Return an API that asks by a driver."""
    from nova_servicegroup.plugin import driver as nova_driver

    choose(conf, driver)
    return nova_driver.make_api(conf)


def choose(conf, driver, further=()):
    """Set the two options."""
    conf.set_override('servicegroup_driver', driver)
    conf.set_override('also_report_to', list(further), 'servicegroup')


def look(name, api):
    """Print who is down."""
    down = [
        each['host']
        for each in api.driver.table.records('compute')
        if not api.service_is_up(each)
    ]
    print(time.monotonic(), name, *sorted(down), flush=True)


def answer(conf, apis):
    """Write down what the doctor says."""
    from nova_servicegroup.doctor import finding
    from nova_servicegroup.doctor import members
    from nova_servicegroup.doctor import migration

    with open(QUESTION) as file:
        own, other = file.read().split()
    choose(conf, own, [other])
    subject = finding.Subject(conf, None, apis.__getitem__, databases=dict)
    # It has been looking for long enough.
    with mock.patch.object(members, 'pause'):
        found = [each.what for each in migration.check(subject)]
    with open(f'{ANSWER}.new', 'w') as file:
        file.write('\n'.join(found))
    os.remove(QUESTION)
    os.rename(f'{ANSWER}.new', ANSWER)


if __name__ == '__main__':
    main(*sys.argv[1:])
