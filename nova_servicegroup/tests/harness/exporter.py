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


"""A real nova-servicegroup-exporter."""

from collections.abc import Mapping, Sequence
import pathlib
import sys

from nova_servicegroup.tests.harness import pages
from nova_servicegroup.tests.harness import ports
from nova_servicegroup.tests.harness import process

PROGRAM = str(
    pathlib.Path(sys.executable).with_name('nova-servicegroup-exporter')
)


class Exporter(process.Process):
    """One exporter process, on a port of its own.

    :param config: the configuration file
    :param options: more of it, for its own group
    """

    def __init__(
        self,
        directory: pathlib.Path,
        config: pathlib.Path,
        options: Mapping[str, object] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = ports.free_port()
        own = directory / 'exporter.conf'
        lines = {'port': self.port, **(options or {})}
        own.write_text(
            '[servicegroup_exporter]\n'
            + '\n'.join(f'{name} = {value}' for name, value in lines.items())
        )
        super().__init__(
            [
                *prefix,
                PROGRAM,
                f'--config-file={config}',
                f'--config-file={own}',
            ],
            directory,
        )

    def scrape(self, timeout: float = 5.0) -> str:
        """Return what it exports.

        :raises OSError: it does not answer, in time
        """
        return self.fetch('/metrics', timeout)[1]

    def fetch(
        self, path: str, timeout: float = 5.0, method: str = 'GET'
    ) -> tuple[int, str]:
        """Return the status and the body of a page.

        :raises OSError: it does not answer, in time
        """
        return pages.fetch(self.url(path), timeout, method)

    def url(self, path: str) -> str:
        """Return the URL of a page."""
        return f'http://127.0.0.1:{self.port}{path}'
