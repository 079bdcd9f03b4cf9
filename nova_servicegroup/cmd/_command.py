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

import argparse
from collections.abc import Callable, Iterator, Sequence
import contextlib
import math
import signal
import traceback
from typing import Any

from cliff import command

from nova_servicegroup import api
from nova_servicegroup.cmd import _startup
from nova_servicegroup import escaping
from nova_servicegroup import exceptions

#: The exit status of a command that could not do its work.
ERROR = 2


class Command(command.Command):
    """A command that writes its errors in a line, without secrets.

    One that shows something is also one of cliff's, named after this one.

    :ivar app: a cli.Cli
    :ivar status: the exit status, where nothing went wrong
    :ivar exit_statuses: what they are, for the help
    """

    app: Any
    exit_statuses = ''
    status = 0

    def run(self, parsed_args: Any) -> int:
        """Run the command; return its exit status."""
        try:
            # Nothing is written before it is known what is secret.
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
        """See cliff, which looks through all packages for ours."""
        return self.exit_statuses

    def warn(self, text: str) -> None:
        """Write a line to standard error, without secrets."""
        line = escaping.printable(_startup.hide(self.app.conf, text))
        self.app.stderr.write(f'{line}\n')
        self.app.stderr.flush()

    @property
    def servicegroup(self) -> api.API:
        """The API, by the configured driver.

        :raises ServiceGroupError: see api.API
        """
        made: api.API = self.app.servicegroup
        return made


def seconds(text: str) -> float:
    """Return a number of seconds, as an option takes it.

    :raises ArgumentTypeError: it is none
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
    """Handle some signals while the body runs."""
    before = {each: signal.signal(each, handler) for each in signums}
    try:
        yield
    finally:
        for each, was in before.items():
            signal.signal(each, was)
