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

"""Asks as nova-scheduler does who gets no new server; run by test_faults.

Prints a line for each look at all nova-compute: the time, and the hosts that
are passed over or down.
Argument: a configuration file.
"""

import sys
import time

INTERVAL = 0.5


def main(config_file):
    """Look until killed."""
    from nova_servicegroup.cmd import _startup
    from nova_servicegroup.plugin import database
    from nova_servicegroup.plugin import driver

    conf, problem = _startup.load()
    assert problem is None, problem
    conf(['--config-file', config_file], project='nova')
    database.open_database(conf)
    api = driver.make_api(conf)
    api.driver.passes_over_unfit = True
    print(type(api.driver).__module__, flush=True)
    while True:
        passed = [
            each['host']
            for each in api.driver.table.records('compute')
            if not api.service_is_up(each)
        ]
        print(time.monotonic(), *sorted(passed), flush=True)
        time.sleep(INTERVAL)


if __name__ == '__main__':
    main(sys.argv[1])
