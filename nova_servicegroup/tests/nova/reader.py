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


"""A process of Nova that asks all the time who is up, by Nova's own classes.

Prints a line for each look at all nova-compute: the hosts that are down. It
asks with objects, as nova-api does, and with dicts, as nova-scheduler does.
Argument: a configuration file. Whether the drivers are stock, the path
decides.
"""

import sys
import time

INTERVAL = 0.5


def main(config_file):
    """Look until killed."""
    from nova import config
    from nova import context
    from nova import objects
    from nova import servicegroup

    config.parse_args(['nova-reader', '--config-file', config_file])
    objects.register_all()
    api = servicegroup.API()
    print(type(api._driver).__module__, flush=True)
    while True:
        down = [
            each.host
            for each in objects.ServiceList.get_all(
                context.get_admin_context()
            )
            if each.binary == 'nova-compute' and not is_up(api, each)
        ]
        print(time.monotonic(), *sorted(down), flush=True)
        time.sleep(INTERVAL)


def is_up(api, record):
    """Tell whether a service is up, in either form of its record."""
    return api.service_is_up(record) and api.service_is_up(dict(record))


if __name__ == '__main__':
    main(sys.argv[1])
