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


"""Modules shaped as Nova's, for tests that run without Nova."""

import contextlib
import functools
import operator
import sys
import types
from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_db.sqlalchemy import engines

from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup.drivers import views
from nova_servicegroup.plugin import compat
from nova_servicegroup.plugin import hook
from nova_servicegroup.tests.harness import services_table

NAMES = ('db', 'mc', 'zk')


class NoNova(fixtures.Fixture):
    """A process that has loaded nothing of Nova, nor our hook."""

    def _setUp(self):
        saved = self._unload()
        self.addCleanup(sys.modules.update, saved)
        self.addCleanup(self._unload)
        self._replace('hook.INSTALLATION', hook.Installation())
        self._replace('driver._apis', {})
        self.useFixture(
            fixtures.MockPatchObject(
                api, 'installed_drivers', return_value=list(NAMES)
            )
        )
        self.log = self.useFixture(
            fixtures.FakeLogger(
                'nova_servicegroup', format='%(levelname)s %(message)s'
            )
        )

    @staticmethod
    def _unload():
        names = [
            name
            for name in sys.modules
            if name == 'nova' or name.startswith('nova.')
        ]
        return {name: sys.modules.pop(name) for name in names}

    def _replace(self, name, value):
        self.useFixture(
            fixtures.MonkeyPatch(f'nova_servicegroup.plugin.{name}', value)
        )

    def errors(self):
        """Return the ERROR records."""
        return [
            line
            for line in self.log.output.splitlines()
            if line.startswith('ERROR')
        ]


class FakeNova(NoNova):
    """As much of Nova as the seam touches, with its configuration loaded."""

    def _setUp(self):
        super()._setUp()
        self.conf = cfg.ConfigOpts()
        self.option = cfg.StrOpt(
            'servicegroup_driver',
            default='db',
            choices=[('db', 'Database'), ('mc', 'Memcache')],
        )
        self.conf.register_opt(self.option)
        self.conf([], default_config_files=[])
        self.mapping = dict(compat.STOCK)
        self.module('nova')
        self.module('nova.conf', CONF=self.conf)
        self.conf_module = self.module(
            'nova.conf.servicegroup', SERVICEGROUP_OPTS=[self.option]
        )
        self.module('nova.policies')
        self.module('nova.servicegroup')
        self.module('nova.servicegroup.drivers')
        self.api = self.module(
            'nova.servicegroup.api', _driver_name_class_mapping=self.mapping
        )
        self.base = self.module(
            'nova.servicegroup.drivers.base', Driver=NovaDriver
        )
        for names in (
            compat.NAMES,
            compat.TABLE,
            *compat.CHECK_NAMES.values(),
        ):
            for name, used in names.items():
                self._complete(name, used)

    def _complete(self, name, used):
        """Give a module all that the seam uses of it."""
        steps = name.split('.')
        for count in range(1, len(steps) + 1):
            if '.'.join(steps[:count]) not in sys.modules:
                self.module('.'.join(steps[:count]))
        for each in used:
            owner = sys.modules[name]
            *way, last = each.split('.')
            for step in way:
                if not hasattr(owner, step):
                    setattr(owner, step, type(step, (), {}))
                owner = getattr(owner, step)
            if not hasattr(owner, last):
                setattr(owner, last, None)

    def module(self, name, **attributes):
        """Make a module and hang it into its parent."""
        made = types.ModuleType(name)
        vars(made).update(attributes)
        sys.modules[name] = made
        parent, _, child = name.rpartition('.')
        if parent:
            setattr(sys.modules[parent], child, made)
        return made

    def read(self, value=None):
        """Choose a driver, and read the option as Nova does."""
        if value is not None:
            self.conf.set_override('servicegroup_driver', value)
        return self.conf.servicegroup_driver


class FakeCells(FakeNova):
    """A Nova with services in two cells and none in cell0, each a file."""

    CELLS = ('cell0', 'cell1', 'cell2')

    def _setUp(self):
        super()._setUp()
        self.conf.register_opt(cfg.StrOpt('connection'), 'api_database')
        self.conf.set_override('connection', 'x', 'api_database')
        self.object_class = types.SimpleNamespace(indirection_api=None)
        self.tables = {}
        self.engines = {None: self._make_engine(None)}
        self.engines |= {each: self._make_engine(each) for each in self.CELLS}
        self.read_mappings = mock.Mock(
            side_effect=lambda context: [
                types.SimpleNamespace(
                    uuid=each,
                    name=each,
                    is_cell0=functools.partial(operator.eq, each, 'cell0'),
                )
                for each in self.engines
                if each is not None
            ]
        )
        self.get_engine = mock.Mock(
            side_effect=lambda context=None: self.engines[_cell(context)]
        )
        self.get_services = mock.Mock(side_effect=self._get_services)
        self._make_modules()

    def _make_engine(self, cell):
        path = self.useFixture(fixtures.TempDir()).join('nova.db')
        engine = engines.create_engine(f'sqlite:///{path}')
        self.addCleanup(engine.dispose)
        self.tables[cell] = services_table.ServicesTable(engine)
        self.tables[cell].create()
        return engine

    def _make_modules(self):
        self.module(
            'nova.objects',
            ServiceList=mock.Mock(get_all=self.get_services),
            CellMappingList=mock.Mock(get_all=self.read_mappings),
        )
        self.module('nova.objects.base', NovaObject=self.object_class)
        self.module(
            'nova.context',
            get_admin_context=lambda: types.SimpleNamespace(cell_uuid=None),
            target_cell=_target_cell,
        )
        self.module('nova.db')
        self.module('nova.db.main')
        self.module('nova.db.main.api', get_engine=self.get_engine)

    def _get_services(self, context):
        cell = _cell(context)
        with self.engines[cell].connect() as connection:
            rows = connection.execute(services_table.SERVICES.select())
            return [_Record(row, context) for row in rows.mappings()]


class _Record(dict):
    """A record that knows who has read it."""

    def __init__(self, values, context):
        super().__init__(values)
        self._context = context


def _cell(context):
    return getattr(context, 'cell_uuid', None)


@contextlib.contextmanager
def _target_cell(context, cell):
    yield types.SimpleNamespace(cell_uuid=cell.uuid)


class NovaDriver:
    """Nova's base class of drivers, by its methods."""

    def join(self, member, group, service=None):
        raise NotImplementedError

    def is_up(self, member):
        raise NotImplementedError

    def updated_time(self, service_ref):
        raise NotImplementedError


class FakeDriver(base.Driver):
    """A driver that notes what it is asked."""

    shows_marks = True

    def __init__(self, conf):
        super().__init__(conf)
        self.joined = []
        self.marks = []
        self.closed = False

    def close(self):
        self.closed = True

    def join(self, member, group, service):
        self.joined.append((member, group, service))

    def leave(self, member, group):
        pass

    def mark(self, member, group, condition):
        self.marks.append((member, group, condition))

    def is_up(self, service_ref):
        return service_ref['host'] == 'alive'

    def updated_time(self, service_ref):
        return service_ref['updated_at']

    def view(self, group, detailed=False):
        return views.View((), 0.0)

    def check(self):
        return f'{len(self.read_records("compute"))} records'
