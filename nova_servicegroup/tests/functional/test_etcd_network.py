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

"""Networks between members, observers and servers that fail."""

from nova_servicegroup.tests import base
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import etcd_faults
from nova_servicegroup.tests.functional import network_faults


@base.only_long
class ObserverCutTest(
    network_faults.ObserverCut, etcd_faults.Faults, contract.FunctionalTestCase
):
    ttl = 4


@base.only_long
class MemberCutTest(
    network_faults.MemberCut, etcd_faults.Faults, contract.FunctionalTestCase
):
    ttl = 4


@base.only_long
class LossTest(
    network_faults.Loss, etcd_faults.Faults, contract.FunctionalTestCase
):
    ttl = 10
