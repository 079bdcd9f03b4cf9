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

"""A simulation in virtual time: does each rule hold, and is a broken one seen?

It is the strict one of two, see ``tests/promises`` for the other. Its oracle
tells in each moment what every process may know, down to the second. So what
it refutes is not always an error: nobody could have known it, perhaps.

It is for changing a rule about who is alive. ``scenarios`` are the histories
that once refuted a promise, and each run of the tests runs them again;
``mutations`` breaks one rule after the other, and the oracle must notice.

Begin with ``plan``: what happens in one history. ``world`` runs it with the
reading side of a driver as it is in production, on backends that behave like
real ones (``zookeeper``, ``memcached``, ``table``) and in the virtual time of
``kernel`` and ``threads``, which ``tests/promises`` uses, too. ``oracle``
knows the truth and checks each verdict against the promises. ``search`` looks
for a history that refutes one, and shortens it.

It runs in a process of its own: ``python -m
nova_servicegroup.tests.simulation``.
"""
