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


"""A way to servers on loopback, for network namespaces and to be counted."""

import asyncio
import contextlib
import threading

_CHUNK = 1 << 16


class Bridge(contextlib.ExitStack):
    """Forwards connections, in a thread of this process.

    :param host: the address to listen on
    :ivar received: how many bytes each target has sent back
    """

    def __init__(self, host: str = '127.0.0.1') -> None:
        super().__init__()
        self.received: dict[str, int] = {}
        self._host = host
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self.callback(thread.join, 10)
        self.callback(
            asyncio.run_coroutine_threadsafe, self._end(), self._loop
        )

    async def _end(self) -> None:
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        self._loop.call_later(0.1, self._loop.stop)

    def to(self, target: str) -> str:
        """Return a new address that leads to a target, as ``host:port``."""
        self.received[target] = 0
        opening = asyncio.run_coroutine_threadsafe(
            self._listen(target), self._loop
        )
        return opening.result(10)

    async def _listen(self, target: str) -> str:
        async def accept(
            near: asyncio.StreamReader, back: asyncio.StreamWriter
        ) -> None:
            await self._forward(target, near, back)

        listener = await asyncio.start_server(accept, self._host, 0)
        port = listener.sockets[0].getsockname()[1]
        return f'{self._host}:{port}'

    async def _forward(
        self,
        target: str,
        near: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        host, _, port = target.rpartition(':')
        try:
            far, forth = await asyncio.open_connection(host, int(port))
        except OSError:
            back.transport.abort()
            return
        pumps = [
            asyncio.ensure_future(self._pump(near, forth, None)),
            asyncio.ensure_future(self._pump(far, back, target)),
        ]
        try:
            # When one side ends, so does the other.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (forth, back):
                each.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        target: str | None,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if target is not None:
                    self.received[target] += len(data)
                sink.write(data)
                await sink.drain()
