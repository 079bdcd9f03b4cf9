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


"""Draws the figures of a report from its CSV files.

Run as a program, in an environment with matplotlib:

    python -m benchmarks.plots DIRECTORY
"""

from collections.abc import Callable, Sequence
import csv
import pathlib
import sys
from typing import Any

import matplotlib

from benchmarks import figures

matplotlib.use('svg')
# The same figures for the same numbers.
matplotlib.rcParams['svg.hashsalt'] = 'nova-servicegroup'

import matplotlib.pyplot as plt  # noqa: E402

Row = dict[str, str]
Draw = Callable[[Any, list[Row], pathlib.Path], None]

_COLORS = {
    'stock db': '#999999',
    'stock mc': '#555555',
    'our db': '#1f77b4',
    'our mc': '#2ca02c',
    'our zk': '#d62728',
    'stock db, tuned': '#c9a227',
    'our zk, S = 5 s': '#ff9896',
    'our zk, real': '#ff9896',
    'mc floor': '#98df8a',
    'zk floor': '#ffbb78',
    'floor': '#dddddd',
}


def main() -> None:
    """Draw all figures whose tables are there."""
    directory = pathlib.Path(sys.argv[1])
    for name, table, title in figures.of_all():
        rows = _read(directory, table)
        if rows:
            _draw(directory, name, title, rows)


def _read(directory: pathlib.Path, table: str) -> list[Row]:
    file = directory / f'{table}.csv'
    if not file.exists():
        return []
    with file.open() as opened:
        return list(csv.DictReader(opened))


def _draw(
    directory: pathlib.Path, name: str, title: str, rows: list[Row]
) -> None:
    figure, axes = plt.subplots(figsize=(7, 4))
    _DRAWN[name](axes, rows, directory)
    axes.set_title(title)
    figure.tight_layout()
    figure.savefig(directory / f'{name}.svg', metadata={'Date': None})
    plt.close(figure)


def _color(name: str) -> str | None:
    """Return the color of who is named most exactly."""
    known = [start for start in _COLORS if name.startswith(start)]
    return _COLORS[max(known, key=len)] if known else None


def _unique(rows: Sequence[Row], column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _lines(
    axes: Any, rows: list[Row], by: str, x: str, y: str, label: str = '{}'
) -> None:
    """Draw a line for each value of a column, on logarithmic axes."""
    for name in _unique(rows, by):
        points = [
            (float(row[x]), float(row[y]))
            for row in rows
            if row[by] == name and row[y]
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                marker='o',
                label=label.format(name),
                color=_color(name),
            )
    axes.set(xscale='log', yscale='log', xlabel=x, ylabel=y)
    axes.legend()


def _bars(
    axes: Any, rows: list[Row], by: str, group: str, y: str, scale: str
) -> None:
    """Draw a bar for each of one column, in groups of another."""
    names, groups = _unique(rows, by), _unique(rows, group)
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        heights = {
            row[group]: float(row[y])
            for row in rows
            if row[by] == name and row[y]
        }
        axes.bar(
            [
                place + (number - (len(names) - 1) / 2) * width
                for place in range(len(groups))
            ],
            [heights.get(each, 0.0) for each in groups],
            width,
            label=name,
            color=_color(name),
        )
    axes.set_xticks(range(len(groups)), groups)
    axes.set(xlabel=group, ylabel=y, yscale=scale)
    axes.legend(fontsize='small')


def _is_up(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    _lines(axes, rows, 'driver', 'hosts', 'ns a call (first decile)')


def _passes(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    _bars(axes, rows, 'driver', 'pass', 'ms a pass (first decile)', 'log')


def _refresh(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    for y in (
        'our refresh, ms (first decile)',
        'bare call, ms (first decile)',
    ):
        _lines(axes, rows, 'backend', 'members', y, f'{{}}, {y.split(",")[0]}')
    axes.set_ylabel('ms (first decile)')


def _renewals(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    _lines(axes, rows, 'driver', 'hosts', 'server CPU, us')
    axes.set_yscale('linear')
    axes.set_ylim(bottom=0)


def _detection(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    rows = [row for row in rows if row['how'] == 'SIGKILL' and row['p50, s']]
    names = [row['driver'] for row in rows]
    halves, mosts = (
        [float(row[each]) for row in rows] for each in ('p50, s', 'max, s')
    )
    axes.barh(names, halves, color=[_color(name) for name in names])
    axes.hlines(names, halves, mosts, color='black', linewidth=1)
    axes.scatter(mosts, names, marker='|', color='black')
    for name, half, most in zip(names, halves, mosts, strict=True):
        axes.annotate(
            f'{half:.3g} s',
            (most, name),
            xytext=(6, 0),
            textcoords='offset points',
            va='center',
        )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(axis='y', length=0)
    axes.set_xlabel(
        'seconds: the median as bar and number, a line to the most'
    )


def _dilemma(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    x, y = 'time until down, s', 'cores for 10,000 hosts'
    false = 'false downs in a bad moment, %'
    right = axes.twinx()
    for way, color in (('stock', '#555555'), ('ours', '#1f77b4')):
        of_way = [row for row in rows if row['way'] == way]
        places = [float(row[x]) for row in of_way]
        axes.plot(
            places,
            [float(row[y]) for row in of_way],
            marker='o',
            color=color,
            label=f'{way}: cores',
        )
        right.plot(
            places,
            [float(row[false]) for row in of_way],
            marker='x',
            linestyle='--',
            color=color,
            label=f'{way}: false downs',
        )
    for row in _read(directory, 'tuned'):
        if row['driver'].startswith('our zk'):
            axes.plot(
                float(row[x]),
                float(row[y]),
                marker='*',
                markersize=12,
                linestyle='',
                color=_color(row['driver']),
                label=f'{row["driver"]}: cores',
            )
    axes.set(xlabel=x, ylabel=y, yscale='log')
    right.set(ylabel=false, ylim=(-5, 105))
    lines = axes.get_lines() + right.get_lines()
    axes.legend(lines, [each.get_label() for each in lines])


def _stress(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    y = 'false downs a member and hour'
    _bars(axes, rows, 'driver', 'stress', y, 'linear')


def _storm(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    _bars(axes, rows, 'driver', 'what', 'kB a second', 'linear')


def _costs(axes: Any, rows: list[Row], directory: pathlib.Path) -> None:
    y = 'CPU x time, ms'
    names = [row['driver'] for row in rows]
    axes.bar(
        names,
        [float(row[y]) for row in rows],
        color=[_color(name) for name in names],
    )
    axes.set(ylabel=y, yscale='log')


_DRAWN: dict[str, Draw] = {
    'is_up': _is_up,
    'passes': _passes,
    'refresh': _refresh,
    'renewals': _renewals,
    'detection': _detection,
    'dilemma': _dilemma,
    'stress': _stress,
    'storm': _storm,
    'costs': _costs,
}


if __name__ == '__main__':
    main()
