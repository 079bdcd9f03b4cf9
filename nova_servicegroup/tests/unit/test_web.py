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


"""The HTTP server of the daemons, and the pages for orchestrators."""

from http import client
import socket
import threading
from typing import Any

from nova_servicegroup.tests import base
from nova_servicegroup.web import pages
from nova_servicegroup.web import probes
from nova_servicegroup.web import server


def request(path: str, query: str = '', **headers: str) -> pages.Request:
    """Return a request of a page."""
    return pages.Request(path, query, headers)


class Part:
    """A part of a daemon with the problems that a test sets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str | None] = [None, None]

    def stuck(self) -> str | None:
        return self.problems[0]

    def unready(self) -> str | None:
        return self.problems[1]


class ProbesTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.parts = [Part('compute'), Part('conductor')]
        self.pages = probes.both(self.parts)

    def told(self) -> list[tuple[int, str]]:
        """Return what the two pages tell: live, ready."""
        answers = [
            self.pages[path].answer(request(path))
            for path in ('/healthz', '/readyz')
        ]
        return [(each.status, each.body.decode()) for each in answers]

    def test_all_is_well(self) -> None:
        self.assertEqual([(200, 'ok\n')] * 2, self.told())

    def test_one_that_is_not_ready_needs_no_restart(self) -> None:
        self.parts[1].problems[1] = 'blind'
        self.assertEqual(
            [(200, 'ok\n'), (503, 'compute: ready\nconductor: blind\n')],
            self.told(),
        )

    def test_one_that_is_stuck(self) -> None:
        for each in self.parts:
            each.problems[0] = 'hangs'
        self.assertEqual((503, 'compute: hangs\n'), self.told()[0])


class ConnectionsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.open = server.Connections(2, 10.0, wait=0.0)
        self.ends = [self.pair() for _ in range(3)]

    def pair(self) -> tuple[socket.socket, socket.socket]:
        both = socket.socketpair()
        for each in both:
            each.settimeout(0.0)
            self.addCleanup(each.close)
        return both

    def is_cut(self, number: int) -> bool:
        """Return whether a client has seen the end of its connection."""
        try:
            return self.ends[number][1].recv(1) == b''
        except BlockingIOError:
            return False

    def admit(self, number: int) -> bool:
        return self.open.admit(self.ends[number][0])

    def test_one_that_takes_too_long_is_cut_whatever_it_does(self) -> None:
        self.admit(0)
        self.clock.advance(5)
        self.admit(1)
        for _ in range(4):
            self.clock.advance(1)
            self.ends[0][1].send(b'x')
            self.open.cut_overdue()
        self.assertEqual([False, False], [self.is_cut(0), self.is_cut(1)])
        self.clock.advance(1)
        self.open.cut_overdue()
        self.assertEqual([True, False], [self.is_cut(0), self.is_cut(1)])

    def test_of_too_many_the_oldest_is_cut(self) -> None:
        self.assertEqual([True, True], [self.admit(0), self.admit(1)])
        # Its thread has not ended yet.
        self.assertFalse(self.admit(2))
        self.assertEqual([True, False], [self.is_cut(0), self.is_cut(1)])
        self.open.leave(self.ends[0][0])
        self.assertTrue(self.admit(2))
        self.assertEqual([False, False], [self.is_cut(1), self.is_cut(2)])

    def test_one_that_has_ended_makes_room(self) -> None:
        for _ in range(100):
            for number in range(3):
                self.assertTrue(self.admit(number))
                self.open.leave(self.ends[number][0])
        self.assertEqual([False] * 3, [self.is_cut(each) for each in range(3)])


class Connections(server.Connections):
    """Connections with an event for the first one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.admitted = threading.Event()

    def admit(self, connection: socket.socket) -> bool:
        found = super().admit(connection)
        self.admitted.set()
        return found


class Broken(pages.Page):
    """A page that has an error."""

    def answer(self, request: pages.Request) -> pages.Response:
        raise KeyError('broken')


class Echo(pages.Page):
    """A page that shows its parameters."""

    def answer(self, request: pages.Request) -> pages.Response:
        return pages.text(200, repr(request.fields()))


class ServerTest(base.TestCase):
    """A real server, and clients of all kinds."""

    def setUp(self) -> None:
        super().setUp()
        self.set_time()
        self.open = Connections(3, 10.0)
        self.served = server.Server(
            '127.0.0.1',
            0,
            {'/echo': Echo(), '/broken': Broken()},
            None,
            self.open,
        )
        self.addCleanup(self.served.server_close)
        serving = threading.Thread(
            target=self.served.serve_forever, args=(0.01,), daemon=True
        )
        serving.start()
        self.addCleanup(serving.join)
        self.addCleanup(self.served.shutdown)

    def connect(self) -> socket.socket:
        made = socket.create_connection(self.served.server_address, 10)
        self.addCleanup(made.close)
        return made

    def fetch(
        self, target: str, method: str = 'GET'
    ) -> tuple[int, str, client.HTTPMessage]:
        """Return the status, the body and the headers of a response."""
        made = client.HTTPConnection(*self.served.server_address, timeout=10)
        self.addCleanup(made.close)
        made.putrequest(method, target, skip_host=True)
        made.endheaders()
        found = made.getresponse()
        return found.status, found.read().decode(), found.msg

    def test_each_path_has_its_page(self) -> None:
        for target, status in (
            ('/echo', 200),
            ('/echo?', 200),
            ('/', 404),
            ('/echo/', 404),
            ('/Echo', 404),
            # As http.server takes it.
            ('//echo', 200),
            ('/../echo', 404),
            ('/%65cho', 404),
            ('http://[/echo', 404),
            ('*', 404),
        ):
            self.assertEqual(status, self.fetch(target)[0], target)

    def test_parameters(self) -> None:
        for query, fields in (
            ('host=a%20b+c&page=1', {'host': 'a b c', 'page': '1'}),
            ('host=1&host=2', {'host': '1'}),
            ('host=%ff%00', {'host': '\ufffd\x00'}),
            ('host=&page', {}),
        ):
            self.assertEqual(f'{fields!r}\n', self.fetch(f'/echo?{query}')[1])

    def test_too_many_parameters_are_refused(self) -> None:
        self.assertEqual(400, self.fetch('/echo?' + 'a=1&' * 100)[0])

    def test_a_page_that_has_an_error(self) -> None:
        status, body, _ = self.fetch('/broken')
        self.assertEqual((500, 'see the log\n'), (status, body))
        self.assertIn('KeyError', self.log.output)

    def test_only_the_head(self) -> None:
        for target in ('/echo?a=b', '/', '/broken'):
            status, body, headers = self.fetch(target)
            found = self.fetch(target, 'HEAD')
            self.assertEqual((status, ''), found[:2])
            self.assertEqual(headers['Content-Length'], str(len(body)))
            self.assertEqual(
                headers['Content-Length'], found[2]['Content-Length']
            )

    def test_other_methods_are_refused(self) -> None:
        for method in ('POST', 'PUT', 'OPTIONS', 'TRACE'):
            self.assertEqual(501, self.fetch('/echo', method)[0])

    def test_nothing_is_kept_or_guessed_and_no_version_is_told(self) -> None:
        headers = self.fetch('/echo')[2]
        self.assertEqual('no-store', headers['Cache-Control'])
        self.assertEqual('nosniff', headers['X-Content-Type-Options'])
        self.assertEqual('nova-servicegroup', headers['Server'])

    def test_a_client_that_drips_is_cut(self) -> None:
        client = self.connect()
        client.sendall(b'GET /echo HTTP/1.0\r\nX: ')
        self.assertTrue(self.open.admitted.wait(10))
        client.sendall(b'x')
        self.clock.advance(10)
        self.assertEqual(b'', client.recv(1))

    def test_many_silent_clients_keep_no_other_out(self) -> None:
        before = threading.active_count()
        silent = [self.connect() for _ in range(50)]
        for _ in range(5):
            self.assertEqual(200, self.fetch('/echo')[0])
        self.assertLessEqual(threading.active_count(), before + 3)
        self.assertEqual(50, len(silent))

    def test_nonsense_is_answered_and_not_logged(self) -> None:
        for said in (b'\x00\xff\x1b[2J\r\n\r\n', b'GET\n', b'\r\n', b''):
            client = self.connect()
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
        self.assertEqual('', self.log.output)
