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


"""Runs as a process of Nova of its own, and prints what it finds as JSON.

Arguments: a configuration file. Which Nova it is, the path decides; whether
it is patched with eventlet, the environment.
"""

import datetime
import json
import sys
import threading
import time

CONSTRUCTIONS = 486


def main(config_file):
    """Start as Nova's programs do, and look around."""
    from nova import monkey_patch

    # Before Nova 32, the import alone patched.
    getattr(monkey_patch, 'patch', bool)()
    from nova import config

    config.parse_args(
        ['nova-probe', '--config-file', config_file],
        configure_db=False,
        init_rpc=False,
    )
    from nova import objects

    objects.register_all()
    print(json.dumps(look_around(objects)))


def look_around(objects):
    """Return what this process sees."""
    import nova
    from nova import servicegroup

    threads = threading.active_count()
    began = time.monotonic()
    apis = [servicegroup.API() for _ in range(CONSTRUCTIONS)]
    return {
        'nova': nova.__file__,
        'choices': list(
            nova.conf.CONF._opts['servicegroup_driver']['opt'].type.choices
            or ()
        ),
        'eventlet_patched': is_patched(),
        'eventlet_poisoned': is_poisoned(),
        'seconds': time.monotonic() - began,
        'new_threads': threading.active_count() - threads,
        'classes': sorted({class_path(api._driver) for api in apis}),
        'drivers': sorted(
            {
                class_path(api._driver._api.driver)
                for api in apis
                if hasattr(api._driver, '_api')
            }
        ),
        'shared': len({id(getattr(api._driver, '_api', api)) for api in apis}),
        'verdicts': verdicts(objects, apis[0]),
    }


def is_patched():
    """Tell whether this process runs on eventlet."""
    if 'eventlet' not in sys.modules:
        return False
    import eventlet

    return bool(eventlet.patcher.is_monkey_patched('thread'))


def is_poisoned():
    """Tell whether Nova forbids eventlet, or in Nova 33 that it patches."""
    patch = getattr(sys.modules.get('eventlet'), 'monkey_patch', None)
    return getattr(patch, '__name__', '') == '_poison' or any(
        'Poison' in type(finder).__name__ for finder in sys.meta_path
    )


def class_path(instance):
    """Return the dotted path of an object's class."""
    return f'{type(instance).__module__}.{type(instance).__name__}'


def verdicts(objects, api):
    """Ask about a young and an old heartbeat, in every form of a record.

    There is no database, so only this clock tells how old they are.
    """
    from nova_servicegroup import services

    ours = getattr(api._driver, '_api', None)
    if ours is not None:
        ours.give_table(services.NoTable('there is none'))
    now = datetime.datetime.now(datetime.timezone.utc)
    return [
        verdict(api, make(objects, host, now - age))
        for host, age in (
            ('young', datetime.timedelta(seconds=1)),
            ('old', datetime.timedelta(hours=1)),
        )
        for make in (as_object, as_dict, as_text)
    ]


def verdict(api, record):
    """Ask whether one is up, and since when."""
    updated = api.get_updated_time(record)
    return [
        record['host'],
        api.service_is_up(record),
        updated is None or updated.tzinfo is not None,
    ]


def as_object(objects, host, last):
    """Return a record as nova-api has it."""
    return objects.Service(
        host=host,
        binary='nova-compute',
        topic='compute',
        last_seen_up=last,
        created_at=last,
        updated_at=last,
        forced_down=False,
    )


def as_dict(objects, host, last):
    """Return a record as the database has it."""
    last = last.replace(tzinfo=None)
    return {
        'host': host,
        'binary': 'nova-compute',
        'topic': 'compute',
        'last_seen_up': last,
        'created_at': last,
        'updated_at': None,
        'forced_down': False,
    }


def as_text(objects, host, last):
    """Return a record that came over RPC."""
    record = as_dict(objects, host, last)
    record['last_seen_up'] = record['last_seen_up'].isoformat()
    return record


if __name__ == '__main__':
    main(sys.argv[1])
