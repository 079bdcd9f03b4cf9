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


"""Options that do not go together, and a driver that cannot be used."""

from nova_servicegroup.doctor import driver
from nova_servicegroup.doctor import finding
from nova_servicegroup.doctor import options
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

OK, WARNING, ERROR = finding.Level


class OptionsTest(base.TestCase):
    def judge(self, text='', driver='db'):
        return options.judge(self.make_conf(text), driver)

    def assert_warns(self, part, text, driver='db', advice=''):
        (found,) = self.judge(text, driver)
        self.assertEqual(WARNING, found.level)
        self.assertIn(part, found.what)
        self.assertIn(advice, found.advice)
        self.assertTrue(found.why)

    def test_the_defaults_go_together(self):
        for name in ('db', 'mc', 'zk', 'other'):
            (found,) = self.judge(driver=name)
            self.assertEqual(OK, found.level)
            self.assertIn('hold_time 60 s', found.what)

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

    def test_leave_on_stop_is_a_choice(self):
        found = self.judge('[servicegroup]\nleave_on_stop = false')
        self.assertEqual([OK, OK], [each.level for each in found])
        self.assertIn('leave_on_stop is false', found[1].what)

    def test_session_timeout(self):
        text = '[zookeeper]\nsession_timeout = {}'
        self.assert_warns('more than service_down_time', text.format(61), 'zk')
        self.assert_warns('less than 5 s', text.format(4), 'zk')
        self.assertEqual(OK, self.judge(text.format(4), 'mc')[0].level)

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

    def test_deprecated_names(self):
        for name, advice in (
            ('sg_prefix = x', 'Call it namespace'),
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
            (exceptions.ConfigurationError('[a] b', 1, '2'), 'Correct'),
        ):
            found = driver.loads(lambda error=error: self._raise(error))
            self.assertEqual((ERROR, str(error)), (found.level, found.what))
            self.assertIn(advice, found.advice)

    def _raise(self, error):
        raise error

    def test_an_unusable_driver_is_not_loaded(self):
        conf = self.make_conf('[DEFAULT]\nservicegroup_driver = ldap\n')
        patient = finding.Patient(conf, None, self.fail)
        (found,) = driver.check(patient)
        self.assertEqual(ERROR, found.level)
        self.assertIn('Accepted: db, mc, zk', found.what)
