"""Figures of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.figures import save_figure
from deepcr_lightning.scores.reliability import reliability
from deepcr_lightning.scores.with_truth import labels_of, precision_recall, roc

_RATE = "false-positive rate [% of pixels]"
_COMPLETENESS = "completeness [% of CR pixels]"
_LOWEST_RATE = 1e-3


def plot_curves(
    path: Path, counts: Mapping[str, Mapping[str, NDArray]], marks: Mapping[str, Mapping[str, float]]
) -> None:
    """Plot ROC and precision-recall curves, a line a group, with the mask's own point on each.

    Parameters
    ----------
    path : Path
        PNG to write.
    counts : mapping of str to mapping of str to ndarray, shape (BINS,)
        Counts of each group, by `scores.with_truth.KINDS`.
    marks : mapping of str to mapping of str to float
        Scores of each group.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for name, histograms in counts.items():
        rate, completeness = roc(histograms["cr"], histograms["other"])
        recall, purity = precision_recall(histograms["cr"], histograms["other"])
        mark = marks[name]
        style = {"color": "black", "linewidth": 2.2} if name == "all" else {}
        label = f"{name}, average precision {mark['average_precision']:.4f}"
        (line,) = left.plot(np.maximum(100 * rate, _LOWEST_RATE), 100 * completeness, label=label, **style)
        right.plot(100 * recall, 100 * purity, **style)
        point = {"marker": "o", "linestyle": "", "color": line.get_color()}
        left.plot(max(100 * mark["false_positive_rate"], _LOWEST_RATE), 100 * mark["completeness"], **point)
        right.plot(100 * mark["completeness"], 100 * mark["purity"], **point)
    left.plot([], [], "o", color="grey", label="mask at the threshold")
    left.set_xscale("log")
    left.set(xlabel=_RATE, ylabel=_COMPLETENESS, xlim=(_LOWEST_RATE, 5))
    right.set(xlabel=_COMPLETENESS, ylabel="purity [% of flagged pixels]", xlim=(0, 101), ylim=(50, 101))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(loc="lower right", fontsize="small")
    figure.suptitle("Against the truth; pixels that touch a true cosmic ray are not counted")
    save_figure(figure, path)


def plot_reliability(path: Path, counts: Mapping[str, Mapping[str, NDArray]], errors: Mapping[str, float]) -> None:
    """Plot the share of CRs among pixels against the probability that the map gives them.

    Parameters
    ----------
    path : Path
        PNG to write.
    counts : mapping of str to mapping of str to ndarray, shape (BINS,)
        Counts of each group, by `scores.with_truth.KINDS`.
    errors : mapping of str to float
        Expected calibration error of each group.
    """
    figure, (top, below) = plt.subplots(
        2, 1, figsize=(5.6, 6.4), layout="constrained", sharex=True, height_ratios=[3, 1]
    )
    top.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
    for name, histograms in counts.items():
        said, seen, pixels, _ = reliability(*labels_of(histograms))
        there = pixels >= 20
        style = {"color": "black", "linewidth": 2.2} if name == "all" else {"alpha": 0.8}
        top.plot(said[there], seen[there], marker=".", label=f"{name}, error {errors[name]:.3f}", **style)
        if name == "all":
            below.stairs(pixels, np.linspace(0, 1, len(pixels) + 1), fill=True, color="grey")
    top.set(ylabel="fraction of cosmic rays", xlim=(0, 1), ylim=(0, 1))
    below.set(xlabel="predicted probability", ylabel="pixels", yscale="log")
    top.grid(alpha=0.3)
    top.legend(fontsize="small", title="error over pixels above 0.01")
    figure.suptitle("Reliability of the probability")
    save_figure(figure, path)


def plot_events(path: Path, events: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
    """Plot completeness against charge and length of events, and against the distance of pixels to a star.

    Parameters
    ----------
    path : Path
        PNG to write.
    events : mapping
        From `evaluation.score_summary.summarise_events`.
    """
    titles = {
        "charge": ("charge of the event [electrons]", "events found [%]"),
        "length": ("length of the event [pixels]", "events found [%]"),
        "distance": ("distance to the nearest star [pixels]", "CR pixels found [%]"),
    }
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for cell, (name, (xlabel, ylabel)) in zip(axes, titles.items(), strict=True):
        edges, total = events[name]["edges"], np.asarray(events[name]["total"])
        completeness = 100 * np.array([np.nan if c is None else c for c in events[name]["completeness"]])
        places = np.arange(len(total))
        cell.bar(places, completeness, width=0.9, color="#4c72b0")
        for place, value, count in zip(places, completeness, total, strict=True):
            height = value + 1 if count else 1  # where there is none, its 0 stands on the axis
            cell.text(place, height, f"{count:,}", ha="center", va="bottom", fontsize="x-small", rotation=60)
        cell.set_xticks(places, [_range(*pair) for pair in pairwise(edges)], rotation=45)
        cell.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.7, len(total) - 0.3), ylim=(0, 118))
        cell.set_yticks(range(0, 101, 20))
        cell.grid(alpha=0.3, axis="y")
    figure.suptitle("Completeness of the mask; numbers on the bars count true events and pixels")
    save_figure(figure, path)


def plot_without_truth(
    path: Path,
    curves: Mapping[str, Tensor],
    draws: Sequence[Mapping[str, Tensor]],
    truth: Mapping[str, NDArray] | None,
) -> None:
    """Plot the curves that need no truth, with their uncertainty, and those of the truth where it is known.

    Parameters
    ----------
    path : Path
        PNG to write.
    curves : mapping of str to Tensor
        Curves of all exposures (`scores.truth_free.curves_of`).
    draws : sequence of mapping of str to Tensor
        The same as they might have been; may be empty.
    truth : mapping of str to ndarray, shape (BINS,), optional
        By `scores.with_truth.KINDS`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for drawn in draws:
        _draw_curves(left, right, drawn, {"color": "#dd8452", "alpha": 0.1})
    _draw_curves(left, right, curves, {"color": "#c44e52", "label": "without truth, added cosmic rays"})
    if draws:
        left.plot([], [], color="#dd8452", alpha=0.5, label="within its uncertainty")
    if truth is not None:
        rate, completeness = roc(truth["labelled"], truth["unlabelled"])
        recall, purity = precision_recall(truth["labelled"], truth["unlabelled"])
        style = {"color": "black", "linestyle": "--", "label": "truth"}
        left.plot(np.maximum(100 * rate, _LOWEST_RATE), 100 * completeness, **style)
        right.plot(100 * recall, 100 * purity, **style)
    left.set_xscale("log")
    left.set(xlabel=_RATE, ylabel=_COMPLETENESS, xlim=(_LOWEST_RATE, 5), ylim=(0, 101))
    right.set(xlabel=_COMPLETENESS, ylabel="purity [% of flagged pixels]", xlim=(0, 101), ylim=(50, 101))
    for cell in (left, right):
        cell.grid(alpha=0.3)
    left.legend(loc="lower right", fontsize="small")
    figure.suptitle("Completeness, false positives and purity without truth")
    save_figure(figure, path)


def _draw_curves(left: Axes, right: Axes, curves: Mapping[str, Tensor], style: Mapping[str, Any]) -> None:
    values = {name: 100 * curve.numpy() for name, curve in curves.items()}
    left.plot(np.maximum(values["false_positive_rate"], _LOWEST_RATE), values["completeness"], **style)
    right.plot(values["completeness"], values["purity"], **style)


def _range(low: float, high: float | None) -> str:
    return f"> {low:g}" if high is None else f"{low:g}-{high:g}"
