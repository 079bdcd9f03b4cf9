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


"""Nova's published wheels, unpacked one at a time."""

import fcntl
import subprocess
import sys
import zipfile

from nova_servicegroup.tests.ministack import venv

#: The series that this package promises to work with, newest first.
SERIES = ('34.0.0', '33.*', '32.*')


def fetch(series):
    """Return the path of a wheel of nova; downloads it the first time.

    :param series: a version as pip compares it, such as ``33.*``
    """
    directory = venv.CACHE / 'wheels' / series.rstrip('.*')
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / 'lock', 'w') as lock:
        # Several workers run these tests.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(directory.glob('nova-*.whl')):
            _download(series, directory)
    return max(directory.glob('nova-*.whl'), key=lambda it: it.stat().st_mtime)


def _download(series, directory):
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'download',
            '--quiet',
            '--no-deps',
            '--only-binary',
            ':all:',
            '--dest',
            str(directory),
            f'nova=={series}',
        ],
        check=True,
    )


def unpack(wheel, directory):
    """Unpack a wheel, without Nova's own tests."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(
            directory,
            [
                name
                for name in archive.namelist()
                if not name.startswith('nova/tests/')
            ],
        )
