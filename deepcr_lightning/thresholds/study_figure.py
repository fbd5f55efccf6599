"""The figure of a threshold study: four panels as in Chen et al. 2024, figure 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from deepcr_lightning.figures import as_it_is, save_figure
from deepcr_lightning.scores.intervals import interval, resampled
from deepcr_lightning.thresholds.star_counts import Counts
from deepcr_lightning.thresholds.star_study import Study

_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
_ADDED, _LOST = "#2ca02c", "#d62728"


def plot_study(
    path: Path, study: Study, filters: Sequence[str], corners: Sequence[Sequence[float]] | None, real: Counts | None
) -> None:
    """Plot star counts against the threshold, the colour-magnitude diagram and the counts in its box.

    Parameters
    ----------
    path : Path
        PNG to write.
    study : Study
    filters : sequence of str
    corners : sequence of (float, float), optional
        Corners of the box: colour and magnitude.
    real : Counts, optional
        Counts of the stars that the truth knows.
    """
    figure, axes = plt.subplots(2, 2, figsize=(11, 9), layout="constrained")
    _plot_total(axes[0, 0], study.thresholds, study.total, "all good stars", "black")
    if real is not None:
        _plot_total(axes[0, 0], study.thresholds, real, "real ones among them", "#1f77b4")
    axes[0, 0].axhline(1, color="grey", linewidth=0.8)
    axes[0, 0].set(ylabel="stars, relative to no mask")
    _plot_changes(axes[0, 1], study.thresholds, study.total, "-")
    if real is not None:
        _plot_changes(axes[0, 1], study.thresholds, real, ":", "real stars ")
    axes[0, 1].set(ylabel="fraction of the stars without a mask [%]")
    _plot_cmd(axes[1, 0], study, filters, corners)
    if study.box is None:
        axes[1, 1].set_axis_off()
        axes[1, 1].text(0.5, 0.5, "no box given", ha="center", transform=axes[1, 1].transAxes)
    else:
        for counts in study.dithered:
            _plot_changes(axes[1, 1], study.thresholds, counts, "--", None)
        _plot_changes(axes[1, 1], study.thresholds, study.box, "-", "")
        if study.dithered:
            axes[1, 1].plot([], [], "--", color="grey", label="shifted boxes")
        axes[1, 1].set(ylabel="fraction of the stars in the box without a mask [%]")
    for cell in (axes[0, 0], axes[0, 1], axes[1, 1]):
        if cell.axison:
            cell.axvline(study.recommended.threshold, color="#1f77b4", linestyle="-.", label="recommended")
            cell.set(xscale="logit", xlabel="threshold")
            cell.set_xticks(_TICKS, labels=[f"{tick:g}" for tick in _TICKS])
            cell.minorticks_off()
            low, high = study.thresholds[0], study.thresholds[-1]
            cell.set_xlim(0.9 * low, 1 - 0.9 * (1 - high))
            cell.grid(alpha=0.3)
            cell.legend(fontsize="small")
    save_figure(figure, path)


def _plot_total(axes: Axes, thresholds: NDArray[np.float64], counts: Counts, label: str, colour: str) -> None:
    legacy = max(counts.legacy.sum(), 1)
    axes.plot(thresholds, 1 + (counts.added - counts.lost).sum(1) / legacy, "o-", color=colour, ms=4, label=label)
    weights = resampled(len(counts.legacy))
    drawn = 1 + (weights @ (counts.added - counts.lost).T) / np.maximum(weights @ counts.legacy, 1)[:, None]
    low, high = np.array([interval(column) for column in drawn.T]).T
    axes.fill_between(thresholds, low, high, color=colour, alpha=0.12)


def _plot_changes(
    axes: Axes, thresholds: NDArray[np.float64], counts: Counts, style: str, name: str | None = ""
) -> None:
    legacy = max(counts.legacy.sum(), 1)
    look: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.5} if name is None else {"linewidth": 1.8}
    for kind, values, colour in (("added", counts.added, _ADDED), ("lost", counts.lost, _LOST)):
        label = None if name is None else f"{name}{kind}"
        axes.plot(thresholds, 100 * values.sum(1) / legacy, style, color=colour, label=label, **look)


def _plot_cmd(axes: Axes, study: Study, filters: Sequence[str], corners: Sequence[Sequence[float]] | None) -> None:
    best = int(np.argmin(np.abs(study.thresholds - study.recommended.threshold)))
    stars = [chip.masked[best] for chip in study.chips]
    magnitude = np.concatenate([one.magnitudes[:, -1] for one in stars])
    filters = tuple(as_it_is(name) for name in filters)
    if len(filters) == 1:
        axes.hist(magnitude, 60, histtype="step", color="black")
        axes.set(xlabel=f"{filters[0]} [mag]", ylabel="good stars", title="one filter: no colours")
        return
    colour = np.concatenate([one.colour for one in stars])
    axes.plot(colour, magnitude, ".", color="black", ms=2, alpha=0.5, rasterized=True)
    if corners is not None:
        axes.add_patch(Polygon(np.asarray(corners, float), fill=False, edgecolor="red", linewidth=1.5))
    axes.set(xlabel=f"{filters[0]} - {filters[1]} [mag]", ylabel=f"{filters[1]} [mag]")
    axes.set_title(f"good stars at threshold {study.thresholds[best]:g}", fontsize="medium")
    if len(colour):
        low, high = np.quantile(colour, [0.005, 0.995])
        axes.set_xlim(low - 0.3, high + 0.3)
    axes.invert_yaxis()
