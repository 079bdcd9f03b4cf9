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


"""Tests of the checks of options and of the driver."""

from nova_servicegroup.doctor import driver
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import options
from nova_servicegroup.drivers import base as drivers
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

OK, WARNING, ERROR = finding.Level


KINDS = {
    'db': drivers.DATABASE,
    'etcd': drivers.ETCD,
    'mc': drivers.MEMCACHED,
    'redis': drivers.REDIS,
    'zk': drivers.ZOOKEEPER,
}


class OptionsTest(base.TestCase):
    def judge(self, text='', driver='db'):
        return options.judge(self.make_conf(text), KINDS.get(driver, ''))

    def assert_warns(self, part, text, driver='db', advice=''):
        (found,) = self.judge(text, driver)
        self.assertEqual(WARNING, found.level)
        self.assertIn(part, found.what)
        self.assertIn(advice, found.advice)
        self.assertTrue(found.why)

    def test_the_defaults_go_together(self):
        for name in ('db', 'etcd', 'mc', 'redis', 'zk', 'other'):
            (found,) = self.judge(driver=name)
            self.assertEqual(OK, found.level)
            self.assertIn('hold_time 60 s', found.what)

    def test_keys_of_redis(self):
        text = '[redis]\nttl = {}'
        self.assert_warns('ttl = 61 is more', text.format(61), 'redis')
        self.assert_warns('ttl = 4 is less', text.format(4), 'redis')
        self.assert_warns(
            'without TLS', '[redis]\npassword = hush', 'redis', 'use_tls'
        )
        self.assert_warns(
            'check_hostname',
            '[redis]\nuse_tls = true\ncheck_hostname = false',
            'redis',
        )

    def test_no_heartbeats(self):
        self.assert_warns(
            'report_interval is 0', '[DEFAULT]\nreport_interval = 0'
        )

    def test_what_nova_replaces_silently(self):
        self.assert_warns(
            'Nova takes 50 s instead',
            '[DEFAULT]\nreport_interval = 20\nservice_down_time = 20',
        )

    def test_too_few_heartbeats(self):
        text = '[DEFAULT]\nreport_interval = 10\nservice_down_time = {}'
        self.assert_warns('less than three times', text.format(29))
        self.assertEqual(OK, self.judge(text.format(30))[0].level)

    def test_hold_time(self):
        text = '[servicegroup]\nhold_time = {}'
        self.assert_warns('hold_time = 59 is less', text.format(59))
        self.assertEqual(OK, self.judge(text.format(60))[0].level)

    def test_refresh_interval(self):
        text = '[servicegroup]\nrefresh_interval = {}'
        self.assert_warns('refresh_interval = 16', text.format(16))
        self.assertEqual(OK, self.judge(text.format(15))[0].level)

    def test_a_cache_of_nova_that_raises(self):
        text = '[cache]\nenabled = {}\nbackend = {}'
        for backend in ('dogpile.cache.pymemcache', 'dogpile.cache.memcached'):
            for driver_name in ('db', 'mc', 'zk'):
                self.assert_warns(
                    f'[cache] backend is {backend}',
                    text.format('true', backend),
                    driver_name,
                    'oslo_cache.memcache_pool',
                )
            (found,) = self.judge(text.format('false', backend))
            self.assertEqual(OK, found.level)
        (found,) = self.judge(text.format('true', 'oslo_cache.memcache_pool'))
        self.assertEqual(OK, found.level)

    def test_leave_on_stop_is_a_choice(self):
        found = self.judge('[servicegroup]\nleave_on_stop = false')
        self.assertEqual([OK, OK], [each.level for each in found])
        self.assertIn('leave_on_stop is false', found[1].what)

    def test_session_timeout(self):
        text = '[zookeeper]\nsession_timeout = {}'
        self.assert_warns('more than service_down_time', text.format(61), 'zk')
        self.assert_warns('less than 5 s', text.format(4), 'zk')
        self.assertEqual(OK, self.judge(text.format(4), 'mc')[0].level)

    def test_a_lease_of_etcd(self):
        text = '[etcd]\nttl = {}'
        self.assert_warns('more than service_down', text.format(61), 'etcd')
        self.assert_warns('less than 5 s', text.format(4), 'etcd')
        self.assertEqual(OK, self.judge(text.format(4), 'mc')[0].level)
        text = '[etcd]\naddress = a\npassword = b\nuse_tls = {}'
        self.assert_warns('password', text.format('false'), 'etcd', 'use_tls')
        self.assertEqual(OK, self.judge(text.format('true'), 'etcd')[0].level)

    def test_an_even_number_of_servers(self):
        text = '[zookeeper]\naddress = a:1,b:2{}'
        self.assert_warns('2 servers, an even', text.format(''), 'zk')
        self.assertEqual(OK, self.judge(text.format(',c'), 'zk')[0].level)

    def test_a_key_that_lasts_longer_than_service_down_time(self):
        text = '[DEFAULT]\nreport_interval = 30\nservice_down_time = 60'
        found = self.judge(text, 'mc')
        self.assertIn('90 s', found[1].what)

    def test_a_timeout_of_memcached(self):
        text = '[memcached]\ntimeout = {}'
        self.assert_warns('timeout = 5 is half', text.format(5), 'mc')
        self.assertEqual(OK, self.judge(text.format(4), 'mc')[0].level)

    def test_host_names_that_are_not_checked(self):
        for name, group in (('zk', 'zookeeper'), ('mc', 'memcached')):
            text = f'[{group}]\nuse_tls = true\ncheck_hostname = {{}}'
            self.assert_warns(
                f'[{group}] check_hostname', text.format('false'), name
            )
            self.assertEqual(
                OK, self.judge(text.format('true'), name)[0].level
            )
            # Without TLS there is nothing to compare.
            text = f'[{group}]\ncheck_hostname = false'
            self.assertEqual(OK, self.judge(text, name)[0].level)

    def test_a_password_without_tls(self):
        text = '[zookeeper]\nusername = a\npassword = b\nuse_tls = {}'
        self.assert_warns('password', text.format('false'), 'zk', 'use_tls')
        self.assertEqual(OK, self.judge(text.format('true'), 'zk')[0].level)

    def test_deprecated_names(self):
        for name, advice in (
            ('sg_prefix = x', 'Use namespace instead'),
            ('recv_timeout = 10000', 'session_timeout'),
            ('sg_retry_interval = 1', 'back off by themselves'),
        ):
            self.assert_warns(
                'is deprecated', f'[zookeeper]\n{name}', 'zk', advice
            )

    def test_deprecated_names_in_a_directory(self):
        conf = self.make_conf()
        path = self.create_tempfiles(
            [('more', '[zookeeper]\nsg_prefix = x\n')], '.conf'
        )[0]
        conf(
            ['--config-dir', path.rpartition('/')[0]],
            default_config_files=[],
        )
        (found,) = options.judge(conf, 'zk')
        self.assertIn('sg_prefix is deprecated', found.what)


class DriverTest(base.TestCase):
    def test_an_error_of_each_kind_has_its_advice(self):
        for error, advice in (
            (exceptions.LibraryMissing('zk', 'kazoo', 'zk'), 'Install'),
            (
                exceptions.LibraryUnusable('zk', 'tooz', ImportError('x')),
                'versions that fit',
            ),
            (exceptions.ConfigurationError('[a] b', 1, '2'), 'Correct'),
        ):
            found = driver.judge_loading(
                lambda error=error: self._raise(error)
            )
            self.assertEqual((ERROR, str(error)), (found.level, found.what))
            self.assertIn(advice, found.advice)

    def _raise(self, error):
        raise error

    def test_an_unusable_driver_is_not_loaded(self):
        conf = self.make_conf('[DEFAULT]\nservicegroup_driver = ldap\n')
        subject = finding.Subject(conf, None, self.fail)
        (found,) = driver.check(subject)
        self.assertEqual(ERROR, found.level)
        self.assertIn('Accepted: db, etcd, mc, redis, zk', found.what)
