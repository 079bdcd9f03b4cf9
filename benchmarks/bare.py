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

"""The floor of a driver's cost: one key or lease for each host."""

import argparse
from collections.abc import Callable, Sequence
import http.client
import itertools
import json
import time
from typing import Any


def keep(args: argparse.Namespace, hosts: Sequence[str]) -> None:
    """Renew hosts for ever, each over a connection of its own.

    :param args: ``driver``, whose floor this is; ``bare``, the address of its
        server; ``interval`` and ``beat``, in seconds
    """
    # The mc driver renews in each report_interval.
    beat = args.interval if args.driver == 'mc' else args.beat
    make = {'mc': _memcached, 'etcd': _etcd, 'redis': _redis}[args.driver]
    calls = [make(args.bare, host, int(6 * args.interval)) for host in hosts]
    step, begun = beat / len(calls), time.monotonic()
    for number, call in enumerate(itertools.cycle(calls)):
        time.sleep(max(0.0, begun + number * step - time.monotonic()))
        call()


def _memcached(address: str, host: str, seconds: int) -> Callable[[], object]:
    """Return a function that sets a key."""
    from pymemcache.client import base

    client = base.Client(address)
    return lambda: client.set(host, b'1', expire=seconds)


def _redis(address: str, host: str, seconds: int) -> Callable[[], object]:
    """Return a function that sets a key that expires."""
    import redis

    client = redis.Redis(port=int(address.rpartition(':')[2]))
    return lambda: client.set(host, b'1', ex=seconds)


def _etcd(address: str, host: str, seconds: int) -> Callable[[], object]:
    """Return a function that renews a lease."""
    connection = http.client.HTTPConnection(address)

    def ask(path: str, question: dict[str, Any]) -> Any:
        connection.request('POST', f'/v3/lease/{path}', json.dumps(question))
        return json.loads(connection.getresponse().read())

    lease = ask('grant', {'TTL': seconds})['ID']
    return lambda: ask('keepalive', {'ID': lease})
