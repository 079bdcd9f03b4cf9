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

"""A picture of what a terminal shows at the end of a recording."""

import io
import json
import pathlib
import re

from rich import console
from rich import text


def draw(recording: pathlib.Path, title: str) -> str:
    """Return an SVG of an asciicast."""
    header, *events = map(json.loads, recording.read_text().splitlines())
    written = ''.join(data for _, kind, data in events if kind == 'o')
    shown = console.Console(
        record=True, width=header['width'], file=io.StringIO()
    )
    # What was written over is left out by from_ansi; a terminal ends a line
    # with both characters.
    shown.print(text.Text.from_ansi(written.replace('\r\n', '\n').rstrip()))
    drawn = shown.export_svg(title=title, unique_id=recording.stem)
    # A picture must not load anything from elsewhere.
    return re.sub(r'@font-face \{.*?\}\s*', '', drawn, flags=re.DOTALL)
