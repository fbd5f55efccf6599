"""What all benchmarks of growth share: their options, their rows and their figures."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter

sys.path.append(str(Path(__file__).parents[1]))

from report import Row, parser, publish

from deepcr_lightning.figures import save_figure


@dataclass(frozen=True)
class Curve:
    """How something grows.

    Attributes
    ----------
    name, unit : str
        What grows, and its unit.
    sizes, values : sequence of float
        Sizes, ascending, and the value at each.
    """

    name: str
    unit: str
    sizes: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """Axes of a figure.

    Attributes
    ----------
    across, up : str
        Labels of the axes.
    curves : sequence of Curve
        What is drawn.
    x, y : {"log", "linear"}
        Scales of the axes. A linear one begins at 0; two logarithmic ones show a dotted line in proportion to the size.
    """

    across: str
    up: str
    curves: Sequence[Curve]
    x: str = "log"
    y: str = "log"


def options(description: str | None, largest: int) -> argparse.ArgumentParser:
    """Make the command line: ``--largest``, ``--figure`` and ``--json``."""
    made = parser(description)
    made.add_argument("--largest", type=int, default=largest, help="largest size (default: %(default)s)")
    made.add_argument("--figure", type=Path, metavar="PNG", help="draw the curves there")
    return made


def finish(chosen: argparse.Namespace, curves: Sequence[Curve], panels: Sequence[Panel]) -> None:
    """Print the rows, write them and draw the figure as asked.

    The peer of a value is the one at the size before, grown in proportion to the size: a ratio above 1 is below that.
    """
    rows = []
    for curve in curves:
        for n, (size, value) in enumerate(zip(curve.sizes, curve.values, strict=True)):
            peer = curve.values[n - 1] * size / curve.sizes[n - 1] if n else value
            told = f"in proportion to {curve.sizes[n - 1]:g}" if n else "itself"
            rows.append(Row(f"{curve.name}, {size:g}", value, curve.unit, told, peer, peer / value if value else 1.0))
    publish(rows, chosen.json)
    if chosen.figure is not None:
        draw(chosen.figure, panels)


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Draw the panels side by side.

    Parameters
    ----------
    path : Path
        PNG to write.
    panels : sequence of Panel
        From left to right.
    """
    figure, grid = plt.subplots(1, len(panels), figsize=(3.9 * len(panels), 3.4), squeeze=False, layout="constrained")
    for axes, panel in zip(grid[0], panels, strict=True):
        for curve in panel.curves:
            axes.plot(curve.sizes, curve.values, "o-" if panel.x == "log" else "-", label=curve.name, lw=1.2, ms=4)
        axes.set(xscale=panel.x, yscale=panel.y)
        if panel.y == "linear":
            axes.set_ylim(0, 1.25 * max(max(curve.values) for curve in panel.curves))
        elif panel.x == "log":
            _proportion(axes, panel.curves)
        for axis in (axes.xaxis, axes.yaxis):
            _label_plainly(axis)
        axes.set(xlabel=panel.across, ylabel=panel.up)
        axes.legend(fontsize=7, frameon=False)
        axes.grid(alpha=0.25, lw=0.5)
    save_figure(figure, path)


def _label_plainly(axis: Axis) -> None:
    # Below 1000 numbers stay short; over few decades Matplotlib labels a logarithmic axis with 4 x 10^0, 6 x 10^0.
    low, high = axis.get_view_interval()
    if axis.get_scale() == "log" and high < 1000 and high / low < 1000:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def _proportion(axes: plt.Axes, curves: Sequence[Curve]) -> None:
    last = max(curves, key=lambda curve: curve.values[-1])
    first, end = last.sizes[0], last.sizes[-1]
    low, high = axes.get_ylim()
    axes.plot([first, end], [last.values[-1] * first / end, last.values[-1]], ":", c="0.5", lw=1, label="in proportion")
    axes.set_ylim(max(low, high * 10 ** -math.ceil(math.log10(high / low))), high)
