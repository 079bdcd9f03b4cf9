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

"""Watches a group, and enters into the ledger what it sees."""

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import exceptions
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import loop
from nova_servicegroup.watch import watcher

LOG = logging.getLogger(__name__)


class Watch(loop.Loop):
    """Watches one group."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        watched: watcher.Watcher,
        book: ledger.Ledger,
    ) -> None:
        super().__init__('watch', conf.servicegroup.refresh_interval)
        self._watcher = watched
        self._group = watched.group
        self._ledger = book
        self._begun = False
        self._outage = loop.Outage()

    def work(self) -> None:
        """Look at the group once."""
        changes = self._watcher.look()
        seen = self._watcher.last
        if seen is None:
            return
        if self._begun:
            self._ledger.note(changes)
            self._ledger.forget(self._group, seen.entries)
        elif seen.view.age is not None:
            # Before the backend has answered once, it is only presumed who is
            # up, and who turns out not to be is no transition.
            self._begun = True
            self._ledger.begin(
                self._group,
                {host: each.state for host, each in seen.entries.items()},
            )
            LOG.info(
                'Watching group %s: %d services.',
                self._group,
                len(seen.entries),
            )
        self._log_records(seen.unregistered)

    def _log_records(self, error: exceptions.BackendError | None) -> None:
        """Log once that Nova's records cannot be read, and that they can."""
        if error is None:
            if self._outage.over() is not None:
                LOG.info('Group %s: its records can be read.', self._group)
        elif self._outage.failed():
            LOG.warning(
                'Group %s: it is not known who is registered or forced '
                'down: %s',
                self._group,
                error,
            )
