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

"""The base class of the commands, and their common helpers."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import math
import signal
import traceback
from typing import Any

from cliff import command

from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup.opts import secrets

#: The exit status of a command that could not do its work.
ERROR = 2

#: The arguments of a command: the settings for argparse, by name.
Arguments = Mapping[str, Mapping[str, Any]]


class Command(command.Command):
    """A command that reports its errors in one line, without secrets.

    A command that shows something also inherits from a class of cliff, which
    comes second.

    :ivar app: the cli.Cli that runs it
    :ivar status: the exit status if there is no error
    :ivar exit_statuses: the exit statuses and their meaning, for the help
    """

    app: Any
    exit_statuses = ''
    status = 0

    @property
    def arguments(self) -> Arguments:
        """The arguments of the command."""
        return {}

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the arguments; see cliff."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        add_arguments(parser, self.arguments)
        return parser

    def run(self, parsed_args: Any) -> int:
        """Run the command and return its exit status."""
        try:
            # The configuration says what is secret, so it is read before
            # anything is written.
            _ = self.app.conf
        except exceptions.ServiceGroupError as error:
            self.app.stderr.write(f'{exceptions.first_line(error)}\n')
            return ERROR
        try:
            return int(super().run(parsed_args)) or self.status
        except BrokenPipeError:
            raise
        except Exception as error:
            if self.app.options.debug:
                for line in traceback.format_exc().splitlines():
                    self.warn(line)
            self.warn(exceptions.first_line(error))
            return ERROR

    def take_action(self, parsed_args: Any) -> Any:
        """See cliff."""
        raise NotImplementedError

    def get_epilog(self) -> str:
        """Return the exit statuses; cliff would search all packages for it."""
        return self.exit_statuses

    def warn(self, text: str) -> None:
        """Write one line to standard error, without secrets."""
        line = escaping.printable(secrets.hide(self.app.conf, text))
        self.app.stderr.write(f'{line}\n')
        self.app.stderr.flush()


def add_arguments(
    parser: argparse.ArgumentParser, arguments: Arguments
) -> None:
    """Add arguments to a parser."""
    for name, settings in arguments.items():
        parser.add_argument(name, **settings)


def seconds(text: str) -> float:
    """Return the number of seconds that an option gives.

    :raises ArgumentTypeError: the text is not a finite number from 0 up
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f'{text!r} cannot be used. Accepted: a number of seconds'
        )
    return value


@contextlib.contextmanager
def handled(
    signums: Sequence[int], handler: Callable[[int, Any], None]
) -> Iterator[None]:
    """Handle signals by a function while the body runs."""
    before = {each: signal.signal(each, handler) for each in signums}
    try:
        yield
    finally:
        for each, was in before.items():
            signal.signal(each, was)
