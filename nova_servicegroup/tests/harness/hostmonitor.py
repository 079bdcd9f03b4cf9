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

"""The real masakari-hostmonitor, with the driver servicegroup."""

import pathlib

from nova_servicegroup.tests.harness import process

CONFIG = """
[DEFAULT]
hostname = controller
[host]
monitoring_driver = servicegroup
[api]
auth_type = password
auth_url = {url}/v3
username = masakari
password = hush-hush
project_name = service
user_domain_id = default
project_domain_id = default
timeout = 5
[servicegroup_masakari]
nova_config_files = {nova}
"""


class Hostmonitor(process.Process):
    """The real masakari-hostmonitor, with the driver servicegroup.

    :param python: of the environment of masakari-monitors
    :param nova: Nova's configuration file
    :param options: more lines for [servicegroup_masakari]
    """

    def __init__(
        self,
        directory: pathlib.Path,
        python: str,
        url: str,
        nova: pathlib.Path,
        options: str = '',
    ) -> None:
        directory.mkdir(exist_ok=True)
        config = directory / 'masakarimonitors.conf'
        config.write_text(CONFIG.format(url=url, nova=nova) + options)
        root = pathlib.Path(__file__).parents[3]
        program = pathlib.Path(python).parent / 'masakari-hostmonitor'
        super().__init__(
            [python, str(program), f'--config-file={config}'],
            directory,
            {'PYTHONPATH': str(root), 'PYTHONWARNINGS': 'ignore'},
        )

    def count(self, words: str) -> int:
        """Return how often it has logged these words."""
        return self.log.read_text().count(words) if self.log.exists() else 0
