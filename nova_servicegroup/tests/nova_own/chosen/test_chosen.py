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

"""Nova's own tests that the environment names, for stestr to find.

Not in a package: who looks for tests around it must not import Nova.
"""

import contextlib
import os
from typing import Any
import unittest

#: The environment variable with modules and classes, between spaces.
NAMES = 'NOVA_SERVICEGROUP_NOVA_TESTS'


def load_tests(
    loader: unittest.TestLoader, standard: object, pattern: object
) -> unittest.TestSuite:
    """Load the tests that the environment names."""
    found = loader.loadTestsFromNames(os.environ[NAMES].split())
    _isolate()
    return found


def _isolate() -> None:
    """Have each test begin with nothing that the package has kept.

    Nova's tests do the same with what Nova keeps for a process.
    """
    try:
        from nova_servicegroup.plugin import driver
    except ImportError:
        return
    from nova import test
    from nova.tests import fixtures

    set_up = test.TestCase.setUp

    def isolated(case: Any) -> None:
        set_up(case)
        case.addCleanup(driver.forget)

    test.TestCase.setUp = isolated
    # All have the same hosts, in each process that runs tests.
    os.environ['OS_ZOOKEEPER__NAMESPACE'] = f'tests-{os.getpid()}'
    # Older ones run on eventlet, where one at a time writes.
    if hasattr(fixtures, 'DatabaseWriteLock'):
        _queue_up(fixtures.DatabaseWriteLock)


def _queue_up(write_lock: Any) -> None:
    """Have heartbeats take the lock that all else takes which Nova writes.

    SQLite, which there is in tests only, refuses who writes beside another.
    """
    from nova_servicegroup.drivers.db import store

    set_up, update = write_lock._setUp, store.Store._update
    active: list[Any] = []

    def keep(fixture: Any) -> None:
        set_up(fixture)
        active.append(fixture)
        fixture.addCleanup(active.remove, fixture)

    def locked(kept: store.Store, *arguments: Any) -> int:
        with contextlib.ExitStack() as stack:
            for fixture in active[-1:]:
                lock = fixture._get_lock(kept._engine().url)
                stack.enter_context(lock)
            return update(kept, *arguments)

    write_lock._setUp, store.Store._update = keep, locked
