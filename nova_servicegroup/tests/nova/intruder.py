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


"""A process with the message queue's credentials, and nothing else of Nova's.

It has nova-conductor write what it likes, by Nova's own call. Arguments: a
configuration file. It reads commands, lines of a host and of an action, from
the file that the environment's ``INTRUDER`` names, and does the last one for
each host again and again until killed.
"""

import datetime
import os
import pathlib
import sys
import time

# A heartbeat in between must be gone before anybody reads it: with this
# package, whatever has changed is proof of life.
INTERVAL = 0.02
_LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


def main(config_file):
    """Do what the commands say."""
    from nova.conductor import rpcapi
    from nova import config
    from nova import context
    from nova import objects
    from nova.objects import base

    config.parse_args(['nova-intruder', '--config-file', config_file])
    objects.register_all()
    # No call reaches a database by itself.
    base.NovaObject.indirection_api = rpcapi.ConductorAPI()
    commands = pathlib.Path(os.environ['INTRUDER'])
    while True:
        for line in commands.read_text().splitlines():
            host, action = line.split()
            found = objects.Service.get_by_compute_host(
                context.get_admin_context(), host
            )
            ACTIONS[action](found)
            found.save()
        time.sleep(INTERVAL)


def renew(service):
    """Have a heartbeat written."""
    service.report_count += 1


def age(service):
    """Have its last heartbeat look old."""
    service.last_seen_up = _LONG_AGO


def force(service):
    """Have it forced down."""
    service.forced_down = True


def release(service):
    """Have it forced down no more."""
    service.forced_down = False


ACTIONS = {'renew': renew, 'age': age, 'force': force, 'release': release}


if __name__ == '__main__':
    main(sys.argv[1])
