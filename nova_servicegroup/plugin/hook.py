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


"""What castellan calls in every process that uses it, Nova's or not.

So importing this imports neither Nova nor the rest of this package, and the
hook does nothing where Nova's configuration is not loaded.
"""

import sys
from typing import Any

from nova_servicegroup.plugin import compat
from nova_servicegroup.plugin import installation


class Hook:
    """What castellan constructs while Nova's configuration is imported."""

    def __init__(self, conf: object = None) -> None:
        """Install the drivers into Nova, if this is Nova. Never raises."""
        install()

    def list_options_for_discovery(self) -> list[Any]:
        """Return the options for castellan to register: none."""
        return []


def install() -> None:
    """Install the drivers into Nova, if this is Nova. Never raises."""
    module = sys.modules.get('nova.conf.servicegroup')
    if module is not None:
        INSTALLATION.install(module)


def _connect(names: list[str]) -> None:
    compat.check_names()
    from nova_servicegroup.plugin import driver

    from nova.servicegroup import api
    from nova.servicegroup.drivers import base

    compat.check_interface(base.Driver, driver.Driver)
    compat.point(api._driver_name_class_mapping, names)


#: Of this process.
INSTALLATION = installation.Installation(_connect)
