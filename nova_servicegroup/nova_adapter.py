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


"""The seam: the only module that imports Nova.

castellan and oslo.policy load this module in every process that uses them,
Nova's or not. So importing it imports neither Nova nor the rest of this
package, and the hook does nothing where Nova's configuration is not loaded.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import copy
import datetime
import functools
from importlib import metadata

# Not oslo.log, which those processes need not have; records go the same way.
import logging
import sys
import threading
from typing import Any, TYPE_CHECKING

from nova_servicegroup import _nova_install
from nova_servicegroup import _nova_shape
from nova_servicegroup import exceptions

if TYPE_CHECKING:
    from oslo_config import cfg

    from nova_servicegroup import api
    from nova_servicegroup.drivers import base
    from nova_servicegroup import services

LOG = logging.getLogger(__name__)

_TABLE = 'services table'

_apis: 'dict[tuple[int, str], api.API]' = {}
_opened: set[int] = set()
_opening = threading.Lock()


class Hook:
    """What castellan constructs while Nova's configuration is imported."""

    def __init__(self, conf: object = None) -> None:
        """Install the drivers into Nova, if this is Nova. Never raises."""
        install()

    def list_options_for_discovery(self) -> list[Any]:
        """Return the options for castellan to register: none."""
        return []


def install() -> None:
    """Install the drivers into Nova, if this is Nova. Never raises."""
    module = sys.modules.get('nova.conf.servicegroup')
    if module is not None:
        installation.install(module)


def _connect(names: list[str]) -> None:
    from nova.servicegroup import api
    from nova.servicegroup.drivers import base

    _nova_shape.check_interface(base.Driver, Driver)
    _nova_shape.point(api._driver_name_class_mapping, names)


installation = _nova_install.Installation(_connect)


def load_nova() -> 'cfg.ConfigOpts':
    """Import what loads the hook in Nova, and return its configuration.

    :raises ImportError: Nova is not installed here
    """
    import nova.conf
    import nova.policies  # noqa: F401

    conf: cfg.ConfigOpts = nova.conf.CONF
    return conf


def open_database(conf: 'cfg.ConfigOpts') -> bool:
    """Open Nova's databases, outside of Nova's own programs; once.

    A command tells of a database that is away, and does not wait for it as
    a service does.

    :returns: whether conf names a database
    """
    with _opening:
        if id(conf) not in _opened:
            _open(conf)
            _opened.add(id(conf))
    return bool(conf.database.connection or conf.api_database.connection)


def _open(conf: 'cfg.ConfigOpts') -> None:
    from nova.db.api import api as api_db
    from nova.db.main import api as main_db
    from nova import objects
    from nova import rpc

    for group in ('database', 'api_database'):
        conf.set_override('max_retries', 0, group)
    main_db.configure(conf)
    api_db.configure(conf)
    # To ask a cell's database is to make its transport; nothing connects.
    rpc.init(conf)
    objects.register_all()


def databases(conf: 'cfg.ConfigOpts') -> dict[str, Callable[[], Any]]:
    """Return what makes the SQLAlchemy engine of each cell's database.

    Some database must be configured.

    :returns: by a name for people
    :raises BackendError: the cells cannot be read
    """
    open_database(conf)
    from nova import context
    from nova.db.main import api as main_db
    from nova import objects

    if not conf.api_database.connection:
        return {'the database': main_db.get_engine}
    try:
        cells = objects.CellMappingList.get_all(context.get_admin_context())
    except Exception as error:
        raise exceptions.BackendError(
            'API database', exceptions.first_line(error)
        ) from error
    return {
        f'the database of {each.name or each.uuid}': functools.partial(
            _cell_engine, each
        )
        for each in cells
        if not each.is_cell0()
    }


def _cell_engine(cell: Any) -> Any:
    from nova import context
    from nova.db.main import api as main_db

    with context.target_cell(context.get_admin_context(), cell) as targeted:
        return main_db.get_engine(context=targeted)


def make_api(
    conf: 'cfg.ConfigOpts', driver: 'base.Driver | None' = None
) -> 'api.API':
    """Make an API that can read Nova's services table.

    :param driver: see api.API
    :raises: as api.API, with the traceback cut off: the operator who finds
        the error in Nova's log needs the last line
    """
    from nova_servicegroup import api

    try:
        made = api.API(conf, driver)
    except exceptions.ServiceGroupError as error:
        raise error.with_traceback(None) from None
    made.give_records(records)
    return made


def records(group: str) -> 'list[services.ServiceRef]':
    """Return the records of a group in every cell that can be seen here.

    :raises BackendError: they cannot be read
    """
    from nova_servicegroup.drivers import base

    if _is_indirect():
        raise exceptions.BackendError(
            _TABLE, 'this service has no access to the database'
        )
    try:
        return [
            each for each in _all_records() if base.group_of(each) == group
        ]
    except exceptions.BackendError:
        raise
    except Exception as error:
        raise exceptions.BackendError(
            _TABLE, exceptions.first_line(error)
        ) from error


def _all_records() -> 'list[services.ServiceRef]':
    import nova.conf
    from nova import context
    from nova import objects

    admin = context.get_admin_context()
    if not nova.conf.CONF.api_database.connection:
        return list(objects.ServiceList.get_all(admin))
    found: list[services.ServiceRef] = []
    for cell, answer in context.scatter_gather_skip_cell0(
        admin, objects.ServiceList.get_all
    ).items():
        if context.is_cell_failure_sentinel(answer):
            raise exceptions.BackendError(
                _TABLE, f'cell {cell} did not answer'
            )
        found.extend(answer)
    return found


class Driver:
    """The servicegroup driver as Nova knows it.

    nova-api constructs hundreds. All share one API for each configuration,
    which is made with the first, so that Nova does not start on options that
    cannot be used.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Find or make the API.

        :raises LibraryMissing: the driver's client library is not installed
        :raises ConfigurationError: an option cannot be used
        """
        self._api = _shared_api()
        # Nova asks about every host: some calls less for each.
        driver = self._api.driver
        self.is_up = driver.is_up  # type: ignore[method-assign]
        self.updated_time = driver.updated_time  # type: ignore[method-assign]

    def join(self, member: str, group: str, service: Any = None) -> None:
        """Make member part of group for as long as service runs.

        :raises ArgumentError: an argument is empty
        """
        if service is None:
            raise exceptions.ArgumentError(
                'service', service, "Nova's service object"
            )
        LOG.info(
            'Joining the servicegroup %s as %s with the driver %s of '
            'nova-servicegroup %s',
            group,
            member,
            self._api.driver.conf.servicegroup_driver,
            metadata.version('nova-servicegroup'),
        )
        self._api.join(member, group, NovaService(service))

    def is_up(self, service_ref: 'services.ServiceRef') -> bool:
        """Tell whether the service is up. Never raises.

        Nova has answered for one that is forced down.
        """
        return self._api.driver.is_up(service_ref)

    def updated_time(
        self,
        service_ref: 'services.ServiceRef',
    ) -> datetime.datetime | None:
        """Return the last proof of life, or None."""
        return self._api.get_updated_time(service_ref)


def _shared_api() -> 'api.API':
    import nova.conf

    conf = nova.conf.CONF
    key = id(conf), conf.servicegroup_driver
    if key not in _apis:
        # Of two threads one wins; the loser's object has done nothing yet.
        _apis.setdefault(key, make_api(conf))
    return _apis[key]


class NovaService:
    """Nova's running service, as a driver sees it."""

    def __init__(self, service: Any) -> None:
        """Take a service that is about to run."""
        self._service = service
        self.report_interval: float = service.report_interval or 0
        self.tg: services.Timers = service.tg
        self.host: str = service.host
        self.binary: str = service.binary
        self.collects: bool = service.binary == 'nova-conductor'

    @property
    def record_id(self) -> int:
        """See services.Service."""
        return int(self._service.service_ref.id)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have callback run once, after the service has stopped its work.

        Also when its stop() raises. What callback raises is logged.
        """
        stop = self._service.stop
        called = threading.Lock()

        def stop_and_call(*args: Any, **kwargs: Any) -> Any:
            try:
                return stop(*args, **kwargs)
            finally:
                if called.acquire(blocking=False):
                    _log_errors(callback)

        self._service.stop = stop_and_call

    def save_heartbeat(self) -> None:
        """Write one heartbeat to the service's record.

        :raises RecordDeleted: the record is gone
        :raises BackendTimeout: nobody has answered in time
        :raises BackendError: it could not be written
        """
        from nova import exception
        import oslo_messaging

        try:
            record = self._service.service_ref
            record.report_count += 1
            with _bounded(record, 0.4 * self.report_interval):
                record.save()
        except exception.ServiceNotFound:
            raise exceptions.RecordDeleted(
                self._service.binary, self._service.host
            ) from None
        except oslo_messaging.MessagingTimeout as error:
            raise exceptions.BackendTimeout(
                _record_keeper(), exceptions.first_line(error)
            ) from error
        except Exception as error:
            raise exceptions.BackendError(
                _record_keeper(), exceptions.first_line(error)
            ) from error

    def note_heartbeat(self) -> None:
        """See services.Service.

        The next heartbeat that Nova saves only counts if its number is new.
        """
        record = self._service.service_ref
        record.report_count += 1
        record.obj_reset_changes(['report_count'])

    def engine(self) -> Any:
        """See services.Service. It is Nova's own, with its connections."""
        if _is_indirect():
            return None
        from nova.db.main import api as main_db

        return main_db.get_engine()

    def transport(self) -> Any:
        """See services.Service. It is Nova's own."""
        from nova import rpc

        return rpc.TRANSPORT

    def new_transport(self, options: Mapping[str, str]) -> Any:
        """See services.Service. It is as Nova makes its own."""
        from nova import rpc

        url = rpc.get_transport_url()
        url.query = {**options, **url.query}
        return rpc.create_transport(url)


@contextlib.contextmanager
def _bounded(record: Any, timeout: float) -> Iterator[None]:
    """Have nova-conductor answer soon, where it saves the record.

    The timeout is also the message's time to live: one that was stuck for
    Nova's own timeout of a minute would make a dead service look alive.
    """
    if not _is_indirect():
        yield
        return
    conductor = copy.copy(record.indirection_api)
    conductor.client = conductor.client.prepare(timeout=max(1.0, timeout))
    record.indirection_api = conductor
    try:
        yield
    finally:
        del record.indirection_api


def _is_indirect() -> bool:
    """Tell whether this service reaches the database by nova-conductor."""
    from nova.objects import base

    return base.NovaObject.indirection_api is not None


def _record_keeper() -> str:
    return 'nova-conductor' if _is_indirect() else _TABLE


def _log_errors(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        LOG.exception('Leaving the servicegroup failed')
