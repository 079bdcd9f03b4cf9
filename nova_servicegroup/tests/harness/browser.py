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


"""A real Chromium, which is driven as a person would."""

import json
import pathlib
import shutil
import subprocess
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome import service
from selenium.webdriver.common import by
from selenium.webdriver.common import keys

#: Nothing of its own goes out to the network, nor does the machine need a
#: screen or a graphics card. As root, Chromium has no sandbox.
_ARGUMENTS = (
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--hide-scrollbars',
    'about:blank',
)


def _program(name: str) -> str:
    """Return the path of a program.

    :raises RuntimeError: it is not installed
    """
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f'{name} is missing; see bindep.txt')
    return found


class Browser:
    """A Chromium with a profile of its own.

    :param directory: for the profile
    """

    def __init__(self, directory: pathlib.Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = _program('chromium')
        options.set_capability(
            'goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'}
        )
        for each in (f'--user-data-dir={directory}', *_ARGUMENTS):
            options.add_argument(each)
        self._driver = webdriver.Chrome(
            options,
            service.Service(
                _program('chromedriver'), log_output=subprocess.DEVNULL
            ),
        )
        self._driver.set_page_load_timeout(30)

    def close(self) -> None:
        """End it."""
        self._driver.quit()

    def open(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self._driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """Have a window of a size."""
        self._driver.execute_cdp_cmd(
            'Emulation.setDeviceMetricsOverride',
            {
                'width': width,
                'height': height,
                'deviceScaleFactor': 1,
                'mobile': False,
            },
        )

    def prefer(self, scheme: str) -> None:
        """Prefer light or dark colours."""
        feature = {'name': 'prefers-color-scheme', 'value': scheme}
        self._driver.execute_cdp_cmd(
            'Emulation.setEmulatedMedia', {'features': [feature]}
        )

    def allow_scripts(self, allowed: bool) -> None:
        """Run the scripts of pages, or not."""
        self._driver.execute_cdp_cmd(
            'Emulation.setScriptExecutionDisabled', {'value': not allowed}
        )

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; return its result."""
        return self._driver.execute_script(script, *arguments)

    def press(self, *texts: str) -> None:
        """Press keys, wherever the focus is."""
        actions = webdriver.ActionChains(self._driver)
        actions.send_keys(*texts).perform()

    def tab(self) -> str:
        """Press the tab key; return the id or the label of what has focus."""
        self.press(keys.Keys.TAB)
        return str(
            self.run(
                'const now = document.activeElement;'
                'return now.id || now.getAttribute("aria-labelledby")'
                ' || now.textContent || now.parentElement.id;'
            )
        )

    def text(self, selector: str) -> str:
        """Return the text of an element, as it is seen."""
        found = self._driver.find_element(by.By.CSS_SELECTOR, selector)
        return str(found.text)

    def console(self) -> list[str]:
        """Return what the console has shown since the last call."""
        return [each['message'] for each in self._driver.get_log('browser')]

    def requested(self) -> list[str]:
        """Return the URLs requested since the last call."""
        events = [
            json.loads(each['message'])['message']
            for each in self._driver.get_log('performance')
        ]
        return [
            each['params']['request']['url']
            for each in events
            if each['method'] == 'Network.requestWillBeSent'
        ]

    def picture(self) -> bytes:
        """Return a picture of the window, as PNG."""
        found: bytes = self._driver.get_screenshot_as_png()
        return found
