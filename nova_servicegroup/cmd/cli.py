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

NAMESPACE = 'nova_servicegroup.cli'

#: What the libraries log is shown from here on, by the number of -v.
_LEVELS = (logging.ERROR, logging.INFO)

#: So many new objects have Python look for garbage. To look through Nova's
#: modules and thousands of members more often takes longer than all the rest,
#: and nearly all of them stay until the end.
_GARBAGE = 50000

#: Seconds that the backend has for a goodbye.
_GOODBYE = 0.3


@dataclasses.dataclass(frozen=True)
class _Command:
    """A command that is imported when it is called."""

    _point: metadata.EntryPoint

    @property
    def name(self) -> str:
        """What it is called by."""
        return self._point.name.replace('_', ' ')

    def load(self) -> Any:
        """Return its class.

        :raises ServiceGroupError: it cannot be imported
        """
        try:
            return self._point.load()
        except Exception as error:
            line = exceptions.first_line(error)
            raise exceptions.ServiceGroupError(
                f'The command {self.name} cannot be loaded: '
                f'{type(error).__name__}: {line}'
            ) from error


class _Commands(commandmanager.CommandManager):
    """Our commands. cliff's own imports them all, whichever is called."""

    def load_commands(self, namespace: str) -> None:
        """See cliff."""
        for point in metadata.entry_points(group=namespace):
            # cliff asks it for its class, and for nothing else.
            made: Any = _Command(point)
            self.commands[made.name] = made


class Cli(app.App):
    """The application; its commands are found with stevedore."""

    NAME = 'nova-servicegroup'
    LOG = logging.getLogger(NAME)
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self, **streams: Any) -> None:
        """Take other streams than those of the process, as cliff does."""
        super().__init__(
            description='See which services of Nova are alive, and why.',
            version=metadata.version('nova-servicegroup'),
            command_manager=_Commands(NAMESPACE),
            deferred_help=True,
            **streams,
        )
        #: Whether the backend was too mute to end the connections.
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

    def configure_logging(self) -> None:
        """Show what the libraries log only to who wants it.

        A command says itself what its user must know.
        """
        handlers = set(logging.root.handlers)
        try:
            super().configure_logging()
        except OSError as error:
            self.parser.exit(_command.ERROR, f'--log-file: {error}\n')
        levels = dict(enumerate(_LEVELS))
        level = levels.get(self.options.verbose_level, logging.DEBUG)
        for handler in set(logging.root.handlers) - handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(level)
        if not self.options.log_file:
            logging.root.setLevel(level)

    def interact(self) -> None:
        """Show what there is, in place of cliff's own shell."""
        show = cliff_help.HelpAction([], argparse.SUPPRESS, default=self)
        show(self.parser, self.options, None)

    @functools.cached_property
    def _loaded(self) -> tuple[cfg.ConfigOpts, str | None]:
        return _startup.load()

    @property
    def nova_error(self) -> str | None:
        """Why Nova could not be imported; None: it could."""
        return self._loaded[1]

    @functools.cached_property
    def conf(self) -> cfg.ConfigOpts:
        """Nova's configuration, read when a command wants it.

        :raises ConfigurationFileError: it cannot be read
        :raises ArgumentError: there is no such driver
        """
        conf, options = self._loaded[0], self.options
        _startup.read(conf, options.config_file, options.config_dir)
        if options.driver is not None:
            _choose(conf, options.driver)
        return conf

    @functools.cached_property
    def servicegroup(self) -> api.API:
        """The API, made when a command wants it; closed at the end.

        :raises ServiceGroupError: see api.API; or there are no servers
        """
        made = _startup.make_api(self.conf, self.nova_error)
        _startup.require_servers(self.conf.servicegroup_driver, made.driver)
        return made

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command, unless it cannot be imported."""
        try:
            return int(super().run_subcommand(argv))
        except exceptions.ServiceGroupError as error:
            self.stderr.write(f'{error}\n')
            return _command.ERROR

    def clean_up(
        self, cmd: Any, result: int, err: BaseException | None
    ) -> None:
        """End the connections, waiting for no backend that is mute."""
        if 'servicegroup' in self.__dict__:
            closing = threading.Thread(
                target=self.servicegroup.close, daemon=True
            )
            closing.start()
            closing.join(_GOODBYE)
            self.unclosed = closing.is_alive()


def _choose(conf: cfg.ConfigOpts, driver: str) -> None:
    installed = api.installed_drivers()
    if driver not in installed:
        names = ', '.join(installed)
        raise exceptions.ArgumentError('--driver', driver, names)
    conf.set_override('servicegroup_driver', driver)


def main() -> int:
    """Run the command line; return its exit status."""
    gc.set_threshold(_GARBAGE)
    with warnings.catch_warnings():
        # Libraries warn about each other here, which is no result.
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
    """Write what is left, and nothing to a pipe that nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _has_threads() -> bool:
    """Tell whether Python would wait for a thread of some library.

    It may be one that asks a database that does not answer.
    """
    return any(
        not each.daemon and each is not threading.main_thread()
        for each in threading.enumerate()
    )
