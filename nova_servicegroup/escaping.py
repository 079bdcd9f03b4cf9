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

"""Makes text from untrusted sources safe to show."""

from collections.abc import Collection


def printable(value: object, limit: int | None = None) -> str:
    r"""Return the text of a value in one line, without control characters.

    Unprintable characters become Python escapes, as ``\n``, ``\x1b`` or
    ``\udcff``. Escaped text is not changed again.

    :param limit: cut the text to so many characters
    """
    text = str(value)
    if limit is not None and len(text) > limit:
        text = f'{text[:limit]}...'
    if text.isprintable():
        return text
    return ''.join(map(_escaped, text))


def line(text: str) -> str:
    """Return a text of several lines in one printable line."""
    return printable(' '.join(text.split()))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode('unicode_escape').decode('ascii')


def names(hosts: Collection[str], most: int) -> str:
    """Return the sorted names of hosts, and how many are left out.

    :param most: the most names to return
    """
    shown = ', '.join(map(printable, sorted(hosts)[:most]))
    more = len(hosts) - most
    return f'{shown} and {more} more' if more > 0 else shown
