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


"""The pages for orchestrators: whether to restart a daemon, and to use it."""

from collections.abc import Sequence
from typing import Protocol

from nova_servicegroup.web import pages

LIVE, READY = '/healthz', '/readyz'


class Probed(Protocol):
    """A part of a daemon that is probed. Its methods do not wait.

    :ivar name: its name, printable
    """

    name: str

    def stuck(self) -> str | None:
        """Return in one line why only a restart helps, or None."""

    def unready(self) -> str | None:
        """Return in one line why it cannot be relied on now, or None."""


class Healthz(pages.Page):
    """The page that shows whether a daemon must be restarted."""

    def __init__(self, parts: Sequence[Probed]) -> None:
        self._parts = parts

    def answer(self, request: pages.Request) -> pages.Response:
        """Return 200, or 503 with the first reason."""
        for each in self._parts:
            problem = each.stuck()
            if problem is not None:
                return pages.text(503, f'{each.name}: {problem}')
        return pages.text(200, 'ok')


class Readyz(pages.Page):
    """The page that shows whether a daemon knows what it should."""

    def __init__(self, parts: Sequence[Probed]) -> None:
        self._parts = parts

    def answer(self, request: pages.Request) -> pages.Response:
        """Return 200, or 503 with a line for each part."""
        problems = [each.unready() for each in self._parts]
        if not any(problems):
            return pages.text(200, 'ok')
        lines = (
            f'{each.name}: {problem or "ready"}'
            for each, problem in zip(self._parts, problems, strict=True)
        )
        return pages.text(503, *lines)


def both(parts: Sequence[Probed]) -> dict[str, pages.Page]:
    """Return the two pages by path."""
    return {LIVE: Healthz(parts), READY: Readyz(parts)}
