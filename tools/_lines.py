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

"""Counts the lines of code of the drivers: ``python tools/_lines.py``.

Blank lines, comments and docstrings do not count. The documentation shows the
output.
"""

import ast
from collections.abc import Iterator
import io
import pathlib
import tokenize

_DRIVERS = pathlib.Path(__file__).parents[1] / 'nova_servicegroup' / 'drivers'
_PACKAGES = ('zk', 'etcd', 'redis', 'mc', 'common')
#: The module of each package that only the doctor uses.
_CHECKS = 'status.py'
_NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
)


def count(text: str) -> int:
    """Return how many lines of a module contain code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - set(_docstrings(text)))


def _docstrings(text: str) -> Iterator[int]:
    """Yield the numbers of the lines of docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds) and ast.get_docstring(node, False):
            first = node.body[0]
            yield from range(first.lineno, (first.end_lineno or 0) + 1)


def table() -> Iterator[str]:
    """Yield a line for each package: modules, lines, lines for the doctor."""
    yield f'{"package":<10}{"modules":>8}{"lines":>8}{"for the doctor":>17}'
    for name in _PACKAGES:
        counts = {
            path.name: count(path.read_text())
            for path in (_DRIVERS / name).glob('*.py')
            if path.name != '__init__.py'
        }
        checks = counts.pop(_CHECKS, 0)
        lines = sum(counts.values())
        yield f'{name:<10}{len(counts):>8}{lines:>8}{checks or "-":>17}'


if __name__ == '__main__':
    print('\n'.join(table()))
