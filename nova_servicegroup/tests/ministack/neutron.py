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

"""A stand-in for neutron: whatever is listed, there is none of it."""

import http.server
import json
import sys
from urllib import parse


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each GET with an empty list of what was asked for."""

    def do_GET(self) -> None:
        """Answer ``/v2.0/ports.json?...`` with ``{"ports": []}``."""
        path = parse.urlsplit(self.path).path
        name = path.rstrip('/').rpartition('/')[2].removesuffix('.json')
        self._answer({name.replace('-', '_'): []})

    def _answer(self, body: dict[str, list[str]]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == '__main__':
    address = ('127.0.0.1', int(sys.argv[1]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
