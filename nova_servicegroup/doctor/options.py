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

"""Checks whether options go together, from the configuration alone."""

from collections.abc import Callable, Iterator
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import deprecation
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import servers
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import opts

#: Backends of Nova's cache that raise while their server is away.
_RAISING = ('dogpile.cache.pymemcache', 'dogpile.cache.memcached')

#: Sessions shorter than this (seconds) have not been tested.
_SHORTEST_SESSION = 5
#: What takes as long as a short session, without and with an election.
_BUSY = 'A busy host takes'
_ELECTION = 'A busy host or a new election takes'
_THREE_TIMES = (
    'Set service_down_time to three times report_interval, at least.'
)


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    try:
        backend = subject.backend
    except exceptions.ServiceGroupError:
        # The common options can be judged without a usable driver.
        backend = ''
    return judge(subject.conf, backend)


def judge(conf: cfg.ConfigOpts, backend: str) -> list[finding.Finding]:
    """Return what is wrong with the options of a driver.

    :param backend: see drivers.base.Driver
    """
    judges = [*_COMMON, *_OF_BACKEND.get(backend, ())]
    found = [each for judge_some in judges for each in judge_some(conf)]
    return [*(found or [_summary(conf)]), *_notes(conf)]


def _summary(conf: cfg.ConfigOpts) -> finding.Finding:
    return finding.ok(
        f'report_interval {conf.report_interval} s, service_down_time '
        f'{opts.service_down_time(conf)} s, hold_time {opts.hold_time(conf)} '
        's: they go together.'
    )


def _notes(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    """Return choices that are not wrong, but easily forgotten."""
    if not conf.servicegroup.leave_on_stop:
        yield finding.ok(
            '[servicegroup] leave_on_stop is false: a service that is stopped '
            'stays up until its membership expires.'
        )


def _down_time(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    interval, configured = conf.report_interval, conf.service_down_time
    if not interval:
        yield finding.warning(
            'report_interval is 0.',
            'No service reports, and every service is down.',
            'Set it to 10.',
        )
    elif configured <= interval:
        yield finding.warning(
            f'service_down_time = {configured} is not above report_interval '
            f'= {interval}: Nova takes {opts.service_down_time(conf)} s '
            'instead.',
            'A dead service is found later than the file says.',
            _THREE_TIMES,
        )
    elif configured < 3 * interval:
        yield finding.warning(
            f'service_down_time = {configured} is less than three times '
            f'report_interval = {interval}.',
            'One heartbeat that is lost or late makes a live service down.',
            _THREE_TIMES,
        )


def _hold_time(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    hold, down = opts.hold_time(conf), opts.service_down_time(conf)
    if hold < down:
        yield finding.warning(
            f'[servicegroup] hold_time = {hold} is less than '
            f'service_down_time = {down}.',
            'An outage of the backend makes live services down sooner than '
            'with the db driver of Nova.',
            'Leave hold_time unset, or raise it.',
        )


def _refresh_interval(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    refresh, down = conf.servicegroup.refresh_interval, conf.service_down_time
    if refresh > down / 4:
        yield finding.warning(
            f'[servicegroup] refresh_interval = {refresh:g} is more than a '
            f'quarter of service_down_time = {down}.',
            'A verdict may be as old as that, on top of service_down_time.',
            'Leave refresh_interval unset: it is 1 s.',
        )


def _cache(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    """Judge Nova's own cache, which it asks while it lists services."""
    if conf.cache.enabled and conf.cache.backend in _RAISING:
        yield finding.warning(
            f'[cache] backend is {conf.cache.backend}, which may raise while '
            'its server is away, depending on the version of its client.',
            'GET /os-services then shows the services of a cell as UNKNOWN, '
            'without a state, whatever the driver says.',
            'Set it to oslo_cache.memcache_pool, which then finds nothing.',
        )


def _session_timeout(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    session = opts.session_timeout(conf)
    return _expiry('[zookeeper] session_timeout', session, _ELECTION, conf)


def _ttl(
    group: str, slow: str, conf: cfg.ConfigOpts
) -> Iterator[finding.Finding]:
    return _expiry(f'[{group}] ttl', conf[group].ttl, slow, conf)


def _expiry(
    option: str, seconds: int, slow: str, conf: cfg.ConfigOpts
) -> Iterator[finding.Finding]:
    """Judge the time after which the servers drop a silent member.

    :param slow: what takes as long as a short one
    """
    name, down = option.split()[-1], opts.service_down_time(conf)
    if seconds > down:
        yield finding.warning(
            f'{option} = {seconds} is more than service_down_time = {down}.',
            servers.TOO_LATE,
            f'Lower {name}, or raise service_down_time.',
        )
    if seconds < _SHORTEST_SESSION:
        yield finding.warning(
            f'{option} = {seconds} is less than {_SHORTEST_SESSION} s.',
            f'{slow} as long, and live services are down for a moment.',
            f'Set it to {_SHORTEST_SESSION}, at least.',
        )


def _zookeepers(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    count = len([each for each in conf.zookeeper.address.split(',') if each])
    return servers.judge_number(
        '[zookeeper] address', count, '; or name the rest of them'
    )


def _memcached_key(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    ttl, down = opts.memcached_ttl(conf), opts.service_down_time(conf)
    if ttl > down:
        yield finding.warning(
            f'A key on memcached lasts for three heartbeats, {ttl} s, which '
            f'is more than service_down_time = {down}.',
            servers.TOO_LATE,
            'Lower report_interval, or raise service_down_time.',
        )


def _memcached_timeout(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    wait = 2 * conf.memcached.timeout
    if conf.report_interval and wait >= conf.report_interval:
        yield finding.warning(
            f'[memcached] timeout = {conf.memcached.timeout} is half of '
            f'report_interval = {conf.report_interval}, or more.',
            'A server that is mute makes the heartbeats to the others late.',
            'Lower timeout, or raise report_interval.',
        )


def _check_hostname(
    group: str, conf: cfg.ConfigOpts
) -> Iterator[finding.Finding]:
    if conf[group].use_tls and not conf[group].check_hostname:
        yield finding.warning(
            f'[{group}] check_hostname is false.',
            'Any host with a certificate of an authority in ca_file can '
            'impersonate a server.',
            'Have the servers certified for the names under which they are '
            'configured, and leave check_hostname unset.',
        )


def _plain_password(
    group: str, conf: cfg.ConfigOpts
) -> Iterator[finding.Finding]:
    if conf[group].password and not conf[group].use_tls:
        yield finding.warning(
            f'[{group}] password is sent without TLS.',
            'Any host that can listen on the network can read it.',
            'Set use_tls, or allow no other hosts on that network.',
        )


def _etcd_password(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    """Judge the password of [etcd] address, to which use_tls applies."""
    if conf.etcd.address:
        yield from _plain_password('etcd', conf)


_Judge = Callable[[cfg.ConfigOpts], Iterator[finding.Finding]]

_COMMON: tuple[_Judge, ...] = (
    _down_time,
    _hold_time,
    _refresh_interval,
    _cache,
    deprecation.judge,
)
_OF_BACKEND: dict[str, tuple[_Judge, ...]] = {
    base.ZOOKEEPER: (
        _session_timeout,
        _zookeepers,
        functools.partial(_plain_password, 'zookeeper'),
        functools.partial(_check_hostname, 'zookeeper'),
    ),
    base.ETCD: (functools.partial(_ttl, 'etcd', _ELECTION), _etcd_password),
    base.MEMCACHED: (
        _memcached_key,
        _memcached_timeout,
        functools.partial(_check_hostname, 'memcached'),
    ),
    base.REDIS: (
        functools.partial(_ttl, 'redis', _BUSY),
        functools.partial(_plain_password, 'redis'),
        functools.partial(_check_hostname, 'redis'),
    ),
}
