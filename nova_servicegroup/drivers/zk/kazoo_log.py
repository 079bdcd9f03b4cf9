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


"""What kazoo may log: not every attempt to reconnect, and no credential."""

import logging
from typing import Any

from oslo_config import cfg

_MASK = '***'
#: The fields of kazoo's requests, and of answers, that are credentials: the
#: password, and what takes a session over.
_SECRET = frozenset({'auth', 'passwd'})
#: The schemes whose ids tell nothing; that of digest has the password's hash,
#: without salt.
_HARMLESS = frozenset({'world', 'auth', 'ip'})


def quieten(conf: cfg.ConfigOpts) -> None:
    """Keep kazoo from logging every attempt of every process to reconnect.

    What an operator needs of it, the reporter and the observer say once.
    Its level stays where somebody has set one, or debugs; but never does it
    log a credential.
    """
    client = logging.getLogger('kazoo.client')
    if not any(isinstance(each, _NoCredentials) for each in client.filters):
        client.addFilter(_NoCredentials())
    logger = logging.getLogger('kazoo')
    debug = 'debug' in conf and conf.debug
    if logger.level == logging.NOTSET and not debug:
        logger.setLevel(logging.ERROR)


class _NoCredentials(logging.Filter):
    """Masks credentials in the requests and the answers that kazoo shows."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether record may be logged."""
        # Below DEBUG it tells the password of the session as plain text.
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
        # Long lists have names, of nodes, and nothing else.
        deep = any(isinstance(each, (list, tuple)) for each in value)
        return type(value)(map(_masked, value)) if deep else value
    return value


def _masked_fields(value: Any) -> Any:
    """Return a copy of a named tuple without its credentials."""
    changed = {
        name: _MASK if name in _SECRET else _masked(each)
        for name, each in zip(value._fields, value, strict=True)
    }
    if changed.get('scheme', 'world') not in _HARMLESS and 'id' in changed:
        changed['id'] = _MASK
    return value._replace(**changed) if changed else value
