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

"""Records ``nova-servicegroup watch`` in a real Nova with faults."""

import argparse
import contextlib
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from tools._ministack import progress  # noqa: E402
from tools._ministack import settings  # noqa: E402
from tools._ministack import stack as stack_  # noqa: E402
from tools._ministack import venv  # noqa: E402
from tools._record import picture  # noqa: E402
from tools._record import terminal  # noqa: E402

_TITLE = 'nova-servicegroup watch'
#: Everything as it is by default, the tick of ZooKeeper included.
_SETTINGS = settings.Settings(
    report_interval=10, service_down_time=60, tick_ms=2000
)
_CALM = 5.0
_OUTAGE = 30.0
_PATIENCE = 60.0


def main() -> None:
    """Record, unless told not to, and draw."""
    args = _parse()
    recording = args.output / 'watch.cast'
    if not args.draw:
        _record(recording)
    drawn = picture.draw(recording, _TITLE)
    recording.with_suffix('.svg').write_text(drawn)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='tools/record-watch', description=__doc__
    )
    parser.add_argument(
        '--output',
        type=pathlib.Path,
        default=ROOT / 'doc' / 'source' / 'cli',
        help='the directory for watch.cast and watch.svg',
    )
    parser.add_argument(
        '--draw',
        action='store_true',
        help='only draw anew what has been recorded',
    )
    return parser.parse_args()


def _record(file: pathlib.Path) -> None:
    say = progress.Progress()
    directory = venv.cache_directory() / 'record'
    stack = stack_.Stack(directory, _SETTINGS, say=say)
    with contextlib.ExitStack() as ends:
        stack.up()
        ends.callback(stack.down)
        config = directory / 'conf' / 'nova.conf'
        program = stack.venv.program('nova-servicegroup')
        with say.step('recording'):
            watch = terminal.Recording(
                [program, '--config-file', str(config), 'watch']
            )
            ends.callback(watch.end)
            _show(stack, watch)
            watch.end()
        watch.save(file)


def _show(stack: stack_.Stack, watch: terminal.Recording) -> None:
    """A compute dies and comes back; then the backend is away."""
    victim = stack.hosts[1]
    watch.wait_for('3 \x1b[32mup', _PATIENCE)
    time.sleep(_CALM)
    watch.note(f'SIGKILL to nova-compute on {victim}')
    stack.kill(victim)
    watch.wait_for(f'{victim}: ', _PATIENCE)
    time.sleep(_CALM)
    watch.note(f'nova-compute on {victim} is started')
    stack.start(victim, wait=False)
    watch.wait_for(f'{victim}: ', _PATIENCE)
    time.sleep(_CALM)
    watch.note('ZooKeeper is stopped')
    stack.zookeeper.stop()
    time.sleep(_OUTAGE)
    watch.note('ZooKeeper is started')
    stack.zookeeper.start()
    watch.wait_for('recovered', _PATIENCE)
    time.sleep(_CALM)


if __name__ == '__main__':
    main()
