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


"""The pages of an HTTP server: what is asked for, and what is answered."""

import abc
from collections.abc import Mapping
import dataclasses
from typing import Protocol
import urllib.parse

#: The most parameters of a query.
_MOST_FIELDS = 16

HTML = 'text/html; charset=utf-8'
TEXT = 'text/plain; charset=utf-8'


class Headers(Protocol):
    """The headers of a request."""

    def get(self, name: str, failobj: str = ...) -> str:
        """Return the value of a header, or failobj."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A request.

    :ivar path: without the query
    :ivar query: as it came, untrusted
    """

    path: str
    query: str
    headers: Headers

    def fields(self) -> dict[str, str]:
        """Return the first value of each parameter of the query.

        :raises ValueError: there are too many
        """
        found = urllib.parse.parse_qs(
            self.query, max_num_fields=_MOST_FIELDS, errors='replace'
        )
        return {name: values[0] for name, values in found.items()}


@dataclasses.dataclass(frozen=True)
class Response:
    """A response, whose body is not sent if only the head was asked for."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def text(status: int, *lines: str) -> Response:
    """Return a response of plain text."""
    body = ''.join(f'{line}\n' for line in lines)
    return Response(status, body.encode())


class Page(abc.ABC):
    """What a server has at a path."""

    @abc.abstractmethod
    def answer(self, request: Request) -> Response:
        """Return the response to a request. Must not ask a backend.

        :raises ValueError: the query cannot be understood
        """
