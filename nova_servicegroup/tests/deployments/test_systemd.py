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

"""The units of contrib/systemd, in a systemd that runs as process 1.

It needs root. See boot_systemd.sh for how it is kept apart from this machine.
"""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import time

from nova_servicegroup import api
from nova_servicegroup.tests import base
from nova_servicegroup.tests.deployments import example
from nova_servicegroup.tests.harness import etcd
from nova_servicegroup.tests.harness import process

UNITS = example.CONTRIB / 'systemd'
AGENT = 'nova-servicegroup-agent.service'
BOOT = pathlib.Path(__file__).with_name('boot_systemd.sh')
#: Seconds to boot, and for a change of a service.
BOOTS, CHANGES = 30.0, 20.0
#: Seconds for which a service that waits is watched.
WAITS = 6.0

_SYSTEMCTL = '/usr/bin/systemctl'
#: The program of a package, on the copy of this machine's files.
_PROGRAM = """\
#!/test/venv/bin/python
import sys
sys.path.insert(0, '/test/source')
from nova_servicegroup.cmd import agent
sys.exit(agent.main())
"""
#: An agent that is ready when there is a file.
_STAND_IN = """\
#!/bin/bash
cd /test/out
echo agent starts >>events
until [ -e backend ]; do sleep 0.1; done
echo agent is ready >>events
systemd-notify --ready
trap 'echo agent stops >>events; exit' TERM
while :; do systemd-notify WATCHDOG=1; sleep 1 & wait $!; done
"""
_COMPUTE = """\
#!/bin/bash
cd /test/out
echo compute starts >>events
trap 'echo compute stops >>events; exit' TERM
while :; do sleep 1 & wait $!; done
"""
#: What a test changes in the unit of the agent.
_DROP_IN = """\
[Service]
ExecStart=
ExecStart=/test/program --config-file /etc/nova/nova.conf
NotifyAccess=all
ReadWritePaths=/test/out
"""
#: As an operator has it; its own bound is too short to wait.
_COMPUTE_UNIT = """\
[Service]
ExecStart=/test/compute
User=nova
TimeoutStartSec=2
Restart=on-failure
"""


class SystemdTest(example.ExampleTest):
    """What both tests need: a machine with a user and the agent's unit."""

    def setUp(self) -> None:
        super().setUp()
        self.root.chmod(0o755)
        self.units = self.root / 'etc/systemd/system'
        self.units.mkdir(parents=True)
        for name in 'passwd', 'group':
            text = pathlib.Path('/etc', name).read_text()
            own = 'nova:x:64060:' + {'passwd': '64060::/:/bin/sh'}.get(
                name, ''
            )
            self.write(f'etc/{name}', f'{text}{own}\nwatchdog:x:64061:\n')
        self.write('etc/systemd/system/default.target', '[Unit]\n')
        self.ship(AGENT)
        self.drop_in(AGENT, 'test.conf', _DROP_IN)
        self.out = self.root / 'out'
        self.out.mkdir()
        self.out.chmod(0o777)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def ship(self, name: str) -> None:
        """Install a unit."""
        shutil.copy(UNITS / name, self.units)

    def drop_in(self, unit: str, name: str, text: str) -> None:
        """Install a drop-in of a unit."""
        self.write(f'etc/systemd/system/{unit}.d/{name}', text)

    def boot(self) -> None:
        """Boot, until services can be started."""
        self.machine = process.Process(
            [str(BOOT), str(self.root), sys.prefix, str(example.ROOT)],
            self.root / 'machine',
        )
        self.addCleanup(self.machine.stop)
        self.machine.start()
        process.wait_until(
            lambda: self.ask('is-active', 'default.target') == 'active',
            BOOTS,
            0.2,
            self.machine.tail(40),
        )

    def ask(self, *words: str) -> str:
        """Return what systemctl prints, whether it fails or not."""
        first = _systemd(self.machine.pid)
        if first is None:
            return ''
        inside = 'nsenter', f'--target={first}', '--all', '--root', '--wd=/'
        done = subprocess.run(
            [*inside, _SYSTEMCTL, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CHANGES,
        )
        return done.stdout.strip()

    def wait_active(self, unit: str) -> None:
        process.wait_until(
            lambda: self.ask('is-active', unit) == 'active',
            CHANGES,
            0.1,
            f'{unit} is active',
        )


@base.only_long
class AgentTest(SystemdTest):
    """The agent, in the sandbox of its unit."""

    def test_it_joins_and_is_restarted(self) -> None:
        server = etcd.Etcd(self.root / 'etcd')
        self.addCleanup(server.kill)
        server.start()
        text = (
            '[DEFAULT]\nservicegroup_driver = etcd\nhost = host1\n'
            f'[etcd]\naddress = {server.address}\n'
            '[servicegroup]\nprocess_directory = /run/nova-servicegroup\n'
        )
        self.write('etc/nova/nova.conf', text)
        self.write('program', _PROGRAM, 0o755)
        self.boot()
        self.ask('start', '--no-block', AGENT)
        self.wait_active(AGENT)
        made = api.API(self.make_conf(text))
        self.addCleanup(made.driver.close)

        def incarnations() -> list[str]:
            view = made.driver.view('host', detailed=True)
            return [
                each.name
                for member in view.members
                for each in member.incarnations
            ]

        process.wait_until(incarnations, CHANGES, 0.1, 'it has joined')
        (first,) = incarnations()
        self.ask('kill', '--signal=KILL', AGENT)
        process.wait_until(
            lambda: set(incarnations()) - {first}, CHANGES, 0.1, 'it is back'
        )
        self.ask('stop', AGENT)
        process.wait_until(
            lambda: not incarnations(), CHANGES, 0.1, 'it has left'
        )


@base.only_long
class OrderTest(SystemdTest):
    """nova-compute, on a host with a watchdog.

    It must not start servers before the watchdog guards the host.
    """

    def setUp(self) -> None:
        super().setUp()
        self.write('program', _STAND_IN, 0o755)
        self.write('compute', _COMPUTE, 0o755)
        self.write('etc/systemd/system/nova-compute.service', _COMPUTE_UNIT)
        for unit, name in (
            (AGENT, 'watchdog.conf'),
            ('nova-compute.service', 'nova-compute.conf'),
        ):
            self.drop_in(unit, name, (UNITS / name).read_text())
        self.boot()

    def assert_events(self, *expected: str) -> None:
        """Check what has happened, or is about to, since it was last asked."""
        file = self.out / 'events'

        def lines() -> list[str]:
            return file.read_text().splitlines() if file.exists() else []

        with contextlib.suppress(TimeoutError):
            process.wait_until(
                lambda: len(lines()) >= len(expected), CHANGES, 0.1
            )
        self.assertEqual(list(expected), lines())
        file.unlink()

    def assert_waits(self, *unit: str) -> None:
        """Check that nova-compute waits for the agent, and starts then."""
        (self.out / 'backend').unlink(missing_ok=True)
        self.ask('start', '--no-block', *unit)
        time.sleep(WAITS)
        self.assert_events('agent starts')
        (self.out / 'backend').touch()
        self.wait_active('nova-compute')
        self.assert_events('agent is ready', 'compute starts')

    def test_it_waits_for_the_agent_and_outlives_it(self) -> None:
        self.assert_waits('nova-compute')
        self.ask('kill', '--signal=KILL', AGENT)
        time.sleep(1.0)
        self.wait_active(AGENT)
        self.assert_events('agent starts', 'agent is ready')
        self.ask('restart', AGENT)
        self.assert_events('agent stops', 'agent starts', 'agent is ready')
        self.ask('restart', 'nova-compute')
        self.wait_active('nova-compute')
        self.assert_events('compute stops', 'compute starts')
        self.ask('stop', 'nova-compute', AGENT)
        self.assert_events('compute stops', 'agent stops')
        self.assert_waits(AGENT, 'nova-compute')
        self.ask('stop', AGENT)
        self.assert_events('agent stops')
        # A restart starts the agent, too, and waits for it.
        (self.out / 'backend').unlink()
        self.ask('restart', '--no-block', 'nova-compute')
        time.sleep(WAITS)
        self.assert_events('compute stops', 'agent starts')


def _systemd(pid: int | None) -> int | None:
    """Return the process of systemd, below that of the script."""
    while pid is not None:
        if pathlib.Path(f'/proc/{pid}/comm').read_text() == 'systemd\n':
            return pid
        children = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
        found = children.read_text().split()
        pid = int(found[0]) if found else None
    return None
