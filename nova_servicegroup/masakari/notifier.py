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

"""Watches nova-compute of all hosts, and notifies masakari of dead ones."""

from collections.abc import Mapping
import threading
import time

from oslo_log import log as logging

from nova_servicegroup.drivers.common import backoff
from nova_servicegroup.drivers import views
from nova_servicegroup import escaping
from nova_servicegroup import exceptions
from nova_servicegroup.masakari import client
from nova_servicegroup.masakari import decisions
from nova_servicegroup.watch import inventory

LOG = logging.getLogger(__name__)

#: The longest pause between two attempts, in seconds.
_LONGEST = 60.0
#: Seconds after which a reading is too old, besides the interval.
_OLD = 10.0
_NAMED = 100


class Notifier:
    """One thread that reads, decides and notifies.

    :param interval: seconds from one reading to the next
    """

    def __init__(
        self,
        reader: inventory.Reader,
        cases: decisions.Cases,
        masakari: client.Client,
        interval: float,
    ) -> None:
        self._reader = reader
        self._cases = cases
        self._masakari = masakari
        self._interval = interval
        self._entries: Mapping[str, inventory.Entry] = {}
        self._lost: dict[str | None, list[str]] = {}
        # Whether masakari's hosts could not be read.
        self._unread = False
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until stop is called."""
        while not self._stopped.is_set():
            try:
                self.work()
            except Exception:
                LOG.exception('The servicegroup driver of hostmonitor failed')
            self._stopped.wait(self._interval)

    def stop(self) -> None:
        """Have run return, after the request that it may wait for."""
        self._stopped.set()

    def work(self) -> None:
        """Read the group once, and act on what is due until that fails."""
        seen = self._reader.read()
        if not self._is_news(seen.view):
            # Nothing is known now, and so nobody is dead.
            return
        self._log_unread(seen.unregistered)
        self._entries = seen.entries
        now = time.monotonic()
        self._cases.update(seen.entries, self._lived_at, now)
        for case in self._cases.due(self._domain_of, now):
            if self._stopped.is_set() or not self._act(case):
                break
        self._log_lost()

    def _log_unread(self, error: exceptions.BackendError | None) -> None:
        """Log once that masakari cannot be asked which hosts there are.

        Those that are down are not seen then.
        """
        if error is not None and not self._unread:
            LOG.warning(
                'The hosts of masakari cannot be read (%s). Those that die '
                'are not reported until they can.',
                error,
            )
        self._unread = error is not None

    def _is_news(self, view: views.View) -> bool:
        """Return whether the backend has confirmed a reading lately."""
        if view.error is not None or view.age is None:
            return False
        return view.age < _OLD + self._interval

    def _lived_at(self, host: str) -> float | None:
        age = self._reader.proof_age(host)
        return None if age is None else time.time() - age

    def _domain_of(self, host: str) -> str | None:
        entry = self._entries.get(host)
        return None if entry is None else entry.domain

    def _act(self, case: decisions.Case) -> bool:
        """Act on an event; return whether that has not failed."""
        try:
            objection = self._settle(case)
        except client.UnknownHost as error:
            objection = str(error)
        except exceptions.BackendError as error:
            self._retry(case, 'masakari cannot be notified', f': {error}')
            return False
        if objection is not None:
            self._retry(case, objection)
        return True

    def _retry(
        self, case: decisions.Case, problem: str, more: str = ''
    ) -> None:
        """Have a case tried again; log each problem once."""
        if case.problem != problem:
            LOG.warning('%s: %s%s. Trying again.', _name(case), problem, more)
        pause = backoff.backoff(case.failures, _LONGEST)
        case.fail(problem, time.monotonic() + pause)

    def _settle(self, case: decisions.Case) -> str | None:
        """Let masakari know of an event; return why not, or None.

        :raises BackendError: masakari or Nova cannot be asked
        """
        if not case.is_death:
            self._masakari.send(case.host, client.STARTED)
            self._cases.settle(case, time.monotonic())
            return None
        if self._masakari.knows(case.host, case.lived_at):
            LOG.info('%s is dead, and masakari knows.', _name(case))
            self._cases.settle(case, time.monotonic())
            return None
        if not self._cases.may_send(case, self._domain_of, time.monotonic()):
            return None
        return self._masakari.objection(case.host) or self._send(case)

    def _send(self, case: decisions.Case) -> str | None:
        if not self._masakari.send(case.host, client.STOPPED):
            # It knows by now, or of an earlier death: asking it again tells.
            return 'masakari refuses it'
        LOG.warning('%s is dead: masakari was notified.', _name(case))
        self._cases.settle(case, time.monotonic())
        return None

    def _log_lost(self) -> None:
        lost = self._cases.lost(self._domain_of, time.monotonic())
        for domain, hosts in lost.items():
            if domain not in self._lost:
                LOG.error(
                    '%s is lost: %d silent hosts. masakari is not notified of '
                    'them, see [servicegroup_masakari] on_domain_loss: %s',
                    _words(domain),
                    len(hosts),
                    escaping.names(hosts, _NAMED),
                )
        for domain in self._lost.keys() - lost.keys():
            LOG.info('%s is not lost any more.', _words(domain))
        self._lost = lost


def _name(case: decisions.Case) -> str:
    return f'Host {escaping.printable(case.host)}'


def _words(domain: str | None) -> str:
    if domain is None:
        return 'The domain of hosts without one'
    return f'Domain {escaping.printable(domain)}'
