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


"""The status page in a real Chromium, with a real exporter and servers."""

from selenium.webdriver.common import keys

from nova_servicegroup.tests.functional import contract
from nova_servicegroup.tests.functional import test_exporter
from nova_servicegroup.tests.functional import test_zk
from nova_servicegroup.tests.harness import browser
from nova_servicegroup.tests.harness import hollow
from nova_servicegroup.tests.harness import process

#: Seconds between two updates of the page.
UPDATE = 5.0
#: Hosts enough for a map, and one with a long name without a break.
HOSTS = [*(f'compute-{each:03}' for each in range(250)), 'x' * 255]


class BrowserTest(
    test_zk.ZooKeeperBackend,
    test_exporter.Exported,
    contract.FunctionalTestCase,
):
    session_timeout = 3
    browser: browser.Browser

    @classmethod
    def start_backend(cls) -> None:
        super().start_backend()
        cls.browser = browser.Browser(cls.root / 'profile')
        cls.addClassCleanup(cls.browser.close)

    def setUp(self) -> None:
        super().setUp()
        self.hollow = hollow.Hollow(
            self.server.address, self.unique, 'compute', self.session_timeout
        )
        self.addCleanup(self.hollow.close)
        self.hollow.join(HOSTS)
        self.exporting(canary=False)
        self.wait(self.is_ready, contract.START)
        self.wait(
            lambda: self.value('members', state='up') == len(HOSTS),
            contract.START,
        )
        self.browser.prefer('light')
        self.browser.resize(1280, 900)
        self.browser.console()
        self.browser.requested()

    def open(self, query: str = '') -> None:
        self.browser.open(self.exporter.url(f'/{query}'))

    def shows(self, text: str, selector: str = 'main') -> float:
        """Wait until the page shows a text by itself; return for how long."""
        return process.wait_until(
            lambda: text in self.browser.text(selector),
            UPDATE + self.session_timeout + 2.0,
            0.1,
            text,
        )

    def assert_clean(self) -> None:
        """Check that nothing was wrong, or asked of another server."""
        self.assertEqual([], self.browser.console())
        requested = self.browser.requested()
        self.assertNotEqual([], requested)
        for each in requested:
            self.assertTrue(each.startswith(self.exporter.url('/')), each)

    def test_it_updates_by_itself(self) -> None:
        self.open()
        self.assertEqual('All services are up', self.browser.text('#headline'))
        self.assertEqual('None.', self.browser.text('#services-table'))
        self.browser.run(
            'scrollTo(0, 150); document.getElementById("filter").focus();'
        )
        self.browser.press('comp')
        before = self.browser.run('return [scrollY, performance.timeOrigin]')
        self.hollow.leave(['compute-042'])
        self.measured('from a death to the page', self.shows('1 down'))
        self.assertIn(
            'missing from a group', self.browser.text('#services-table')
        )
        self.assertIn('compute-042', self.browser.text('#transitions-table'))
        self.assertEqual('1 down', self.browser.text('#announce'))
        # Nothing of what a person does is lost.
        self.browser.press('ute-04')
        self.assertEqual(
            [*before, 'filter', 'compute-04'],
            self.browser.run(
                'const now = document.activeElement;'
                'return [scrollY, performance.timeOrigin, now.id, now.value]'
            ),
        )
        self.assert_clean()
        self.browser.press(keys.Keys.ENTER)
        self.shows('10 of 251 match', '#group-1-hosts')
        self.exporter.kill()
        self.shows('The exporter does not answer')

    def test_the_login_of_a_proxy_is_no_news(self) -> None:
        self.open()
        title = self.browser.run('return document.title')
        self.browser.run(
            'window.fetch = async () => new Response("<title>Log in</title>")'
        )
        self.shows('The exporter does not answer')
        self.assertEqual(title, self.browser.run('return document.title'))

    def test_any_width_and_colours(self) -> None:
        self.open()
        colours = []
        for scheme in ('light', 'dark'):
            self.browser.prefer(scheme)
            colours.append(
                self.browser.run(
                    'const style = getComputedStyle(document.body);'
                    'return [style.backgroundColor, style.color]'
                )
            )
        self.assertEqual(
            [
                ['rgb(250, 250, 248)', 'rgb(29, 34, 38)'],
                ['rgb(20, 23, 25)', 'rgb(227, 230, 232)'],
            ],
            colours,
        )
        self.hollow.leave(['x' * 255])
        self.shows('1 down')
        for width in (1280, 700, 400):
            self.browser.resize(width, 800)
            self.assertEqual(
                [],
                self.browser.run(
                    'return [...document.querySelectorAll("body *")]'
                    '.filter(it => it.getBoundingClientRect().right'
                    ' > innerWidth).map(it => it.outerHTML)'
                ),
            )
        self.assert_clean()

    def test_without_a_mouse_or_a_script(self) -> None:
        self.open()
        stops = [self.browser.tab() for _ in range(6)]
        self.assertEqual(
            [
                'Skip to the services that are not up',
                'filter',
                'Filter',
                'updates',
                'services',
                'transitions',
            ],
            stops,
        )
        outline = self.browser.run(
            'return getComputedStyle(document.activeElement).outlineStyle'
        )
        self.assertEqual('solid', outline)
        self.browser.allow_scripts(False)
        self.addCleanup(self.browser.allow_scripts, True)
        self.open('?host=compute-24')
        self.assertEqual('', self.browser.text('#updates'))
        self.assertIn('10 of 251 match', self.browser.text('#group-1-hosts'))
        self.assert_clean()
