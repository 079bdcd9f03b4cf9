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


"""Pictures of the status page for the documentation.

The page, its server and Chromium are real; the groups are those of the
fixture, in a story that tells of each state.
"""

import argparse
import io
import pathlib
import tempfile
import time
from unittest import mock

from oslo_config import cfg
from PIL import Image

from nova_servicegroup.exporter import metrics
from nova_servicegroup.exporter import page
from nova_servicegroup.exporter import watch
from nova_servicegroup import fixture
from nova_servicegroup import opts
from nova_servicegroup import services
from nova_servicegroup.tests.harness import browser
from nova_servicegroup.web import server

_OUTPUT = pathlib.Path(__file__).parents[1] / 'doc' / 'source' / 'admin'
_CONTROLLERS = ('controller1', 'controller2', 'controller3')
#: For each picture: how many computes, the scheme, and the size in pixels.
_PICTURES = {
    'status-light': (400, 'light', 1100, 1240),
    'status-dark': (10_000, 'dark', 1100, 900),
    'status-narrow': (10_000, 'light', 400, 900),
}


class _Table(services.NoTable):
    """A services table with these hosts, of which some are forced down."""

    def __init__(self, hosts: list[str], forced_down: set[str]) -> None:
        super().__init__('it has records only')
        self._hosts = hosts
        self._forced_down = forced_down

    def records(self, group: str) -> list[services.ServiceRef]:
        """See services.Table."""
        return [
            {
                'host': each,
                'topic': group,
                'forced_down': each in self._forced_down,
            }
            for each in self._hosts
        ]


class _Group:
    """A watched group, whose hosts are up."""

    def __init__(
        self, conf: cfg.ConfigOpts, name: str, hosts: list[str]
    ) -> None:
        self.members = fixture.ServiceGroupFixture(conf)
        self.members.setUp()
        self.members.api.give_table(_Table(hosts, set(hosts[-7:-6])))
        for each in hosts:
            self.members.set_up(each, name, proof_age=0.4)
        target = metrics.Metrics(conf.servicegroup_driver)
        self.watch = watch.GroupWatch(self.members.api, name, target)

    def read(self, ago: float) -> None:
        """Read the group as if it were so many seconds earlier."""
        now = time.time() - ago
        with mock.patch.object(time, 'time', return_value=now):
            self.watch.poll()


def _compute(conf: cfg.ConfigOpts, count: int) -> _Group:
    """Return a group of computes, some of which have had a bad hour."""
    hosts = [f'compute-{each:05}' for each in range(count)]
    group = _Group(conf, 'compute', hosts)
    members, now = group.members, time.time()
    group.read(4000)
    members.set_degraded(hosts[count // 3], 'compute', 'storage', now - 1391)
    group.read(1390)
    for each in range(count // 2, count // 2 + count // 40):
        members.set_down(hosts[min(each, count // 2 + 19)])
    members.set_down(hosts[count // 4 + 2])
    group.read(312)
    members.set_up(hosts[count // 4 + 2], proof_age=0.4)
    group.read(205)
    members.set_draining(hosts[3 * count // 4 + 5], since=now - 41)
    members.set_held(hosts[count // 8 + 6], proof_age=11.0)
    group.read(39)
    return group


def _serve(count: int) -> str:
    """Serve a page, for ever; return its URL."""
    conf = cfg.ConfigOpts()
    opts.register_opts(conf)
    conf([], project='nova', default_config_files=[])
    conf.set_override('servicegroup_driver', 'zk')
    groups = [_compute(conf, count)]
    for name in ('conductor', 'scheduler'):
        groups.append(_Group(conf, name, list(_CONTROLLERS)))
    with mock.patch('socket.gethostname', return_value='controller1'):
        pages = page.all_of(conf, [each.watch for each in groups])
    port = server.start('127.0.0.1', 0, pages)
    for each in groups:
        each.read(0)
    return server.url('127.0.0.1', port, '/')


def _small(picture: bytes) -> Image.Image:
    """Return a picture with few colours, which is half as large."""
    with Image.open(io.BytesIO(picture)) as found:
        return found.convert('RGB').quantize(
            method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(
        prog='tools/picture-status', description=__doc__
    )
    parser.add_argument('--output', type=pathlib.Path, default=_OUTPUT)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as directory:
        chromium = browser.Browser(pathlib.Path(directory, 'profile'))
        try:
            for name, (count, scheme, width, height) in _PICTURES.items():
                chromium.prefer(scheme)
                chromium.resize(width, height)
                chromium.open(_serve(count))
                picture = _small(chromium.picture())
                picture.save(output / f'{name}.png', optimize=True)
        finally:
            chromium.close()


if __name__ == '__main__':
    main()
