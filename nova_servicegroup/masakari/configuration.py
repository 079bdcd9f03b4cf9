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

"""The notifier, made from the configurations of masakari-monitors and Nova."""

from collections.abc import Callable, Collection
import random
import socket
from typing import Any

from oslo_config import cfg

from nova_servicegroup import api
from nova_servicegroup import exceptions
from nova_servicegroup.masakari import client
from nova_servicegroup.masakari import decisions
from nova_servicegroup.masakari import notifier
from nova_servicegroup import membership
from nova_servicegroup import opts
from nova_servicegroup.opts import masakari as options
from nova_servicegroup import services
from nova_servicegroup import startup
from nova_servicegroup.watch import inventory

#: The longest wait, in seconds, before masakari is asked and notified: the
#: hostmonitors of several controllers choose a time each.
_SPREAD = 2.0
#: Seconds for an answer of masakari or Nova, unless [api] sets them.
_TIMEOUT = 10

_FILES = f'[{options.GROUP}] nova_config_files'

#: See client.Client.
Connect = Callable[[], tuple[Any, Any]]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options on the configuration of masakari-monitors."""
    conf.register_opts(options.OPTS, group=options.GROUP)
    # keystoneauth waits for ever by default.
    conf.set_default('timeout', _TIMEOUT, group='api')


def check(conf: cfg.ConfigOpts) -> None:
    """Check the options that register_opts has registered.

    :raises ConfigurationError: one has a value that cannot be used
    """
    for opt in options.OPTS:
        try:
            conf[options.GROUP][opt.dest]
        except ValueError as error:
            raise exceptions.ConfigurationError(
                f'[{options.GROUP}] {opt.name}', None, str(error)
            ) from None


def make_api(conf: cfg.ConfigOpts, table: services.Table) -> api.API:
    """Return an API by the configuration of Nova.

    :param conf: the configuration of masakari-monitors
    :raises ServiceGroupError: an option of either cannot be used
    """
    check(conf)
    nova = _read_nova(conf[options.GROUP].nova_config_files)
    made = api.API(nova)
    startup.require_servers(nova.servicegroup_driver, made.driver)
    _require_evidence(nova, made)
    made.give_table(table)
    return made


def _read_nova(files: list[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    opts.register_opts(conf)
    if not files:
        raise exceptions.ConfigurationError(_FILES, '', 'files of Nova')
    try:
        startup.read(conf, files, None)
    except exceptions.ConfigurationFileError as error:
        raise exceptions.ConfigurationError(
            _FILES, ','.join(files), f'files that can be read. {error}'
        ) from None
    return conf


def _require_evidence(nova: cfg.ConfigOpts, made: api.API) -> None:
    if not made.driver.shows_marks:
        raise exceptions.ConfigurationError(
            exceptions.DRIVER_OPTION,
            nova.servicegroup_driver,
            'a driver that has evidence of dead hosts, as zk, etcd, redis and '
            'mc have, in the files that nova_config_files names',
        )
    if not nova.servicegroup.agents:
        raise exceptions.ConfigurationError(
            '[servicegroup] agents',
            False,
            'true, in the files that nova_config_files names. Without '
            'nova-servicegroup-agent on every host there is no evidence that '
            'a host is dead',
        )


def make_notifier(
    conf: cfg.ConfigOpts, made: api.API, masakari: client.Client
) -> notifier.Notifier:
    """Return the notifier.

    :param conf: the configuration of masakari-monitors
    :param made: an API that make_api has returned
    """
    cases = decisions.Cases(
        _policy(conf, made), lambda: random.uniform(0, _SPREAD), _own(conf)
    )
    reader = inventory.Reader(made, services.WATCHED_GROUP)
    interval = float(made.driver.conf.servicegroup.refresh_interval)
    return notifier.Notifier(reader, cases, masakari, interval)


def _policy(conf: cfg.ConfigOpts, made: api.API) -> decisions.Policy:
    chosen = conf[options.GROUP]
    slowest = made.driver.found_within
    if slowest is None:
        slowest = opts.service_down_time(made.driver.conf)
    return decisions.Policy(
        decisions.accepted(chosen.notify_on),
        chosen.on_domain_loss == options.WAIT,
        slowest / 2 + 1.0 if chosen.on_domain_loss == options.WAIT else 0.0,
    )


def _own(conf: cfg.ConfigOpts) -> Collection[str]:
    """Return the names of this machine, which lives while this runs."""
    names = {str(conf.hostname), socket.gethostname(), socket.getfqdn()}
    return {membership.canonical(each) for each in names}
