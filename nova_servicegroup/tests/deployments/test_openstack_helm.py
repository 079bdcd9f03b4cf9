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

"""The examples for OpenStack-Helm."""

from typing import Any

import yaml

from nova_servicegroup.tests.deployments import example

HELM = example.CONTRIB / 'openstack-helm'


def values(name: str) -> Any:
    """Return the values of an example."""
    return yaml.safe_load((HELM / f'{name}.yaml').read_text())


def to_oslo_conf(sections: dict[str, dict[str, Any]]) -> str:
    """Write sections as helm-toolkit's template of that name does.

    It joins the items of a list with commas.
    """
    return ''.join(
        f'[{section}]\n'
        + ''.join(
            f'{name} = '
            + (','.join(value) if isinstance(value, list) else str(value))
            + '\n'
            for name, value in options.items()
        )
        for section, options in sections.items()
    )


class ValuesTest(example.ExampleTest):
    def test_nova_asks_every_pod_of_etcd(self) -> None:
        pods = range(values('etcd')['pod']['replicas']['etcd'])
        domain = 'etcd-discovery.openstack.svc.cluster.local'
        self.assert_drives(
            to_oslo_conf(values('nova')['conf']['nova']),
            'etcd',
            [f'etcd-etcd-{pod}.{domain}:2379' for pod in pods],
        )

    def test_every_image_that_uses_the_driver_has_the_package(self) -> None:
        tags = values('nova')['images']['tags']
        self.assertEqual(
            {f'nova_{each}' for each in _SERVICES.split()}, set(tags)
        )
        (image,) = set(tags.values())
        text = (HELM / 'Dockerfile').read_text()
        self.assertIn(f'docker build --tag {image} ', text)
        self.assertIn("'nova-servicegroup[etcd,exporter,monitor]'", text)


#: Those that ask whether a service is up, or report.
_SERVICES = 'api compute compute_ironic conductor scheduler'
