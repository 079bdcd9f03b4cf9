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


"""The monitor: watches, attends the election and announces."""

from collections.abc import Callable
import socket
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging

from nova_servicegroup import api
from nova_servicegroup.drivers import gathering
from nova_servicegroup import exceptions
from nova_servicegroup.monitor import announcer
from nova_servicegroup.monitor import election
from nova_servicegroup.monitor import ledger
from nova_servicegroup.monitor import sender
from nova_servicegroup import watcher

LOG = logging.getLogger(__name__)

#: Seconds by which one monitor may see later than another: intervals, but not
#: less than this.
_SLACK_INTERVALS = 3
_SLACK = 5.0

#: Seconds between two looks whether there is something to announce.
_ANNOUNCE_INTERVAL = 0.1

#: Seconds that a clean stop may take to deliver what is pending, and then to
#: leave the other monitors.
_FLUSH = 2.0
_LEAVE = 1.0


class Monitor:
    """A service of oslo.service.

    :raises ServiceGroupError: an option cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts, servicegroup: api.API) -> None:
        _check_list(conf, 'groups', 'the names of groups')
        _check_list(conf, 'topics', 'the names of topics')
        self._api = servicegroup
        self._interval = conf.servicegroup.refresh_interval
        self._ledger = ledger.Ledger(
            max(_SLACK, _SLACK_INTERVALS * self._interval)
        )
        self._watchers = [
            watcher.Watcher(servicegroup, group)
            for group in conf.servicegroup_monitor.groups
        ]
        self._unregistered: set[str] = set()
        host = conf.host if 'host' in conf else socket.gethostname()
        self._election = _election(conf, self._ledger, host)
        self._announcer = announcer.Announcer(
            self._ledger,
            self._election.leads,
            sender.Sender(conf, f'nova-servicegroup-monitor:{host}').send,
        )
        self._watching = _Loop('watch', self._watch, self._interval)
        self._attending = _Loop(
            'attend', self._election.attend, self._election.interval
        )
        self._announcing = _Loop(
            'announce', self._announcer.announce, _ANNOUNCE_INTERVAL
        )
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin."""
        for each in (self._watching, self._attending, self._announcing):
            each.start()

    def stop(self, graceful: bool = False) -> None:
        """Deliver what is pending and leave, both in bounded time."""
        end = time.monotonic() + _FLUSH
        self._watching.stop(0.0)
        self._flush(end)
        self._announcing.stop(max(0.0, end - time.monotonic()))
        self._linger(end)
        self._attending.stop(0.0)
        closing = _in_background(self._api.close, 'close')
        self._election.leave(_LEAVE)
        closing.join(_LEAVE)
        self._ended.set()

    def wait(self) -> None:
        """Wait until it has stopped."""
        self._ended.wait()

    def reset(self) -> None:
        """Do nothing; a monitor is restarted to read its options anew."""

    def _watch(self) -> None:
        for each in self._watchers:
            first = each.roll is None
            changes = each.look()
            entries = {} if each.roll is None else each.roll.entries
            if first:
                self._ledger.begin(
                    each.group,
                    {host: entry.state for host, entry in entries.items()},
                )
                LOG.info(
                    'Watching group %s: %d services.', each.group, len(entries)
                )
            self._ledger.note(changes)
            self._ledger.keep(each.group, entries)
            self._tell_records(each)

    def _tell_records(self, watched: watcher.Watcher) -> None:
        """Say once that Nova's records cannot be read, and that they can."""
        error = None if watched.roll is None else watched.roll.unregistered
        if error is not None and watched.group not in self._unregistered:
            self._unregistered.add(watched.group)
            LOG.warning(
                'Group %s: it cannot be told who is registered or forced '
                'down: %s',
                watched.group,
                error,
            )
        elif error is None and watched.group in self._unregistered:
            self._unregistered.discard(watched.group)
            LOG.info('Group %s: its records can be read.', watched.group)

    def _flush(self, end: float) -> None:
        while (
            self._ledger.due() is not None
            and self._election.leads()
            and time.monotonic() < end
        ):
            time.sleep(0.02)

    def _linger(self, end: float) -> None:
        """Stay until the others can have seen what was announced last."""
        interval = self._election.interval
        moment = time.monotonic() - 2 * interval
        if self._election.leads() and self._ledger.told_since(moment):
            time.sleep(max(0.0, min(3 * interval, end - time.monotonic())))


def _check_list(conf: cfg.ConfigOpts, name: str, accepted: str) -> None:
    values = conf.servicegroup_monitor[name]
    if not values or not all(values):
        raise exceptions.ConfigurationError(
            f'[servicegroup_monitor] {name}', ','.join(values), accepted
        )


def _election(
    conf: cfg.ConfigOpts, book: ledger.Ledger, host: str
) -> election.Election | election.Alone:
    options = conf.servicegroup_monitor
    place = gathering.gather(conf, election.GROUP, host, options.backend_url)
    if place is not None:
        return election.Election(book, place)
    LOG.warning(
        'This monitor must be the only one: a second one would repeat every '
        'notification. Set [servicegroup_monitor] backend_url to have '
        'several.'
    )
    return election.Alone()


class _Loop:
    """Calls something again and again, in a thread of its own."""

    def __init__(
        self, name: str, call: Callable[[], None], interval: float
    ) -> None:
        self._call = call
        self._interval = min(interval, threading.TIMEOUT_MAX)
        self._name = name
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = _in_background(self._run, self._name)

    def stop(self, wait: float) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(wait)

    def _run(self) -> None:
        while not self._stopped.is_set():
            due = time.monotonic() + self._interval
            try:
                self._call()
            except Exception:
                LOG.exception('The monitor failed to %s', self._name)
            self._stopped.wait(max(0.0, due - time.monotonic()))


def _in_background(call: Callable[[], None], name: str) -> threading.Thread:
    """Run call in a thread that never keeps the process from ending."""
    thread = threading.Thread(
        target=call, daemon=True, name=f'servicegroup-{name}'
    )
    thread.start()
    return thread
