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

"""nova-servicegroup: the application that runs the commands.

Every command reads nova.conf and uses the same driver as Nova.
"""

import argparse
import contextlib
import dataclasses
import functools
import gc
from importlib import metadata
import logging
import os
import sys
import threading
from typing import Any
import warnings

from cliff import app
from cliff import commandmanager
from cliff import help as cliff_help
from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup.cmd import _command
from nova_servicegroup.cmd import _startup
from nova_servicegroup import exceptions
from nova_servicegroup import startup

NAMESPACE = 'nova_servicegroup.cli'

_OPTIONS: _command.Arguments = {
    '--config-file': {
        'action': 'append',
        'metavar': 'FILE',
        'help': 'A configuration file; may be repeated. Default: those that '
        'Nova reads.',
    },
    '--config-dir': {
        'action': 'append',
        'metavar': 'DIRECTORY',
        'help': 'A directory of configuration files; may be repeated.',
    },
    '--driver': {
        'metavar': 'NAME',
        'help': 'Ask this driver instead of servicegroup_driver.',
    },
}

#: The log level of libraries, by the number of -v; with more it is DEBUG.
_LEVELS = {0: logging.ERROR, 1: logging.INFO}

#: The number of new objects after which Python collects garbage. Going through
#: Nova's modules and thousands of members more often takes longer than all the
#: rest, and nearly all of them stay until the end.
_GC_THRESHOLD = 50000

#: Seconds to wait until the connections to the backend are closed.
_CLOSE_TIMEOUT = 0.3


@dataclasses.dataclass(frozen=True)
class _Command:
    """A command whose module is imported when it is called."""

    name: str
    entry_point: metadata.EntryPoint

    def load(self) -> Any:
        """Return the class of the command.

        :raises ServiceGroupError: it cannot be imported
        """
        try:
            return self.entry_point.load()
        except Exception as error:
            line = exceptions.first_line(error)
            raise exceptions.ServiceGroupError(
                f'The command {self.name} cannot be loaded: '
                f'{type(error).__name__}: {line}'
            ) from error


class _Commands(commandmanager.CommandManager):
    """A manager that imports only the command called; cliff's imports all."""

    def load_commands(self, namespace: str) -> None:
        """See cliff, which uses nothing of a command but its load()."""
        for each in metadata.entry_points(group=namespace):
            name = each.name.replace('_', ' ')
            command: Any = _Command(name, each)
            self.commands[name] = command


class Cli(app.App):
    """The application, whose commands are entry points.

    :param streams: stdin, stdout and stderr, by default those of the process
    :ivar unclosed: whether the backend did not let its connections be closed
        in time
    """

    NAME = 'nova-servicegroup'
    LOG = logging.getLogger(NAME)
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self, **streams: Any) -> None:
        super().__init__(
            description='See which services of Nova are alive, and why.',
            version=metadata.version('nova-servicegroup'),
            command_manager=_Commands(NAMESPACE),
            deferred_help=True,
            **streams,
        )
        self.unclosed = False

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        """Add our options to those of cliff."""
        parser = super().build_option_parser(
            description,
            version,
            {'prog': self.NAME, **(argparse_kwargs or {})},
        )
        _command.add_arguments(parser, _OPTIONS)
        return parser

    def configure_logging(self) -> None:
        """Set up logging; without -v, libraries log only errors.

        The commands themselves report what the user must know.
        """
        handlers = set(logging.root.handlers)
        try:
            super().configure_logging()
        except OSError as error:
            self.parser.exit(_command.ERROR, f'--log-file: {error}\n')
        level = _LEVELS.get(self.options.verbose_level, logging.DEBUG)
        for handler in set(logging.root.handlers) - handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(level)
        if not self.options.log_file:
            logging.root.setLevel(level)

    def interact(self) -> None:
        """Show the help, in place of cliff's shell."""
        show_help = cliff_help.HelpAction([], argparse.SUPPRESS, default=self)
        show_help(self.parser, self.options, None)

    @functools.cached_property
    def _loaded(self) -> tuple[cfg.ConfigOpts, str | None]:
        return _startup.load()

    @property
    def nova_error(self) -> str | None:
        """Why Nova could not be imported, or None."""
        return self._loaded[1]

    @functools.cached_property
    def conf(self) -> cfg.ConfigOpts:
        """Nova's configuration, read at the first use.

        :raises ConfigurationFileError: it cannot be read
        :raises ArgumentError: there is no such driver
        """
        conf, options = self._loaded[0], self.options
        startup.read(conf, options.config_file, options.config_dir)
        if options.driver is not None:
            installed = api.installed_drivers()
            if options.driver not in installed:
                raise exceptions.ArgumentError(
                    '--driver', options.driver, ', '.join(installed)
                )
            conf.set_override('servicegroup_driver', options.driver)
        return conf

    @functools.cached_property
    def servicegroup(self) -> api.API:
        """The API, made at the first use and closed at the end.

        :raises ServiceGroupError: see api.API; or the driver has no servers
        """
        made = _startup.make_api(self.conf, self.nova_error)
        startup.require_servers(self.conf.servicegroup_driver, made.driver)
        return made

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command, or report that it cannot be imported."""
        try:
            return int(super().run_subcommand(argv))
        except exceptions.ServiceGroupError as error:
            self.stderr.write(f'{error}\n')
            return _command.ERROR

    def clean_up(
        self, cmd: Any, result: int, err: BaseException | None
    ) -> None:
        """Close the connections, with a bound on the wait for the backend."""
        if 'servicegroup' in self.__dict__:
            closing = threading.Thread(
                target=self.servicegroup.close, daemon=True
            )
            closing.start()
            closing.join(_CLOSE_TIMEOUT)
            self.unclosed = closing.is_alive()


def main() -> int:
    """Run the command line and return its exit status."""
    gc.set_threshold(_GC_THRESHOLD)
    with warnings.catch_warnings():
        # Warnings of libraries about each other are no output of a command.
        warnings.simplefilter('ignore')
        command = Cli()
        try:
            status = int(command.run(sys.argv[1:]))
        except SystemExit as error:
            status = int(error.code or 0)
    with contextlib.suppress(KeyboardInterrupt):
        _flush()
    if command.unclosed or _has_threads():
        os._exit(status)
    return status


def _flush() -> None:
    """Flush the output; discard it if the reader of a pipe is gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _has_threads() -> bool:
    """Return whether Python would wait at its exit for a library's thread.

    Such a thread may wait for a database that does not answer.
    """
    return any(
        not each.daemon and each is not threading.main_thread()
        for each in threading.enumerate()
    )
