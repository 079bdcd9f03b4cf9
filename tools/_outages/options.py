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

"""The options with which a test was run, as the test itself defines them."""

import configparser
import importlib
from typing import Any

from oslo_config import cfg

from nova_servicegroup import opts
from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.nova import test_stack
from tools._outages import figures

#: Those that are shown, and in which a bound may be given.
NAMES = (
    'session_timeout',
    'tick',
    'report_interval',
    'service_down_time',
    'hold_time',
    'refresh_interval',
    'read_timeout',
)


def of(test: str) -> dict[str, float]:
    """Return the options of a test, in seconds; none where it has none.

    :param test: its id without figures.PREFIX; its name may be cut off or
        missing, behind a dot
    """
    if test.startswith('nova.'):
        return _of_nova()
    module, name, method = test.rsplit('.', 2)
    kind = getattr(importlib.import_module(figures.PREFIX + module), name)
    if not issubclass(kind, contract.Contract):
        return {}
    names = [each for each in dir(kind) if each.startswith(method)]
    return _of_functional(kind(names[0]))


def _of_functional(test: Any) -> dict[str, float]:
    # The rest tells where the servers are, which have not been started.
    test.options = lambda: ('', '')
    parser = configparser.ConfigParser()
    parser.read_string(test._config())
    conf = _conf()
    for option in ('report_interval', 'service_down_time'):
        conf.set_override(option, parser.getint('DEFAULT', option))
    for option in ('refresh_interval', 'hold_time'):
        number = parser.getfloat('servicegroup', option)
        conf.set_override(option, number, 'servicegroup')
    found = _of_conf(conf)
    if test.driver == 'zk':
        found.update(session_timeout=test.session, tick=test.tick)
    return found


def _of_nova() -> dict[str, float]:
    conf = _conf()
    conf.set_override('report_interval', test_stack.REPORT_INTERVAL)
    conf.set_override('service_down_time', test_stack.SERVICE_DOWN_TIME)
    conf.set_override('hold_time', test_stack.HOLD_TIME, 'servicegroup')
    return {
        **_of_conf(conf),
        'session_timeout': test_stack.SESSION_TIMEOUT,
        'tick': test_stack.settings.Settings().tick_ms / 1000,
    }


def _conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    opts.register_opts(conf)
    conf([], project='nova', default_config_files=[])
    return conf


def _of_conf(conf: cfg.ConfigOpts) -> dict[str, float]:
    return {
        'report_interval': conf.report_interval,
        'service_down_time': opts.service_down_time(conf),
        'hold_time': opts.hold_time(conf),
        'refresh_interval': conf.servicegroup.refresh_interval,
        'read_timeout': conf.servicegroup.read_timeout,
    }
