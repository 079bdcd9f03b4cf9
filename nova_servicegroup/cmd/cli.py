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


"""nova-servicegroup: the command line.

Every command reads nova.conf and asks through the same driver as Nova does.
"""

import argparse
import functools
from importlib import metadata
import sys
from typing import Any
import warnings

from cliff import app
from cliff import commandmanager

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup

NAMESPACE = 'nova_servicegroup.cli'


class Cli(app.App):
    """The application; its commands are found with stevedore."""

    def __init__(self) -> None:
        super().__init__(
            description='See which services of Nova are alive, and why.',
            version=metadata.version('nova-servicegroup'),
            command_manager=commandmanager.CommandManager(NAMESPACE),
            deferred_help=True,
        )
        self.conf, self.nova_error = _startup.load()

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        """Add our options to those of cliff."""
        parser = super().build_option_parser(
            description, version, argparse_kwargs
        )
        parser.add_argument(
            '--config-file',
            action='append',
            metavar='FILE',
            help='A configuration file; may be repeated. Default: those that '
            'Nova reads.',
        )
        parser.add_argument(
            '--config-dir',
            action='append',
            metavar='DIRECTORY',
            help='A directory of configuration files; may be repeated.',
        )
        parser.add_argument(
            '--driver',
            metavar='NAME',
            help='Ask this driver instead of servicegroup_driver.',
        )
        return parser

    def initialize_app(self, argv: list[str]) -> None:
        """Read the configuration."""
        words = [
            word
            for option, values in (
                ('--config-file', self.options.config_file),
                ('--config-dir', self.options.config_dir),
            )
            for value in values or ()
            for word in (option, value)
        ]
        # cliff's own words are not for Nova's parser.
        self.conf(words, project='nova', prog='nova-servicegroup')
        if self.options.driver:
            self.conf.set_override('servicegroup_driver', self.options.driver)

    @functools.cached_property
    def servicegroup(self) -> api.API:
        """The API, made when a command wants it; closed at the end.

        :raises ServiceGroupError: see api.API
        """
        return _startup.make_api(self.conf, self.nova_error)

    def clean_up(
        self, cmd: Any, result: int, err: BaseException | None
    ) -> None:
        """End the connections."""
        if 'servicegroup' in self.__dict__:
            self.servicegroup.close()


def main() -> int:
    """Run the command line."""
    with warnings.catch_warnings():
        # Libraries warn about each other here, which is no result.
        warnings.simplefilter('ignore')
        return int(Cli().run(sys.argv[1:]))
