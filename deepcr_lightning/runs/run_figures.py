"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from deepcr_lightning.figures import save_figure
from deepcr_lightning.training.module import Scored

_FEWEST = 20
"""Pixels of a bin of the probability below which it says nothing."""


def plot_history(path: Path, history: Mapping[str, Sequence[tuple[int, float]]], basis: str) -> None:
    """Plot losses, validation scores, gradient norm, learning rate and speed against the epoch.

    Parameters
    ----------
    path : Path
        PNG to write.
    history : dict of str to list of (epoch, value)
        By the name that was logged, such as ``val/loss``.
    basis : str
        What the scores rest on, such as "estimated without truth".
    """
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained", sharex=True)
    panels = (
        ("loss", "log", ("train/loss_epoch", "val/loss", "val/star_loss", "val/bridge_loss")),
        (f"score, {basis}", "linear", ("val/average_precision", "val/completeness", "val/purity")),
        ("gradient norm, learning rate", "log", ("train/gradient_norm_epoch", "learning_rate")),
        ("training tiles a second", "linear", ("train/tiles_per_second_epoch",)),
    )
    for cell, (label, scale, names) in zip(axes.flat, panels, strict=True):
        cell.set(ylabel=label, yscale=scale)
        for name in names:
            if history.get(name):
                epochs, values = zip(*history[name], strict=True)
                shown = name.replace("_epoch", "").replace("_", " ")
                cell.plot(np.asarray(epochs) + 1, values, marker=".", label=shown)
        cell.grid(alpha=0.3)
        cell.xaxis.set_major_locator(MaxNLocator(integer=True))
        if cell.lines:
            cell.legend()
        else:  # a network that fills has no completeness
            cell.set_visible(False)
    axes[1, 1].set_ylim(bottom=0)
    for cell in axes[1]:
        cell.set_xlabel("epoch")
    save_figure(figure, path)


def plot_curves(path: Path, sides: Mapping[str, Scored], basis: str) -> None:
    """Plot purity and false-positive rate against completeness, with the default threshold marked.

    Parameters
    ----------
    path : Path
        PNG to write.
    sides : dict of str to Scored
        Scores of a side, by its name.
    basis : str
        What the scores rest on.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for name, side in sides.items():
        values = {key: tensor.numpy() for key, tensor in side.curves.items()}
        here = min(int(np.searchsorted(values["threshold"], side.threshold)), len(values["threshold"]) - 1)
        # An estimate of 0 has no place on a logarithm: it stands at the edge.
        rate = np.maximum(100 * values["false_positive_rate"], 1e-3)
        label = f"{name}, threshold {side.threshold:.3g}"
        for axes, x, y in (
            (left, values["completeness"], values["purity"]),
            (right, rate, values["completeness"]),
        ):
            (line,) = axes.plot(x, y)
            axes.plot(x[here], y[here], "o", color=line.get_color(), label=label)
    left.set(xlabel="completeness", ylabel="purity", xlim=(0, 1.01), ylim=(0, 1.01))
    right.set_xscale("log")
    right.set(xlabel="false-positive rate [% of pixels]", ylabel="completeness", xlim=(1e-3, 10), ylim=(0, 1.01))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"Precision-recall and ROC of pixels, {basis}")
    save_figure(figure, path)


def plot_reliability(path: Path, sides: Mapping[str, Scored], basis: str) -> None:
    """Plot the share of CRs against the probability that the map gives.

    Parameters
    ----------
    path : Path
        PNG to write.
    sides : dict of str to Scored
        Scores of a side, by its name.
    basis : str
        What the shares rest on.
    """
    figure, (top, below) = plt.subplots(
        2, 1, figsize=(5.6, 6.0), layout="constrained", sharex=True, height_ratios=[3, 1]
    )
    top.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
    for name, scored in sides.items():
        side = scored.reliability
        there = side.pixels >= _FEWEST
        top.errorbar(side.said[there], side.seen[there], side.error[there], marker=".", capsize=2, label=name)
        below.stairs(side.pixels, np.linspace(0, 1, len(side.pixels) + 1), label=name)
    top.set(ylabel="fraction of cosmic rays", xlim=(0, 1), ylim=(0, 1.2))
    below.set(xlabel="predicted probability", ylabel="pixels", yscale="log")
    top.grid(alpha=0.3)
    top.legend()
    figure.suptitle(f"Reliability, {basis}")
    save_figure(figure, path)
