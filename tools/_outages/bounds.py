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

"""Bounds that follow from options. Pure.

A bound is a sum of options, their multiples and seconds, for example
``1/3 session_timeout + 1.5 tick + 1``.
"""

from collections.abc import Mapping
import fractions


def value(bound: str, options: Mapping[str, float]) -> float:
    """Return the value of a bound in seconds.

    :raises KeyError: an option is unknown
    """
    return sum(_term(each, options) for each in bound.split(' + '))


def text(bound: str, options: Mapping[str, float]) -> str:
    """Return a bound in words and in seconds, for a page."""
    words = ' + '.join(_words(each) for each in bound.split(' + '))
    seconds = f'{round(value(bound, options), 2):g} s'
    return seconds if words == seconds else f'{words} = {seconds}'


def _term(term: str, options: Mapping[str, float]) -> float:
    factor, _, name = term.rpartition(' ')
    if factor:
        return float(fractions.Fraction(factor)) * options[name]
    return options[name] if name in options else float(name)


def _words(term: str) -> str:
    factor, _, name = term.rpartition(' ')
    if name[0].isdigit():
        return f'{name} s'
    return f'{factor} ``{name}``'.strip()
