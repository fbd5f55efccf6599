"""The figure of a sweep: score against each swept option."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from deepcr_lightning.figures import as_it_is, save_figure
from deepcr_lightning.sweeps.result import Result, swept_options
from deepcr_lightning.sweeps.table import short

_COLUMNS = 3
_TICKS = 6
_LONG = 24
_DECADE = 10.0


def plot_sweep(path: Path, results: Sequence[Result]) -> None:
    """Plot the average precision of all jobs against each option in which they differ.

    Parameters
    ----------
    path : Path
        PNG to write.
    results : sequence of Result
        Those without a score are left out, and counted in the title.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    options, scored = swept_options(results), [result for result in results if result.score is not None]
    columns = min(_COLUMNS, len(options))
    rows = -(-len(options) // columns)
    size = (4.2 * max(columns, 1.4), 3.4 * rows + 0.9)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=True, layout="constrained")
    for axes, option in zip(grid.flat, options, strict=False):
        _plot_option(axes, option, scored)
    for axes in grid.flat[len(options) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("average precision, validation side")
    # Every panel has its jobs and the best; medians are in those where values repeat.
    handles, labels = max((axes.get_legend_handles_labels() for axes in grid.flat), key=lambda pair: len(pair[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    left_out = len(results) - len(scored)
    said = f"; {left_out} without a score {'is' if left_out == 1 else 'are'} left out" if left_out else ""
    figure.suptitle(f"Sweep of {len(results)} jobs{said}")
    save_figure(figure, path)


def _plot_option(axes: Axes, option: str, results: Sequence[Result]) -> None:
    given = [result.options.get(option, "default") for result in results]
    scores = np.array([result.score for result in results], np.float64)
    values = list(dict.fromkeys(given))
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        numbers = {value: float(place) for place, value in enumerate(values)}
        _name_ticks(axes, [as_it_is(short(value)) for value in values])
    else:
        _scale(axes, sorted(numbers.values()))
    x = np.array([numbers[value] for value in given])
    axes.plot(x, scores, "o", mfc="none", color="#1f77b4", label="job")
    best = int(np.argmax(scores))
    axes.plot(x[best], scores[best], "*", ms=13, color="#d62728", label="best")
    if len(values) < len(results):
        medians = [np.median(scores[x == number]) for number in numbers.values()]
        axes.plot(list(numbers.values()), medians, "_", ms=22, mew=2, color="black", label="median per value")
    axes.set_xlabel(option)
    axes.grid(alpha=0.3)


def _name_ticks(axes: Axes, names: list[str]) -> None:
    crowded = sum(map(len, names)) > _LONG
    axes.set_xticks(range(len(names)), names, rotation=20 if crowded else 0, ha="right" if crowded else "center")
    axes.set_xlim(-0.5, len(names) - 0.5)


def _scale(axes: Axes, numbers: list[float]) -> None:
    wide = numbers[0] > 0 and numbers[-1] >= _DECADE * numbers[0]
    if wide:
        axes.set_xscale("log")
    if len(numbers) <= _TICKS:
        axes.xaxis.set_major_locator(FixedLocator(numbers))
        axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    # Margins in the scale of the axis: the outermost points and their medians lie inside.
    first, last = (np.log10(numbers[0]), np.log10(numbers[-1])) if wide else (numbers[0], numbers[-1])
    margin = 0.18 * (last - first) or 0.5
    axes.set_xlim(*((10 ** (first - margin), 10 ** (last + margin)) if wide else (first - margin, last + margin)))
