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


"""A port that passes connections on, and lets those that there are die.

Run as a program, with the address of the server and a port, it is one that can
be stopped with SIGSTOP: then nothing passes, and nothing ends.
"""

import contextlib
import socket
import sys
import threading
import time


class Proxy:
    """Passes connections to a server on.

    :param address: of the server, as ``host:port``
    :param host: the address to listen on
    :param latency: seconds by which each connection's first answer is late
    :param port: to listen on; 0: a free one
    :ivar port: to which to connect instead
    :ivar address: the same as ``host:port``
    """

    def __init__(
        self,
        address: str,
        host: str = '127.0.0.1',
        latency: float = 0.0,
        port: int = 0,
    ) -> None:
        self.latency = latency
        name, _, behind = address.rpartition(':')
        self._server = name, int(behind)
        self._listening = socket.create_server((host, port))
        self.port: int = self._listening.getsockname()[1]
        self.address = f'{host}:{self.port}'
        self._sockets: set[socket.socket] = set()
        self._dead: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._received = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def received(self) -> int:
        """How many bytes the server has sent."""
        return self._received

    def kill_connections(self) -> None:
        """Pass nothing on for the connections there are, nor end them."""
        self._dead.update(self._sockets)

    def close(self) -> None:
        """End all."""
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(
                    target=self._serve, args=[client], daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        self._sockets |= {client, server}
        back = threading.Thread(
            target=self._pass, args=[server, client, True], daemon=True
        )
        back.start()
        self._pass(client, server)
        back.join()
        for each in {client, server} - self._dead:
            each.close()
        self._sockets -= {client, server} - self._dead

    def _pass(
        self, source: socket.socket, target: socket.socket, back: bool = False
    ) -> None:
        late = self.latency if back else 0.0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if back:
                    with self._lock:
                        self._received += len(data)
                    time.sleep(late)
                    late = 0.0
                if source not in self._dead:
                    target.sendall(data)
        # When one side ends, so does the other.
        if source not in self._dead:
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Pass connections on until killed."""
    Proxy(sys.argv[1], port=int(sys.argv[2]))
    threading.Event().wait()


if __name__ == '__main__':
    main()
