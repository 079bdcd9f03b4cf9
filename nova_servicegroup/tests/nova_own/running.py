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

"""Running some of Nova's tests with one Python."""

from collections.abc import Iterable, Mapping
import io
import os
import pathlib
import subprocess
import tempfile
from typing import Any

import subunit
import testtools

from nova_servicegroup.tests.ministack import releases
from nova_servicegroup.tests.nova_own import comparison

_CHOSEN = pathlib.Path(__file__).with_name('chosen')
_LOADER = 'test_chosen'
_NAMES = 'NOVA_SERVICEGROUP_NOVA_TESTS'
_ENVIRONMENT = {
    # As in Nova's tox.ini.
    'OS_STDOUT_CAPTURE': '1',
    'OS_STDERR_CAPTURE': '1',
    'OS_TEST_TIMEOUT': '160',
    'PYTHONPATH': '',
}
_STATUS = {
    'success': comparison.PASSED,
    'xfail': comparison.PASSED,
    'skip': comparison.SKIPPED,
}


def environment(
    options: Mapping[str, str], release: releases.Release
) -> dict[str, str]:
    """Return what Nova's tests run with, as its services do by themselves.

    :param options: of Nova, ``group.name``; a test that sets them itself goes
        before
    """
    threads = {}
    if release.modes[0] == 'threading':
        # As Nova runs by default.
        threads['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = 'True'
    named = {
        f'OS_{name.upper().replace(".", "__")}': value
        for name, value in options.items()
    }
    return {**_ENVIRONMENT, **threads, **named}


def command(python: str, name: str, settings: Mapping[str, str]) -> str:
    """Return a line for the shell that runs one test alone."""
    alone = {**settings, 'PYTHONPATH': str(_CHOSEN), _NAMES: name}
    shown = ' '.join(f'{name}={value}' for name, value in alone.items())
    return f'{shown} {python} -m testtools.run {_LOADER}'


def run(
    python: str,
    names: Iterable[str],
    settings: Mapping[str, str],
    workers: int = 1,
) -> dict[str, comparison.Outcome]:
    """Run tests of Nova; return how each has ended.

    :param names: of modules, classes or tests
    :param settings: see environment
    :raises RuntimeError: no test has run
    """
    variables = {**os.environ, **settings, _NAMES: ' '.join(names)}
    stestr = [python, '-m', 'stestr', '--test-path', str(_CHOSEN)]
    stestr += ['--top-dir', str(_CHOSEN)]
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [*stestr, 'run', '--subunit', '--concurrency', str(workers)],
            cwd=directory,
            env=variables,
            capture_output=True,
        )
    outcomes = _outcomes(done.stdout)
    if not outcomes:
        raise RuntimeError(done.stderr.decode(errors='replace')[-5000:])
    return outcomes


def _outcomes(stream: bytes) -> dict[str, comparison.Outcome]:
    found: dict[str, comparison.Outcome] = {}

    def note(test: dict[str, Any]) -> None:
        status = _STATUS.get(test['status'], comparison.FAILED)
        told = ''
        if status == comparison.FAILED:
            told = '\n'.join(
                f'{name}: {each.as_text()}'
                for name, each in test['details'].items()
            )
        found[test['id']] = comparison.Outcome(status, told)

    result = testtools.StreamToDict(note)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(
        io.BytesIO(stream), non_subunit_name='stdout'
    ).run(result)
    result.stopTestRun()
    return found
