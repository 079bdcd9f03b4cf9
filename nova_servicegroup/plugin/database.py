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


"""Opens Nova's configuration and databases in programs other than Nova's."""

from collections.abc import Callable
import functools
import threading
from typing import Any

from oslo_config import cfg

from nova_servicegroup.plugin import records

_opened: set[int] = set()
_opening = threading.Lock()


def load_nova() -> cfg.ConfigOpts:
    """Import Nova, so that it loads the hook; return its configuration.

    :raises ImportError: Nova is not installed here
    """
    import nova.conf
    import nova.policies  # noqa: F401

    conf: cfg.ConfigOpts = nova.conf.CONF
    return conf


def open_database(conf: cfg.ConfigOpts) -> bool:
    """Open Nova's databases, once for each configuration.

    A database that is away is an error at once: unlike a service, a command
    does not wait for it.

    :returns: whether conf names a database
    """
    with _opening:
        if id(conf) not in _opened:
            _open(conf)
            _opened.add(id(conf))
    return bool(conf.database.connection or conf.api_database.connection)


def _open(conf: cfg.ConfigOpts) -> None:
    from nova.db.api import api as api_db
    from nova.db.main import api as main_db
    from nova import objects
    from nova import rpc

    for group in ('database', 'api_database'):
        conf.set_override('max_retries', 0, group)
    main_db.configure(conf)
    api_db.configure(conf)
    # Targeting a cell makes its transport, which does not connect.
    rpc.init(conf)
    objects.register_all()


def databases(conf: cfg.ConfigOpts) -> dict[str, Callable[[], Any]]:
    """Return factories of the SQLAlchemy engine of each cell's database.

    A database must be configured.

    :returns: by a name to show
    :raises BackendError: the cells cannot be read
    """
    open_database(conf)
    from nova.db.main import api as main_db

    if not conf.api_database.connection:
        return {'the database': main_db.get_engine}
    return {
        f'the database of {each.name or each.uuid}': functools.partial(
            records.cell_engine, each
        )
        for each in records.cell_mappings()
        if not each.is_cell0()
    }
