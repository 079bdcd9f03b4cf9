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

"""Which deprecated options do the files of a configuration have?"""

from collections.abc import Iterator
import pathlib
from typing import NamedTuple

from oslo_config import cfg

from nova_servicegroup import opts


class Deprecated(NamedTuple):
    """A name of an option, and what to do about it."""

    group: str
    name: str
    advice: str


def written(conf: cfg.ConfigOpts) -> Iterator[Deprecated]:
    """Return those that a file has; oslo.config hides which it took."""
    files = list(_files(conf))
    for each in _all():
        if any(each.name in file.get(each.group, {}) for file in files):
            yield each


def _all() -> Iterator[Deprecated]:
    for group, options in opts.list_opts():
        for option in options:
            for old in option.deprecated_opts:
                yield Deprecated(
                    group or 'DEFAULT',
                    str(old.name),
                    f'Call it {option.name}.',
                )
            if option.deprecated_for_removal:
                yield Deprecated(
                    group or 'DEFAULT',
                    option.name,
                    option.deprecated_reason or 'Remove it.',
                )


def _files(conf: cfg.ConfigOpts) -> Iterator[dict[str, dict[str, list[str]]]]:
    paths = list(conf.config_file or ())
    for directory in conf.config_dir or ():
        paths.extend(map(str, sorted(pathlib.Path(directory).glob('*.conf'))))
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        yield sections
