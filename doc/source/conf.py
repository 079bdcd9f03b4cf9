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


project = 'nova-servicegroup'
copyright = 'The nova-servicegroup project'
extensions = [
    'cliff.sphinxext',
    'openstackdocstheme',
    'oslo_config.sphinxconfiggen',
    'oslo_config.sphinxext',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinxcontrib.programoutput',
]
# The lists of modules are not worth a page for each.
autosummary_generate = False
# What only the driver of masakari-hostmonitor needs.
autodoc_mock_imports = ['masakarimonitors', 'openstack']
html_theme = 'openstackdocs'
openstackdocs_repo_name = 'nova-servicegroup'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
version = release = ''
config_generator_config_file = [
    (
        '../../etc/nova_servicegroup/nova-servicegroup-config-generator.conf',
        '_static/nova_servicegroup',
    ),
    (
        '../../etc/nova_servicegroup/'
        'masakari-hostmonitor-config-generator.conf',
        '_static/masakari_hostmonitor',
    ),
]
man_pages = [
    (f'cli/{name}', name, summary, [], section)
    for name, summary, section in (
        ('nova-servicegroup', 'which services of Nova are alive', 1),
        ('nova-servicegroup-status', 'check nova-servicegroup', 1),
        ('nova-servicegroup-exporter', 'liveness of Nova as metrics', 8),
        ('nova-servicegroup-monitor', 'notifications of dead services', 8),
        ('nova-servicegroup-collector', 'write heartbeats of services', 8),
        ('nova-servicegroup-agent', 'tell a dead service from a dead host', 8),
    )
]
