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

import sys
import types

import fixtures
from oslo_config import cfg

from nova_servicegroup import _nova_install
from nova_servicegroup import _nova_shape
from nova_servicegroup import api
from nova_servicegroup.drivers import base
from nova_servicegroup import nova_adapter

NAMES = ('db', 'mc', 'zk')


class NoNova(fixtures.Fixture):
    """A process that has loaded nothing of Nova, nor our hook."""

    def _setUp(self):
        saved = self._unload()
        self.addCleanup(sys.modules.update, saved)
        self.addCleanup(self._unload)
        self._replace(
            'installation', _nova_install.Installation(nova_adapter._connect)
        )
        self._replace('_apis', {})
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
            fixtures.MonkeyPatch(
                f'nova_servicegroup.nova_adapter.{name}', value
            )
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
        self.mapping = dict(_nova_shape.STOCK)
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

    def __init__(self, conf):
        super().__init__(conf)
        self.joined = []

    def join(self, member, group, service):
        self.joined.append((member, group, service))

    def leave(self, member, group):
        pass

    def is_up(self, service_ref):
        return service_ref['host'] == 'alive'

    def updated_time(self, service_ref):
        return service_ref['updated_at']

    def view(self, group, detailed=False):
        return base.View((), 0.0)

    def check(self):
        return f'{len(self.records("compute"))} records'
