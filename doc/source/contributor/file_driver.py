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

"""A driver whose backend is a directory that all hosts share.

A group is a subdirectory, a member is a file in it, and a heartbeat updates
the file's modification time. The clocks of all hosts must agree.
"""

from collections.abc import Iterator
import contextlib
import pathlib
import time
import urllib.parse

from oslo_config import cfg

from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import updates
from nova_servicegroup.drivers import views
from nova_servicegroup import evidence
from nova_servicegroup import exceptions
from nova_servicegroup import heartbeat
from nova_servicegroup import membership
from nova_servicegroup import observer
from nova_servicegroup import opts
from nova_servicegroup import process
from nova_servicegroup import reporter

OPTS = [
    cfg.StrOpt('directory', help='The directory that all hosts share.'),
]


def list_opts():
    """Return the options, for oslo-config-generator."""
    return [('file_driver', OPTS)]


class FileDriver(base.Driver):
    """Members are files that are not older than service_down_time."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        conf.register_opts(OPTS, group='file_driver')
        if not conf.file_driver.directory:
            raise exceptions.ConfigurationError(
                '[file_driver] directory', None, 'the path of a directory'
            )
        # Seconds until a dead member is down, for nova-servicegroup simulate.
        self.found_within = float(opts.service_down_time(conf))
        self._root = pathlib.Path(conf.file_driver.directory)
        self._reporters = process.PerProcess(dict)
        self._observers = process.PerProcess(dict)

    def join(self, member, group, service):
        """See base.Driver. The first heartbeat is run here."""
        self.leave(member, group)
        file = self._root / _name(group) / _name(member)
        made = reporter.Reporter(
            f'Member {member} of group {group} (file)',
            _Member(file),
        )
        self._reporters.get()[member, group] = made
        made.run()
        made.start(
            service,
            service.report_interval,
            self.conf.servicegroup.leave_on_stop,
        )

    def leave(self, member, group):
        """See base.Driver."""
        made = self._reporters.get().pop((member, group), None)
        if made is not None:
            made.stop()

    def reporters(self):
        """See base.Driver."""
        return self._reporters.get().copy()

    def is_up(self, service_ref):
        """See base.Driver. The observer reads once in refresh_interval."""
        try:
            seen = self._observer(base.group_of(service_ref))
            return seen.is_up(service_ref['host'])
        except Exception:
            return base.presume_up(service_ref)

    def updated_time(self, service_ref):
        """See base.Driver."""
        seen = self._observer(base.group_of(service_ref))
        seen.refresh()
        return updates.newer(seen.proof_age(service_ref['host']), service_ref)

    def view(self, group, detailed=False):
        """See base.Driver. The processes of a member are not known."""
        return views.view_of(self._observer(group), group, lambda host: ())

    def close(self):
        """See base.Driver."""
        for member, group in list(self._reporters.get()):
            self.leave(member, group)
        for seen in self._observers.get().values():
            seen.close()

    def check(self):
        """See base.Driver."""
        with _translated():
            groups = len(list(self._root.iterdir()))
        return f'{self._root} answers, with {groups} groups.'

    def _observer(self, group):
        made = self._observers.get()
        if group not in made:
            made[group] = base.observe(
                self.conf,
                f'Group {group} (file)',
                _Group(self.conf, self._root / _name(group)),
                # After an outage, members need time for a heartbeat.
                settle_time=2.0 * self.conf.report_interval,
            )
        return made[group]


class _Member(heartbeat.Renewable):
    """Renews one member."""

    def __init__(self, file):
        self._file = file

    def beat(self):
        """See heartbeat.Renewable."""
        with _translated():
            # The shared directory itself must exist, so create no parents.
            self._file.parent.mkdir(exist_ok=True)
            self._file.touch()

    def leave(self):
        """See heartbeat.Renewable."""
        with _translated():
            self._file.unlink(missing_ok=True)


class _Group(observer.Source):
    """Reads one group."""

    def __init__(self, conf, directory):
        self._oldest = opts.service_down_time(conf)
        self._directory = directory
        self._names = {}

    def name(self, host):
        """See observer.Source."""
        return self._names.get(host, host)

    def read(self, wait):
        """See observer.Source."""
        oldest = time.time() - self._oldest
        with _translated():
            if self._directory not in self._directory.parent.iterdir():
                # No member has joined yet, or the directory was removed.
                return evidence.Reading(
                    frozenset(), 'the directory is gone', complete=False
                )
            files = list(self._directory.iterdir())
            beating = [each for each in files if _last_beat(each) >= oldest]
        names = [urllib.parse.unquote(each.name) for each in beating]
        self._names = {membership.canonical(each): each for each in names}
        return evidence.Reading(set(self._names))


def _last_beat(file):
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # The member has just left.
        return 0.0


def _name(name):
    """Return a valid file name, also for a host named ".." or "a/b"."""
    return urllib.parse.quote(name, safe='').replace('.', '%2E')


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translate errors of the file system to BackendError."""
    try:
        yield
    except OSError as error:
        raise exceptions.BackendError('directory', str(error)) from error
