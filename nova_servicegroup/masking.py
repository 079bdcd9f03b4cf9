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


"""Masks the credentials of URLs before text is logged or shown."""

from collections.abc import Iterator
import re
import urllib.parse

MASK = '***'

# Up to the last @: a password may contain an unescaped one.
_IN_URL = re.compile(r'//\S*@')
# SQLAlchemy then takes the end of the password for a part of the host name,
# which database clients quote in errors. A member id has a hexadecimal token
# after the @ and is not masked.
_IN_QUOTES = re.compile(
    r"""(["'])[^"']+@(?![0-9a-f]{16,}\1)([^"'@\s]*)\1""", re.IGNORECASE
)


def urls(text: str) -> str:
    """Return text with the part before the @ of URLs and hosts masked."""
    text = _IN_URL.sub(f'//{MASK}@', text)
    return _IN_QUOTES.sub(rf'\1{MASK}@\2\1', text)


def secrets(url: str) -> Iterator[str]:
    """Return the texts of a known URL that must not be shown.

    These are its passwords, and the parts of one that a parser may take for a
    host, a port or a path, as errors quote them.
    """
    for password in _passwords(url):
        yield from (password, urllib.parse.unquote(password))
        if '@' not in password:
            continue
        for match in re.finditer('@', password):
            yield f'{password[match.end() :]}@'
        for part in re.split('[@:/?#]', password):
            yield from (f"'{part}'", f'"{part}"')


def _passwords(url: str) -> Iterator[str]:
    """Return the passwords of a URL, which may name several hosts."""
    rest = url.partition('://')[2]
    hosts = rest.split(',')
    if not all('@' in each for each in hosts):
        hosts = [rest]
    for each in hosts:
        password = each.rpartition('@')[0].partition(':')[2]
        if password:
            yield password
