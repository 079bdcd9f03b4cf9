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

"""The command for a real Nova on one machine, on loopback, without root."""

import argparse
from collections.abc import Callable, Iterator, Sequence
import contextlib
import fcntl
import pathlib
import signal
import sys

from nova_servicegroup.tests.ministack.masakari import stack as with_masakari
from nova_servicegroup.tests.ministack import nova
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import stack as stack_
from nova_servicegroup.tests.ministack import venv
from tools._ministack import demo
from tools._ministack import masakari as masakari_demo
from tools._ministack import options

_TAIL = 15


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    arguments = build_parser().parse_args(argv)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        arguments.run(arguments)
    except (progress_.StepFailed, RuntimeError, OSError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        print('ministack: interrupted', file=sys.stderr)
        return 130
    return 0


def _interrupt(signum: int, frame: object) -> None:
    """Raise KeyboardInterrupt once: taking down must not be interrupted."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def _failed(error: Exception) -> int:
    """Print an error with the end of its log; return the exit status."""
    print(f'ministack: {error}', file=sys.stderr)
    log = getattr(error, 'log', None)
    if log:
        lines = _read(log).splitlines()[-_TAIL:]
        print('\n'.join(f'  | {line}' for line in lines), file=sys.stderr)
        print(f'read the log: {log}', file=sys.stderr)
    return 1


def _read(file: pathlib.Path) -> str:
    return file.read_text(errors='replace') if file.exists() else ''


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='ministack', description='A real Nova on one machine.'
    )
    parser.add_argument('--directory', type=pathlib.Path, help=_DIRECTORY)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    _add(commands, 'demo', _demo, 'show a driver at work, from up to down')
    _add(commands, 'up', _up, 'bring everything up')
    _add(commands, 'services', _services, 'show the services')
    kill = _add(commands, 'kill', _kill, 'send a signal to a host, KILL first')
    kill.add_argument('host', metavar='HOST', help=_HOST)
    kill.add_argument('signal', metavar='SIGNAL', nargs='?', default='KILL')
    start = _add(commands, 'start', _start, 'start a host again')
    start.add_argument('host', metavar='HOST', help=_HOST)
    boot = _add(commands, 'boot', _boot, 'boot a server')
    boot.add_argument('name', metavar='NAME')
    boot.add_argument('host', metavar='HOST', nargs='?')
    logs = _add(commands, 'logs', _logs, 'list the logs, or print one')
    logs.add_argument('host', metavar='HOST', nargs='?', help=_HOST)
    _add(commands, 'down', _down, 'end everything that up has started')
    return parser


_DIRECTORY = 'of the stack, by default below the cache directory'
_HOST = 'compute1 and so on, or api, conductor, scheduler'


def _add(
    commands: 'argparse._SubParsersAction[argparse.ArgumentParser]',
    name: str,
    run: Callable[[argparse.Namespace], None],
    help_: str,
) -> argparse.ArgumentParser:
    found = commands.add_parser(name, help=help_)
    found.set_defaults(run=run)
    found.add_argument(
        '--directory',
        type=pathlib.Path,
        help=_DIRECTORY,
        default=argparse.SUPPRESS,
    )
    if name in ('demo', 'up'):
        options.add(found)
    return found


@contextlib.contextmanager
def _locked(arguments: argparse.Namespace) -> Iterator[None]:
    """Lock a stack against other commands that change it.

    :raises StepFailed: another command has the lock
    """
    directory = arguments.directory or venv.CACHE / 'stack'
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f'.{directory.name}.lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = f'another command is at work on {directory}'
            raise progress_.StepFailed(what) from None
        yield


def _new(arguments: argparse.Namespace) -> stack_.Stack:
    progress = progress_.Progress()
    settings = options.settings(arguments)
    return with_masakari.open_stack(arguments.directory, settings, progress)


def _old(arguments: argparse.Namespace) -> stack_.Stack:
    progress = progress_.Progress()
    return with_masakari.open_stack(arguments.directory, None, progress)


def _live(arguments: argparse.Namespace) -> stack_.Stack:
    stack = _old(arguments)
    if not stack.process('api').running:
        log = stack.log('api') if stack.alive() else None
        what = f'no nova-api runs in {stack.directory}'
        raise progress_.StepFailed(what, log)
    return stack


def _demo(arguments: argparse.Namespace) -> None:
    with _locked(arguments):
        stack = _new(arguments)
        if len(stack.hosts) < 2:
            raise progress_.StepFailed('the demo needs at least two computes')
        kind: type[demo.Base] = demo.Demo
        if isinstance(stack, with_masakari.Stack):
            kind = masakari_demo.Demo
        kind(stack, stack.progress).run()
        stack.progress.log('everything held')


def _up(arguments: argparse.Namespace) -> None:
    with _locked(arguments):
        stack = _new(arguments)
        stack.up()
    print(nova.table(stack.services()))
    if isinstance(stack, with_masakari.Stack):
        print(f'\n{stack.usage()}')


def _services(arguments: argparse.Namespace) -> None:
    print(nova.table(_live(arguments).services()))


def _kill(arguments: argparse.Namespace) -> None:
    name = arguments.signal.upper().removeprefix('SIG')
    if name.isdigit():
        signum = int(name)
    elif f'SIG{name}' in signal.Signals.__members__:
        signum = signal.Signals[f'SIG{name}']
    else:
        raise progress_.StepFailed(f'there is no signal {arguments.signal}')
    stack = _old(arguments)
    if not stack.process(arguments.host).running:
        raise progress_.StepFailed(f'{arguments.host} does not run')
    stack.kill(arguments.host, signum)


def _start(arguments: argparse.Namespace) -> None:
    stack = _old(arguments)
    with stack.progress.step(f'starting {arguments.host}'):
        stack.start(arguments.host)


def _boot(arguments: argparse.Namespace) -> None:
    server = _live(arguments).boot(arguments.name, arguments.host)
    print(f'{server.name} {server.status} {server.host or "-"} {server.fault}')
    if server.refused:
        raise progress_.StepFailed('the server was refused')


def _logs(arguments: argparse.Namespace) -> None:
    stack = _old(arguments)
    if arguments.host:
        print(_read(stack.process(arguments.host).log), end='')
        return
    for log in stack.logs:
        print(log)


def _down(arguments: argparse.Namespace) -> None:
    with _locked(arguments):
        stack = _old(arguments)
        with stack.progress.step('taking everything down'):
            stack.down()


if __name__ == '__main__':
    sys.exit(main())
