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


"""The spare hook: oslo.policy imports this module in every process of Nova.

oslo.policy loads the checks that packages offer, and calls one only if a
policy names it. Here, importing the module is what installs the drivers.
"""

from nova_servicegroup.plugin import hook

hook.install()


class Deny:
    """A policy check that denies everything; no policy uses it."""

    def __init__(self, kind: str, match: str) -> None:
        self.kind = kind
        self.match = match

    def __str__(self) -> str:
        return f'{self.kind}:{self.match}'

    def __call__(
        self,
        target: object,
        creds: object,
        enforcer: object,
        current_rule: str | None = None,
    ) -> bool:
        """Deny access. Never raises."""
        return False
