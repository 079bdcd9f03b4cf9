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

"""Checks whether the backend answers, if no other check asks its servers."""

import time

from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions

#: Backends with a check of their own, which asks each server.
_COVERED = (base.ETCD, base.MEMCACHED, base.REDIS, base.ZOOKEEPER)

NO_DATABASE = (
    'Not asked: [database] connection is not set here, so the services of '
    'this host report through nova-conductor. Run this check where '
    'nova-conductor runs.'
)


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    backend = subject.backend
    if backend in _COVERED:
        return []
    if backend == base.DATABASE and subject.databases is None:
        return [finding.ok(NO_DATABASE)]
    return [_ask(subject)]


def _ask(subject: finding.Subject) -> finding.Finding:
    name = subject.driver
    driver = subject.api(name).driver
    begun = time.monotonic()
    try:
        answer = driver.check()
    except NotImplementedError:
        return finding.ok(f'The driver {name} offers no check.')
    except exceptions.BackendError as error:
        return finding.error(
            str(error),
            'No service can report or see which members are alive.',
            'See that the backend runs, and that this host may reach it.',
        )
    took = 1000 * (time.monotonic() - begun)
    return finding.ok(f'{answer} It took {took:.1f} ms.')
