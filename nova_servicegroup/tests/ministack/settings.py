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

"""What a user can choose."""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib

from nova_servicegroup.tests.ministack import releases

#: ``mixed`` has the API and the scheduler on native threads, the conductor
#: and the computes on eventlet, as they are by themselves in 2026.1.
MODES = ('threading', 'eventlet', 'mixed')
_THREADED_IN_MIXED = ('api', 'scheduler')


@dataclasses.dataclass(frozen=True)
class Settings:
    """The shape of a stack.

    :param driver: Nova's ``servicegroup_driver``.
    :param mode: how Nova runs its services, one of ``MODES``.
    :param nova: its series, for instance ``31``.
    :param novas: ``{name: series}`` of Nova's processes that are of another
        release, which run as that one does by itself.
    :param workers: processes of each of API, conductor and scheduler.
    :param report_interval: Nova's option, shorter than its default of 10 s,
        so that nobody has to wait long.
    :param service_down_time: Nova's option, by default 15 s instead of 60 s.
    :param tick_ms: ZooKeeper's tick; sessions last at least two of them.
    :param stock: the names of Nova's processes that run without this package.
    :param overrides: ``{'group.key': 'value'}`` for all nova.conf files.
    :param own: the same for the file of one compute host, by its name.
    :param python_path: where Nova's processes find more modules.
    :param masakari: which of the settings of ``masakari/settings.csv``
        keystone and Masakari run with; without any there is neither.
    """

    driver: str = 'zk'
    mode: str = 'threading'
    nova: str = releases.DEFAULT
    novas: Mapping[str, str] = dataclasses.field(default_factory=dict)
    computes: int = 3
    workers: int = 2
    report_interval: int = 3
    service_down_time: int = 15
    tick_ms: int = 500
    stock: Sequence[str] = ()
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)
    own: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=dict
    )
    python_path: str = ''
    masakari: str = ''

    @property
    def hosts(self) -> list[str]:
        """The names of the compute hosts."""
        return [f'compute{number}' for number in range(1, self.computes + 1)]

    def threading(self, name: str) -> bool:
        """Tell whether one of Nova's processes is on native threads."""
        mode = self.mode
        if name in self.novas:
            mode = releases.find(self.novas[name]).modes[0]
        mixed = mode == 'mixed' and name in _THREADED_IN_MIXED
        return mode == 'threading' or mixed

    def save(self, file: pathlib.Path) -> None:
        """Write the settings down."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        file.write_text(text + '\n')


def load(file: pathlib.Path) -> Settings:
    """Read settings that were written down."""
    return Settings(**json.loads(file.read_text()))
