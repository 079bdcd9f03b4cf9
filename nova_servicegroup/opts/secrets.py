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


"""Masks the secrets of a configuration before text is shown."""

from collections.abc import Iterator
import re

from oslo_config import cfg
from oslo_utils import strutils

from nova_servicegroup import masking
from nova_servicegroup import opts

#: Options of Nova, its libraries and this package whose values are URLs.
_URLS = (
    (None, 'transport_url'),
    ('oslo_messaging_notifications', 'transport_url'),
    ('servicegroup_monitor', 'backend_url'),
    ('coordination', 'backend_url'),
    ('database', 'connection'),
    ('database', 'slave_connection'),
    ('api_database', 'connection'),
    ('api_database', 'slave_connection'),
)


def hide(conf: cfg.ConfigOpts, text: str) -> str:
    """Return a text with the secrets of the configuration masked."""
    secrets = sorted({*_secrets(conf)} - {''}, key=len, reverse=True)
    if secrets:
        pattern = '|'.join(map(re.escape, secrets))
        text = re.sub(pattern, masking.MASK, text)
    return str(strutils.mask_password(masking.urls(text)))


def _secrets(conf: cfg.ConfigOpts) -> Iterator[str]:
    for group, options in opts.list_opts():
        for option in options:
            if option.secret:
                yield _value(conf, group, option.dest)
    for group, name in _URLS:
        yield from masking.secrets(_value(conf, group, name))


def _value(conf: cfg.ConfigOpts, group: str | None, name: str) -> str:
    """Return the value of an option, or '' if it is not set or registered."""
    try:
        return (conf[group] if group else conf)[name] or ''
    except (KeyError, cfg.NoSuchOptError):
        return ''
