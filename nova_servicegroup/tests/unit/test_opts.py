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


import pathlib
import subprocess
import sys
import types
from unittest import mock

from oslo_config import cfg
from oslo_config import generator

import nova_servicegroup
from nova_servicegroup import api
from nova_servicegroup import opts
from nova_servicegroup.tests import base

ROOT = pathlib.Path(nova_servicegroup.__file__).parent.parent
ETC = ROOT / 'etc' / 'nova_servicegroup'


class OptsTest(base.TestCase):
    def test_registering_twice_is_harmless(self) -> None:
        conf = self.make_conf()
        opts.register_opts(conf)
        self.assertEqual('db', conf.servicegroup_driver)

    def test_novas_own_options_are_left_alone(self) -> None:
        conf = cfg.ConfigOpts()
        conf.register_opt(cfg.IntOpt('report_interval', default=7))
        opts.register_opts(conf)
        conf([])
        self.assertEqual(7, conf.report_interval)

    def test_the_servers_of_the_cache_without_nova(self) -> None:
        text = '[DEFAULT]\nservicegroup_driver = mc\n[cache]\n{}'
        for line, servers in (
            ('memcache_servers = mc1,mc2:9', ['mc1:11211', 'mc2:9']),
            # The default of oslo.cache is no server that anybody has.
            ('', []),
        ):
            conf = self.make_conf(text.format(line))
            self.assertEqual(servers, api.API(conf).driver.servers)

    def test_oslo_cache_finds_its_own_options(self) -> None:
        core = types.ModuleType('oslo_cache.core')
        own = cfg.ListOpt('memcache_servers', default=['x'], help='Its own.')
        core.configure = lambda conf: conf.register_opts([own], group='cache')
        with mock.patch.dict(
            sys.modules,
            {
                'oslo_cache': types.ModuleType('oslo_cache'),
                core.__name__: core,
            },
        ):
            conf = self.make_conf()
        core.configure(conf)
        self.assertEqual(['x'], conf.cache.memcache_servers)
        # Nor is what somebody else has registered before.
        conf = cfg.ConfigOpts()
        core.configure(conf)
        opts.register_opts(conf)
        conf([])
        self.assertEqual(['x'], conf.cache.memcache_servers)

    def test_a_down_time_within_the_interval_is_raised(self) -> None:
        conf = self.make_conf(
            '[DEFAULT]\nreport_interval = 20\nservice_down_time = 20\n'
        )
        self.assertEqual(50, opts.service_down_time(conf))
        conf = self.make_conf('[DEFAULT]\nservice_down_time = 11\n')
        self.assertEqual(11, opts.service_down_time(conf))

    def test_hold_time_follows_service_down_time(self) -> None:
        conf = self.make_conf('[DEFAULT]\nservice_down_time = 90\n')
        self.assertEqual(90, opts.hold_time(conf))
        conf = self.make_conf('[servicegroup]\nhold_time = 30\n')
        self.assertEqual(30, opts.hold_time(conf))

    def test_the_old_prefix_is_the_namespace(self) -> None:
        conf = self.make_conf('[zookeeper]\nsg_prefix = /servicegroups\n')
        self.assertEqual('/servicegroups', conf.zookeeper.namespace)

    def test_values_out_of_range_are_refused(self) -> None:
        for line in (
            '[servicegroup]\nrefresh_interval = 0',
            '[zookeeper]\nsession_timeout = 0',
            '[zookeeper]\nnamespace = a/b',
            '[memcached]\nkey_prefix = a b',
        ):
            conf = cfg.ConfigOpts()
            opts.register_opts(conf)
            path = self.create_tempfiles([('bad', line)], ext='.conf')[0]
            self.assertRaises(ValueError, self._read_all, conf, path)

    @staticmethod
    def _read_all(conf: cfg.ConfigOpts, path: str) -> None:
        conf(['--config-file', path], project='nova')
        for group, options in opts.list_opts():
            for opt in options:
                getattr(conf[group] if group else conf, opt.dest)

    def test_secrets_are_not_in_the_logged_values(self) -> None:
        conf = self.make_conf(
            '[zookeeper]\nusername = nova\npassword = hush\n'
            'key_password = hush\n'
        )
        lines: list[str] = []

        class Log:
            def log(self, level: int, text: str, *args: object) -> None:
                lines.append(text % args)

        conf.log_opt_values(Log(), 10)
        self.assertIn('zookeeper.password', '\n'.join(lines))
        self.assertNotIn('hush', '\n'.join(lines))


class SampleTest(base.TestCase):
    def assert_up_to_date(self, program: str, sample: str) -> None:
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        fresh = self.create_tempfiles([('sample', '')], ext='.conf')[0]
        conf(
            [
                '--config-file',
                str(ETC / f'{program}-config-generator.conf'),
                '--output-file',
                fresh,
            ]
        )
        generator.generate(conf)
        self.assertEqual(
            pathlib.Path(fresh).read_text(),
            (ETC / sample).read_text(),
            'run: tox -e genconfig',
        )

    def test_the_sample_is_up_to_date(self) -> None:
        self.assert_up_to_date(
            'nova-servicegroup', 'nova_servicegroup.conf.sample'
        )

    def test_that_of_masakari_hostmonitor_is_up_to_date(self) -> None:
        self.assert_up_to_date(
            'masakari-hostmonitor', 'masakari_hostmonitor.conf.sample'
        )

    def test_it_needs_no_client_library_and_no_nova(self) -> None:
        code = (
            'import sys\n'
            'import nova_servicegroup.opts\n'
            'nova_servicegroup.opts.list_opts()\n'
            'heavy = {"nova", "tooz", "kazoo", "pymemcache", '
            '"oslo_messaging"}\n'
            'sys.exit(str(heavy & set(sys.modules)) '
            'if heavy & set(sys.modules) else 0)\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))
