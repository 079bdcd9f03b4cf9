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

"""A quick search, in virtual time, for a history that refutes a promise.

It is the wide one of two, see ``tests/simulation`` for the other. Its oracle
states the promises alone, and allows by name what nobody could know. So what
it refutes is an error, and a run of the tests gives a million verdicts for
each driver.

It is for finding what nobody has thought of. What it finds becomes a scenario
of ``tests/simulation``, or a unit test.

Begin with ``plan``: what happens in one history. ``world`` runs it with the
reading side of a driver as it is in production, on backends that behave like
real ones (``zookeeper``, ``memcached``, ``table``). ``oracle`` knows the truth
and checks each verdict against the promises. ``search`` looks for a history
that refutes one, and shortens it.

Backends and oracle are its own: what one simulation gets wrong, the other one
may not. Both have the same virtual time and threads.

It runs in a process of its own: ``python -m
nova_servicegroup.tests.promises``.
"""
