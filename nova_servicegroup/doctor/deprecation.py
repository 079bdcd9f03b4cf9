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

"""Warns of deprecated options in the files of a configuration."""

from collections.abc import Iterator
import pathlib

from oslo_config import cfg

from nova_servicegroup.doctor import finding
from nova_servicegroup import opts

#: The group and the name of an option, and what to do about it.
_Deprecated = tuple[str, str, str]


def judge(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    """Return a warning for each deprecated option that a file has.

    The files are read again, as oslo.config hides which name it used.
    """
    files = list(_files(conf))
    for group, name, advice in _all():
        if any(name in file.get(group, {}) for file in files):
            yield finding.warning(
                f'[{group}] {name} is deprecated.',
                'A later release will not know it.',
                advice,
            )


def _all() -> Iterator[_Deprecated]:
    for group, options in opts.list_opts():
        section = group or 'DEFAULT'
        for option in options:
            for old in option.deprecated_opts:
                yield section, str(old.name), f'Use {option.name} instead.'
            if option.deprecated_for_removal:
                advice = option.deprecated_reason or 'Remove it.'
                yield section, option.name, advice


def _files(conf: cfg.ConfigOpts) -> Iterator[dict[str, dict[str, list[str]]]]:
    paths = list(conf.config_file or ())
    for directory in conf.config_dir or ():
        paths.extend(map(str, sorted(pathlib.Path(directory).glob('*.conf'))))
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        yield sections
