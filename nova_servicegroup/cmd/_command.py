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


"""What our commands have in common."""

from typing import Any

from cliff import command

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions

#: The exit status of a command that could not do its work.
ERROR = 2


class Command(command.Command):
    """A command whose errors are told in a line, without secrets.

    :ivar app: a cli.Cli
    """

    app: Any

    def run(self, parsed_args: Any) -> int:
        """Run the command; return its exit status."""
        try:
            return int(super().run(parsed_args))
        except exceptions.ServiceGroupError as error:
            line = _startup.hide(self.app.conf, str(error))
            self.app.stderr.write(f'{line}\n')
            return ERROR

    def take_action(self, parsed_args: Any) -> Any:
        """See cliff."""
        raise NotImplementedError

    @property
    def servicegroup(self) -> api.API:
        """The API, by the configured driver.

        :raises ServiceGroupError: see api.API
        """
        made: api.API = self.app.servicegroup
        return made
