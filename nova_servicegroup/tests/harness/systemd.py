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

"""A stand-in for systemd: hears what a daemon reports."""

import socket
import tempfile
import time


class Systemd:
    """The socket to which a daemon reports.

    :param watchdog: seconds in which the daemon must show that it lives
    :ivar env: the environment of the daemon
    """

    def __init__(self, watchdog: float) -> None:
        self._directory = tempfile.TemporaryDirectory()
        path = f'{self._directory.name}/notify'
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self.env = {
            'NOTIFY_SOCKET': path,
            'WATCHDOG_USEC': str(int(1e6 * watchdog)),
        }

    def wait(self, part: str, within: float) -> str:
        """Return the next report that contains part.

        :raises TimeoutError: there is none, in time
        """
        end = time.monotonic() + within
        while True:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            report = self._socket.recv(65536).decode()
            if part in report:
                return report

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        self._directory.cleanup()
