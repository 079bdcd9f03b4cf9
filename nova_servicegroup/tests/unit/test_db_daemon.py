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

"""nova-servicegroup-collector: its options, and what RabbitMQ is told."""

from typing import Any
from unittest import mock

import oslo_messaging as messaging

from nova_servicegroup.drivers.db import calls
from nova_servicegroup.drivers.db import daemon
from nova_servicegroup.drivers.db import intake
from nova_servicegroup.drivers.db import listening
from nova_servicegroup.drivers.db import transports
from nova_servicegroup import exceptions
from nova_servicegroup.tests import base

_CONFIG = """
[DEFAULT]
transport_url = {transport_url}
servicegroup_driver = {driver}
report_interval = {report_interval}
[servicegroup]
also_report_to = {also_report_to}
[database]
connection = {connection}
"""
_USABLE = {
    'transport_url': 'rabbit://user:hush@127.0.0.1:1/',
    'driver': 'db',
    'report_interval': 10,
    'also_report_to': '',
    'connection': 'sqlite:///hush.sqlite',
}


class Consumer:
    """One of oslo.messaging's consumers."""

    def __init__(self, arguments: dict[str, Any] | None) -> None:
        self._arguments = arguments
        self.declare(None)

    def declare(self, connection: object) -> None:
        self.queue = mock.Mock(consumer_arguments=self._arguments)


class PreferTest(base.TestCase):
    """The priority that RabbitMQ is told."""

    def prefer(self, *consumers: Consumer) -> None:
        listener = mock.Mock()
        listener.conn.connection._consumers = dict.fromkeys(consumers, 1)
        intake.prefer(listener, 7)

    def test_every_consumer_has_the_priority(self) -> None:
        made = [Consumer(None), Consumer(None)]
        self.prefer(*made)
        for each in made:
            self.assertEqual({'x-priority': 7}, each.queue.consumer_arguments)

    def test_and_has_it_after_a_new_connection(self) -> None:
        made = Consumer(None)
        self.prefer(made)
        made.declare(None)
        self.assertEqual({'x-priority': 7}, made.queue.consumer_arguments)

    def test_other_arguments_are_kept(self) -> None:
        theirs = {'x-cancel-on-ha-failover': True}
        made = Consumer(theirs)
        self.prefer(made)
        self.assertEqual(
            {**theirs, 'x-priority': 7}, made.queue.consumer_arguments
        )
        self.assertNotIn('x-priority', theirs)


class ServerTest(base.TestCase):
    """A server on a transport that is not RabbitMQ's."""

    def create(self, taking: intake.Intake) -> Any:
        """Return the listener that a server makes."""
        made = listening.make_server(
            messaging.get_rpc_transport(self.make_conf(), 'fake:/'),
            'host',
            'threading',
            mock.Mock(),
            taking,
        )
        return made._create_listener()

    def test_one_that_cannot_be_preferred_collects_all_the_same(self) -> None:
        made = self.create(intake.DAEMON)
        self.assertIsInstance(made._poll_style_listener, listening.Drain)
        (line,) = self.log_lines('WARNING')
        self.assertIn('cannot be told to prefer', line)

    def test_one_in_a_conductor_does_not_ask_for_it(self) -> None:
        made = self.create(intake.CONDUCTOR)
        self.assertIsInstance(made._poll_style_listener, listening.Drain)
        self.assertEqual([], self.log_lines('WARNING'))


class IntakeTest(base.TestCase):
    def test_that_in_a_conductor_leaves_the_rest_to_the_operator(self) -> None:
        options = intake.CONDUCTOR.transport_options
        self.assertEqual('200', options['rabbit_qos_prefetch_count'])
        self.assertNotIn('heartbeat_timeout_threshold', options)

    def test_a_frozen_daemon_is_found_before_a_third_heartbeat(self) -> None:
        heartbeat = int(
            intake.DAEMON.transport_options['heartbeat_timeout_threshold']
        )
        # RabbitMQ waits for up to three of AMQP's.
        self.assertLess(3 * heartbeat, 20.0)
        # It must not take one for frozen that waits for its database.
        self.assertGreater(2 * heartbeat, calls.HANG)

    def test_a_daemon_gathers_for_less_than_services_report(self) -> None:
        self.assertEqual(0.1, intake.DAEMON.paced(1.0).gather)
        self.assertEqual(intake.DAEMON, intake.DAEMON.paced(10.0))


class DaemonTest(base.TestCase):
    """The options that it reads."""

    def make(self, **how: Any) -> daemon.Daemon:
        return daemon.Daemon(
            self.make_conf(_CONFIG.format(**{**_USABLE, **how}))
        )

    def refuse(self, **how: Any) -> str:
        error = self.assertRaises(
            exceptions.ConfigurationError, self.make, **how
        )
        self.assertNotIn('hush', str(error))
        return str(error)

    def test_a_driver_without_collectors_is_refused(self) -> None:
        self.assertIn('servicegroup_driver', self.refuse(driver='zk'))

    def test_one_that_is_secondary_has_collectors(self) -> None:
        self.make(driver='zk', also_report_to='mc,db').stop()

    def test_services_that_never_report_need_none(self) -> None:
        self.assertIn('report_interval', self.refuse(report_interval=0))

    def test_a_url_that_cannot_be_used_is_named_without_its_password(
        self,
    ) -> None:
        for url in ('', 'hush', 'what://user:hush@host/nova'):
            self.assertIn('[database] connection', self.refuse(connection=url))
        for url in ('what://user:hush@host/', 'user:hush'):
            self.assertIn('transport_url', self.refuse(transport_url=url))

    def test_nothing_connects_before_it_starts(self) -> None:
        made = self.make()
        made.stop()
        made.wait()
        self.assertEqual([], self.log_lines('ERROR'))

    def test_the_engine_is_as_configured(self) -> None:
        text = 'mysql+pymysql://user@host/nova\nmax_pool_size = 3\n'
        conf = self.make_conf(
            _CONFIG.format(**{**_USABLE, 'connection': text})
        )
        with mock.patch.object(
            daemon.engines, 'create_engine', autospec=True
        ) as create:
            daemon.Daemon(conf)
        self.assertEqual(3, create.call_args.kwargs['max_pool_size'])
        self.assertEqual(
            'TRADITIONAL', create.call_args.kwargs['mysql_sql_mode']
        )
        # It does not wait for the database.
        self.assertEqual(0, create.call_args.kwargs['max_retries'])

    def test_the_operators_options_of_the_transport_take_precedence(
        self,
    ) -> None:
        url = _USABLE['transport_url'] + '?rabbit_qos_prefetch_count=5'
        with mock.patch.object(
            transports.messaging, 'get_rpc_transport'
        ) as made:
            self.make(transport_url=url)
        query = made.call_args.args[1].query
        self.assertEqual('5', query['rabbit_qos_prefetch_count'])
        self.assertEqual('5', query['heartbeat_timeout_threshold'])
