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


"""Are the options sane together? Looks at nothing but the configuration."""

from collections.abc import Callable, Iterator
import dataclasses
import functools

from oslo_config import cfg

from nova_servicegroup.doctor import deprecation
from nova_servicegroup.doctor import finding
from nova_servicegroup.drivers import base
from nova_servicegroup import exceptions
from nova_servicegroup import opts

NAME = 'options'

#: Backends of Nova's cache that raise where they should find nothing.
_RAISING = ('dogpile.cache.pymemcache', 'dogpile.cache.memcached')

#: Sessions shorter than this (seconds) have not been tested.
_SHORTEST_SESSION = 5
#: What takes as long as a short one, without and with an election.
_BUSY = 'A busy host takes'
_ELECTS = 'A busy host or a new election takes'


@dataclasses.dataclass(frozen=True)
class _Advice:
    """A warning, without its level and its check."""

    what: str
    why: str
    advice: str


def check(subject: finding.Subject) -> list[finding.Finding]:
    """See finding.Check."""
    try:
        backend = subject.backend
    except exceptions.ServiceGroupError:
        # What is wrong with its options is to be told all the same.
        backend = ''
    return judge(subject.conf, backend)


def judge(conf: cfg.ConfigOpts, backend: str) -> list[finding.Finding]:
    """Return what is wrong with the options of a driver.

    :param backend: see drivers.base.Driver
    """
    judges = [*_COMMON, *_OF_BACKEND.get(backend, ())]
    found = [
        finding.Finding(
            finding.Level.WARNING, NAME, each.what, each.why, each.advice
        )
        for look in judges
        for each in look(conf)
    ]
    return [*(found or [_ok(_summary(conf))]), *_notes(conf)]


def _summary(conf: cfg.ConfigOpts) -> str:
    return (
        f'report_interval {conf.report_interval} s, service_down_time '
        f'{opts.service_down_time(conf)} s, hold_time {opts.hold_time(conf)} '
        's: they go together.'
    )


def _notes(conf: cfg.ConfigOpts) -> Iterator[finding.Finding]:
    """Say what was chosen, is not wrong, and is easily forgotten."""
    if not conf.servicegroup.leave_on_stop:
        yield _ok(
            '[servicegroup] leave_on_stop is false: a service that is stopped '
            'stays up until its membership expires.'
        )


def _ok(what: str) -> finding.Finding:
    return finding.Finding(finding.Level.OK, NAME, what)


def _down_time(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    interval, configured = conf.report_interval, conf.service_down_time
    if not interval:
        yield _Advice(
            'report_interval is 0.',
            'No service reports, and every service is down.',
            'Set it to 10.',
        )
    elif configured <= interval:
        yield _Advice(
            f'service_down_time = {configured} is not above report_interval '
            f'= {interval}: Nova takes {opts.service_down_time(conf)} s '
            'instead.',
            'A dead service is found later than the file says.',
            'Set service_down_time to three times report_interval, at least.',
        )
    elif configured < 3 * interval:
        yield _Advice(
            f'service_down_time = {configured} is less than three times '
            f'report_interval = {interval}.',
            'One heartbeat that is lost or late makes a live service down.',
            'Set service_down_time to three times report_interval, at least.',
        )


def _hold_time(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    hold, down = opts.hold_time(conf), opts.service_down_time(conf)
    if hold < down:
        yield _Advice(
            f'[servicegroup] hold_time = {hold} is less than '
            f'service_down_time = {down}.',
            'An outage of the backend makes live services down sooner than '
            'with the db driver of Nova.',
            'Leave hold_time unset, or raise it.',
        )


def _refresh_interval(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    refresh, down = conf.servicegroup.refresh_interval, conf.service_down_time
    if refresh > down / 4:
        yield _Advice(
            f'[servicegroup] refresh_interval = {refresh:g} is more than a '
            f'quarter of service_down_time = {down}.',
            'A verdict may be as old as that, on top of service_down_time.',
            'Leave refresh_interval unset: it is 1 s.',
        )


def _cache(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    """Look at Nova's own cache, which it asks while it lists services."""
    if conf.cache.enabled and conf.cache.backend in _RAISING:
        yield _Advice(
            f'[cache] backend is {conf.cache.backend}, which may raise while '
            'its server is away, depending on the version of its client.',
            'GET /os-services then shows the services of a cell as UNKNOWN, '
            'without a state, whatever the driver says.',
            'Set it to oslo_cache.memcache_pool, which then finds nothing.',
        )


def _session_timeout(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    session = opts.session_timeout(conf)
    return _expiry('[zookeeper] session_timeout', session, _ELECTS, conf)


def _lease(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    return _expiry('[etcd] ttl', conf.etcd.ttl, _ELECTS, conf)


def _redis_ttl(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    return _expiry('[redis] ttl', conf.redis.ttl, _BUSY, conf)


def _expiry(
    option: str, seconds: int, slow: str, conf: cfg.ConfigOpts
) -> Iterator[_Advice]:
    """Look at the time after which the servers drop who is silent.

    :param slow: what takes as long as a short one
    """
    name, down = option.split()[-1], opts.service_down_time(conf)
    if seconds > down:
        yield _Advice(
            f'{option} = {seconds} is more than service_down_time = {down}.',
            'Dead services cannot be found within service_down_time.',
            f'Lower {name}, or raise service_down_time.',
        )
    if seconds < _SHORTEST_SESSION:
        yield _Advice(
            f'{option} = {seconds} is less than {_SHORTEST_SESSION} s.',
            f'{slow} as long, and live services are down for a moment.',
            f'Set it to {_SHORTEST_SESSION}, at least.',
        )


def _servers(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    count = len([each for each in conf.zookeeper.address.split(',') if each])
    if count and count % 2 == 0:
        yield _Advice(
            f'[zookeeper] address has {count} servers, an even number.',
            f'{count} servers outlive the failure of {(count - 1) // 2}, as '
            f'{count - 1} would do.',
            f'Run {count + 1} servers, or {count - 1}; or name the rest of '
            'them.',
        )


def _ttl(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    ttl, down = opts.memcached_ttl(conf), opts.service_down_time(conf)
    if ttl > down:
        yield _Advice(
            f'A key on memcached lasts for three heartbeats, {ttl} s, which '
            f'is more than service_down_time = {down}.',
            'Dead services cannot be found within service_down_time.',
            'Lower report_interval, or raise service_down_time.',
        )


def _wait(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    wait = 2 * conf.memcached.timeout
    if conf.report_interval and wait >= conf.report_interval:
        yield _Advice(
            f'[memcached] timeout = {conf.memcached.timeout} is half of '
            f'report_interval = {conf.report_interval}, or more.',
            'A server that is mute makes the heartbeats to the others late.',
            'Lower timeout, or raise report_interval.',
        )


def _names(group: str, conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    if conf[group].use_tls and not conf[group].check_hostname:
        yield _Advice(
            f'[{group}] check_hostname is false.',
            'Whoever has a certificate of an authority in ca_file can pass '
            'for a server.',
            'Have the servers certified for the names under which they are '
            'configured, and leave check_hostname unset.',
        )


def _plain_password(group: str, conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    if conf[group].password and not conf[group].use_tls:
        yield _Advice(
            f'[{group}] password is sent without TLS.',
            'Whoever can listen on the network can read it.',
            'Set use_tls, or let nobody else on that network.',
        )


def _etcd_password(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    """Look at it where use_tls counts: the URL of others has its own."""
    if conf.etcd.address:
        yield from _plain_password('etcd', conf)


def _deprecated(conf: cfg.ConfigOpts) -> Iterator[_Advice]:
    for old in deprecation.written(conf):
        yield _Advice(
            f'[{old.group}] {old.name} is deprecated.',
            'A later release will not know it.',
            old.advice,
        )


_Look = Callable[[cfg.ConfigOpts], Iterator[_Advice]]

_COMMON: tuple[_Look, ...] = (
    _down_time,
    _hold_time,
    _refresh_interval,
    _cache,
    _deprecated,
)
_OF_BACKEND: dict[str, tuple[_Look, ...]] = {
    base.ZOOKEEPER: (
        _session_timeout,
        _servers,
        functools.partial(_plain_password, 'zookeeper'),
        functools.partial(_names, 'zookeeper'),
    ),
    base.ETCD: (
        _lease,
        _etcd_password,
    ),
    base.MEMCACHED: (_ttl, _wait, functools.partial(_names, 'memcached')),
    base.REDIS: (
        _redis_ttl,
        functools.partial(_plain_password, 'redis'),
        functools.partial(_names, 'redis'),
    ),
}
