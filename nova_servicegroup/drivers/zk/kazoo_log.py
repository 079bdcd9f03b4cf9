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


"""Limits what kazoo logs: few attempts to reconnect, and no credentials."""

import logging
from typing import Any

from oslo_config import cfg

_MASK = '***'
#: The fields of kazoo's requests and answers that are credentials: the user's
#: password, and that of the session.
_SECRET = frozenset({'auth', 'passwd'})
#: The schemes whose ids are public. An id of digest has the password's hash,
#: without salt.
_PUBLIC = frozenset({'world', 'auth', 'ip'})


def quieten(conf: cfg.ConfigOpts) -> None:
    """Keep kazoo from logging every attempt to reconnect, and credentials.

    The reporter and the observer log once what an operator needs to know. A
    level that is configured stays, as does kazoo's own with the option debug.
    """
    client = logging.getLogger('kazoo.client')
    if not any(isinstance(each, _NoCredentials) for each in client.filters):
        client.addFilter(_NoCredentials())
    logger = logging.getLogger('kazoo')
    debug = 'debug' in conf and conf.debug
    if logger.level == logging.NOTSET and not debug:
        logger.setLevel(logging.ERROR)


class _NoCredentials(logging.Filter):
    """Masks credentials in the requests and answers that kazoo logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether record may be logged."""
        # Below DEBUG, kazoo logs the session's password as plain text.
        if 'passwd' in str(record.msg):
            return False
        try:
            if isinstance(record.args, tuple):
                record.args = tuple(map(_masked, record.args))
        except Exception:
            return False
        return True


def _masked(value: Any) -> Any:
    """Return value, or a copy without its credentials."""
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return _masked_fields(value)
    if isinstance(value, (list, tuple)):
        # Long lists hold names of nodes, which need no copy.
        deep = any(isinstance(each, (list, tuple)) for each in value)
        return type(value)(map(_masked, value)) if deep else value
    return value


def _masked_fields(value: Any) -> Any:
    """Return a copy of a named tuple without its credentials."""
    changed = {
        name: _MASK if name in _SECRET else _masked(each)
        for name, each in zip(value._fields, value, strict=True)
    }
    if changed.get('scheme', 'world') not in _PUBLIC and 'id' in changed:
        changed['id'] = _MASK
    return value._replace(**changed) if changed else value
