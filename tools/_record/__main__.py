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

"""Records ``nova-servicegroup watch`` in a real Nova with faults.

asciinema runs this program a second time, on a terminal of its own, which
shows the output of ``watch`` and, between its lines, the faults.
"""

import argparse
import contextlib
import datetime
import io
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

from rich import console
from rich import text as text_

from nova_servicegroup.tests.harness import process
from nova_servicegroup.tests.ministack import progress as progress_
from nova_servicegroup.tests.ministack import settings
from nova_servicegroup.tests.ministack import stack as stack_
from nova_servicegroup.tests.ministack import venv

_TITLE = 'nova-servicegroup watch'
#: The defaults of Nova, and of ZooKeeper's tick.
_SETTINGS = settings.Settings(
    report_interval=10, service_down_time=60, tick_ms=2000
)
_DIRECTORY = venv.CACHE / 'record'
_RECORDING = _DIRECTORY / 'watch.cast'
_SIZE = ('--cols=110', '--rows=24')
_CALM = 5.0
_OUTAGE = 30.0
_PATIENCE = 60.0
_DIM = '\x1b[2m'


def main() -> None:
    """Record, unless --draw is given, and draw the picture."""
    args = _parse()
    if args.show:
        _show(stack_.Stack(_DIRECTORY))
        return
    kept = args.output / 'watch.cast'
    if not args.draw:
        _record()
        kept.write_text(_RECORDING.read_text())
    kept.with_suffix('.svg').write_text(_draw(kept))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='tools/record-watch', description=__doc__
    )
    parser.add_argument(
        '--output',
        type=pathlib.Path,
        default=venv.ROOT / 'doc' / 'source' / 'cli',
        help='the directory for watch.cast and watch.svg',
    )
    parser.add_argument(
        '--draw',
        action='store_true',
        help='only draw what has been recorded before',
    )
    parser.add_argument('--show', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def _record() -> None:
    progress = progress_.Progress()
    stack = stack_.Stack(_DIRECTORY, _SETTINGS, progress=progress)
    show = shlex.join([sys.executable, '-m', 'tools._record', '--show'])
    program = pathlib.Path(sys.executable).with_name('asciinema')
    # Only the terminal may determine the width.
    left_out = ('COLUMNS', 'LINES', 'NO_COLOR')
    kept = {k: v for k, v in os.environ.items() if k not in left_out}
    with contextlib.ExitStack() as ends:
        stack.up()
        ends.callback(stack.down)
        with progress.step('recording'):
            subprocess.run(
                [str(program), 'rec', '--quiet', '--overwrite', *_SIZE]
                + ['--env=TERM', f'--command={show}', str(_RECORDING)],
                env={
                    **kept,
                    'TERM': 'xterm-256color',
                    'ASCIINEMA_CONFIG_HOME': str(_DIRECTORY / 'asciinema'),
                },
                check=True,
            )


def _show(stack: stack_.Stack) -> None:
    """Run watch while faults happen; a failure leaves no recording."""
    config = stack.directory / 'conf' / 'nova.conf'
    program = stack.venv.program('nova-servicegroup')
    watch = subprocess.Popen([program, '--config-file', str(config), 'watch'])
    try:
        _play(stack)
    except BaseException:
        _RECORDING.unlink()
        raise
    finally:
        # As Ctrl-C does.
        watch.send_signal(signal.SIGINT)
        watch.wait()


def _play(stack: stack_.Stack) -> None:
    """Kill a compute and start it again, then stop the backend for a while."""
    victim = stack.hosts[1]
    _wait_for('3 \x1b[32mup')
    _note(f'SIGKILL to nova-compute on {victim}')
    stack.kill(victim)
    _wait_for(f'{victim}: ')
    _note(f'nova-compute on {victim} is started')
    stack.start(victim, wait=False)
    _wait_for(f'{victim}: ')
    _note('ZooKeeper is stopped')
    stack.zookeeper.stop()
    time.sleep(_OUTAGE)
    _note('ZooKeeper is started')
    stack.zookeeper.start()
    _wait_for('recovered')


def _note(text: str) -> None:
    """Write a line about a fault between those of the program."""
    now = datetime.datetime.now(datetime.timezone.utc)
    when = now.isoformat(timespec='milliseconds')
    print(f'\r\x1b[K{_DIM}{when} {text}\x1b[0m', flush=True)


def _wait_for(text: str) -> None:
    """Wait until the program has written a text since the last note.

    :raises TimeoutError: it does not
    """
    process.wait_until(
        lambda: text in _written(_RECORDING).rpartition(_DIM)[2],
        _PATIENCE,
        0.1,
        f'it does not write {text!r}',
    )
    time.sleep(_CALM)


def _written(recording: pathlib.Path) -> str:
    """Return the whole output in an asciicast."""
    # The last line may be incomplete.
    _, *lines = recording.read_text().split('\n')[:-1]
    return ''.join(data for _, _, data in map(json.loads, lines))


def _draw(recording: pathlib.Path) -> str:
    """Return an SVG of the terminal as it looks at the end."""
    width = json.loads(recording.read_text().partition('\n')[0])['width']
    shown = console.Console(record=True, width=width, file=io.StringIO())
    # from_ansi leaves out text that was overwritten. A terminal ends a line
    # with two characters.
    written = _written(recording).replace('\r\n', '\n').rstrip()
    shown.print(text_.Text.from_ansi(written))
    drawn = shown.export_svg(title=_TITLE, unique_id=recording.stem)
    # Some viewers drop the spaces at both ends of a text.
    drawn = drawn.replace('<svg ', '<svg xml:space="preserve" ', 1)
    # The picture must not load fonts from other servers.
    return re.sub(r'@font-face \{.*?\}\s*', '', drawn, flags=re.DOTALL)


if __name__ == '__main__':
    main()
