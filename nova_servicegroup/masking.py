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


"""Credentials in URLs, which nobody may read in a log or on a terminal."""

from collections.abc import Iterator
import re
import urllib.parse

MASK = '***'

# Up to the last @: a password may have others that were not escaped.
_IN_URL = re.compile(r'//\S*@')
# With such a password, SQLAlchemy takes its end for a part of the host's name,
# which database clients tell in quotes. What is hexadecimal after the @ is a
# member id.
_IN_QUOTES = re.compile(
    r"""(["'])[^"']+@(?![0-9a-f]{16,}\1)([^"'@\s]*)\1""", re.IGNORECASE
)


def urls(text: str) -> str:
    """Return text without what stands before the @ of URLs and hosts."""
    text = _IN_URL.sub(f'//{MASK}@', text)
    return _IN_QUOTES.sub(rf'\1{MASK}@\2\1', text)


def secrets(url: str) -> Iterator[str]:
    """Return what must not be shown of a URL that is known.

    That is its passwords, and what of one a parser may take for a host, a
    port or a path, as errors tell it.
    """
    for password in _passwords(url):
        yield from (password, urllib.parse.unquote(password))
        if '@' not in password:
            continue
        for place in re.finditer('@', password):
            yield f'{password[place.end() :]}@'
        for part in re.split('[@:/?#]', password):
            yield from (f"'{part}'", f'"{part}"')


def _passwords(url: str) -> Iterator[str]:
    """Return the passwords of a URL, which may name several hosts."""
    rest = url.partition('://')[2]
    places = rest.split(',')
    if not all('@' in each for each in places):
        places = [rest]
    for each in places:
        password = each.rpartition('@')[0].partition(':')[2]
        if password:
            yield password
