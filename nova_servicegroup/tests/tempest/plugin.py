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

"""The entry point of Tempest."""

import pathlib
from typing import Any

from tempest.test_discover import plugins

from nova_servicegroup.tests.tempest import config


class ServiceGroupPlugin(plugins.TempestPlugin):
    """Tests of whether Nova knows which of its services are alive."""

    def load_tests(self) -> tuple[str, str]:
        """Return the directory of the tests, and that of the package."""
        here = pathlib.Path(__file__).parent
        return str(here / 'api'), str(here.parents[2])

    def register_opts(self, conf: Any) -> None:
        """Register the plugin's options."""
        conf.register_group(config.GROUP)
        conf.register_opts(config.OPTS, group=config.GROUP)

    def get_opt_lists(self) -> list[tuple[str, list[Any]]]:
        """Return the plugin's options, for the sample of tempest.conf."""
        return [(config.GROUP.name, config.OPTS)]
