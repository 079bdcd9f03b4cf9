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

Run as a program, in an environment with what requirements.txt here names:

    python -m benchmarks.plots DIRECTORY
"""

import pathlib
import sys
from typing import Any

import matplotlib
from matplotlib import pyplot
import pandas

from benchmarks import report

matplotlib.use('svg')
# The same figures for the same numbers.
matplotlib.rcParams['svg.hashsalt'] = 'nova-servicegroup'

_COLORS = {
    'stock db': '#999999',
    'stock mc': '#555555',
    'our db': '#1f77b4',
    'our mc': '#2ca02c',
    'our zk': '#d62728',
    'our etcd': '#1f9ea8',
    'our etcd, S = 10 s': '#1f9ea8',
    'our redis': '#8c564b',
    'our redis, S = 10 s': '#8c564b',
    'etcd floor': '#9edae5',
    'redis floor': '#c49c94',
    'stock db, tuned': '#c9a227',
    'our zk, S = 5 s': '#ff9896',
    'our zk, real': '#ff9896',
    'mc floor': '#98df8a',
    'zk floor': '#ffbb78',
    'floor': '#dddddd',
}


def main() -> None:
    """Draw all figures whose tables exist."""
    directory = pathlib.Path(sys.argv[1])
    for name, table, title in report.FIGURES:
        rows = _read(directory, table)
        if not rows.empty:
            figure, axes = pyplot.subplots(figsize=(7, 4))
            _DRAWN[name](axes, rows, directory)
            axes.set_title(title)
            figure.tight_layout()
            figure.savefig(directory / f'{name}.svg', metadata={'Date': None})
            pyplot.close(figure)


def _read(directory: pathlib.Path, table: str) -> pandas.DataFrame:
    file = directory / f'{table}.csv'
    return pandas.read_csv(file) if file.exists() else pandas.DataFrame()


def _color(name: str) -> str | None:
    """Return the color of the longest known start of a name."""
    known = [start for start in _COLORS if name.startswith(start)]
    return _COLORS[max(known, key=len)] if known else None


def _lines(
    axes: Any, rows: pandas.DataFrame, by: str, x: str, y: str, label: str = ''
) -> None:
    """Draw a line for each value of a column, on logarithmic axes."""
    for name, points in rows.dropna(subset=[y]).groupby(by, sort=False):
        axes.plot(
            points[x],
            points[y],
            marker='o',
            label=f'{name}{label}',
            color=_color(name),
        )
    axes.set(xscale='log', yscale='log', xlabel=x, ylabel=y)
    axes.legend()


def _bars(
    axes: Any, rows: pandas.DataFrame, group: str, y: str, log: bool = False
) -> None:
    """Draw a bar for each driver, in groups of another column."""
    drivers = rows['driver'].unique()
    heights = rows.pivot(index=group, columns='driver', values=y)
    heights.reindex(index=rows[group].unique(), columns=drivers).plot.bar(
        ax=axes,
        color=[_color(each) for each in drivers],
        width=0.8,
        rot=0,
        ylabel=y,
        logy=log,
    )
    axes.legend(fontsize='small')


def _is_up(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    _lines(axes, rows, 'driver', 'hosts', 'ns a call (first decile)')


def _passes(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    _bars(axes, rows, 'pass', 'ms a pass (first decile)', log=True)


def _refresh(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    for what in ('our refresh, ms', 'bare call, ms'):
        y = f'{what} (first decile)'
        label = f', {what.split(",")[0]}'
        _lines(axes, rows, 'backend', 'members', y, label)
    axes.set_ylabel('ms (first decile)')


def _renewals(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    _lines(axes, rows, 'driver', 'hosts', 'server CPU, us')
    axes.set_yscale('linear')
    axes.set_ylim(bottom=0)


def _detection(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    rows = rows[rows['how'] == 'SIGKILL'].dropna(subset=['p50, s'])
    names, halves, mosts = rows['driver'], rows['p50, s'], rows['max, s']
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


def _dilemma(
    axes: Any, rows: pandas.DataFrame, directory: pathlib.Path
) -> None:
    x, cores = 'time until down, s', 'cores for 10,000 hosts'
    false = 'false downs in a bad moment, %'
    right = axes.twinx()
    for way, color in (('stock', '#555555'), ('ours', '#1f77b4')):
        points = rows[rows['way'] == way]
        label = f'{way}: cores'
        axes.plot(points[x], points[cores], 'o-', color=color, label=label)
        label = f'{way}: false downs'
        right.plot(points[x], points[false], 'x--', color=color, label=label)
    for row in _read(directory, 'tuned').to_dict('records'):
        name = row['driver']
        if name.startswith('our zk'):
            axes.plot(
                row[x],
                row[cores],
                '*',
                markersize=12,
                color=_color(name),
                label=f'{name}: cores',
            )
    axes.set(xlabel=x, ylabel=cores, yscale='log')
    right.set(ylabel=false, ylim=(-5, 105))
    _add_legend(axes, axes.get_lines() + right.get_lines())


def _add_legend(axes: Any, lines: list[Any]) -> None:
    # Below the axes, where it covers nothing.
    axes.legend(
        lines,
        [each.get_label() for each in lines],
        loc='upper center',
        bbox_to_anchor=(0.5, -0.18),
        ncols=2,
        fontsize='small',
    )


def _stress(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    _bars(axes, rows, 'stress', 'false downs a member and hour')


def _storm(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    _bars(axes, rows, 'what', 'kB a second')


def _costs(axes: Any, rows: pandas.DataFrame, _: pathlib.Path) -> None:
    names, y = rows['driver'], 'CPU x time, ms'
    axes.bar(names, rows[y], color=[_color(name) for name in names])
    axes.set(ylabel=y, yscale='log')


_DRAWN = {
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
