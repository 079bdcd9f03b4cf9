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


"""Which figures there are, and the tables that they stand below."""

_FIGURES = (
    ('is_up', 'is_up', 'Time of one service_is_up'),
    ('passes', 'passes', 'Time of a pass over a fleet'),
    ('refresh', 'refresh', 'Time of a refresh of a membership'),
    ('renewals', 'renewals', 'Server CPU of a host and second'),
    ('detection', 'detection', 'Time until a killed host is down'),
    ('dilemma', 'dilemma', 'Load and false downs over the time until down'),
    ('stress', 'stress', 'False downs under stress'),
    ('storm', 'storm', 'Bytes that an observer reads'),
    ('costs', 'costs', 'CPU of a host times its time until down'),
)


def of(table: str) -> list[tuple[str, str]]:
    """Return the names and titles of a table's figures."""
    return [(name, title) for name, below, title in _FIGURES if below == table]


def of_all() -> list[tuple[str, str, str]]:
    """Return the name, the table and the title of every figure."""
    return list(_FIGURES)
