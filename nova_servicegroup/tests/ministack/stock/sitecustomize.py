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


"""Hides this package from a Nova process, which then is a stock one."""

import sys


class _Finder:
    """Hides the entry points once stevedore is there to look for them."""

    def find_spec(self, name, path=None, target=None):
        if name == 'stevedore.extension':
            sys.meta_path.remove(self)
            from stevedore import _cache

            find = _cache.get_group_all
            _cache.get_group_all = lambda *args: [
                each
                for each in find(*args)
                if not each.value.startswith('nova_servicegroup')
            ]


sys.meta_path.insert(0, _Finder())
