"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.figures import save_figure
from deepcr_lightning.scores.reliability import Reliability

ERROR_COLOURS = {"found": "#2ca02c", "missed": "#d62728", "flagged, not added": "#1f77b4"}
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


def plot_curves(path: Path, sides: Mapping[str, tuple[Mapping[str, Tensor], float]], basis: str) -> None:
    """Plot purity and false-positive rate against completeness, with the default threshold marked.

    Parameters
    ----------
    path : Path
        PNG to write.
    sides : dict of str to (dict of Tensor, float)
        Curves of `training.metrics.TruthFreeCurves`, and the threshold, by what they are of.
    basis : str
        What the scores rest on.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for name, (curves, threshold) in sides.items():
        values = {key: tensor.numpy() for key, tensor in curves.items()}
        here = min(int(np.searchsorted(values["threshold"], threshold)), len(values["threshold"]) - 1)
        # An estimate of 0 has no place on a logarithm: it stands at the edge.
        rate = np.maximum(100 * values["false_positive_rate"], 1e-3)
        label = f"{name}, threshold {threshold:.3g}"
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


def plot_reliability(path: Path, sides: Mapping[str, Reliability], basis: str) -> None:
    """Plot the share of CRs against the probability that the map gives.

    Parameters
    ----------
    path : Path
        PNG to write.
    sides : dict of str to Reliability
        By what they are of.
    basis : str
        What the shares rest on.
    """
    figure, (top, below) = plt.subplots(
        2, 1, figsize=(5.6, 6.0), layout="constrained", sharex=True, height_ratios=[3, 1]
    )
    top.plot([0, 1], [0, 1], color="grey", linestyle=":", label="says what is")
    for name, side in sides.items():
        there = side.pixels >= _FEWEST
        top.errorbar(side.said[there], side.seen[there], side.error[there], marker=".", capsize=2, label=name)
        below.stairs(side.pixels, np.linspace(0, 1, len(side.pixels) + 1), label=name)
    top.set(ylabel="share of cosmic rays", xlim=(0, 1), ylim=(0, 1.2))
    below.set(xlabel="probability of the map", ylabel="pixels", yscale="log")
    top.grid(alpha=0.3)
    top.legend()
    figure.suptitle(f"Reliability, {basis}")
    save_figure(figure, path)


def plot_tiles(path: Path, batch: Mapping[str, Tensor], probability: Tensor, threshold: float, count: int = 4) -> None:
    """Show validation tiles: image, added CRs, probability, and what was found and missed.

    Parameters
    ----------
    path : Path
        PNG to write.
    batch : dict of Tensor
        From `batches.compose.compose_batch`.
    probability : Tensor of float32, shape (B, 1, S, S)
    threshold : float
    count : int
        Tiles to show.
    """
    count = min(count, len(probability))
    figure, axes = plt.subplots(count, 4, figsize=(12, 3 * count), squeeze=False, layout="constrained")
    for cell in axes.flat:
        cell.set(xticks=[], yticks=[])
    for cell, title in zip(axes[0], ("image", "added cosmic rays", "probability", f"above {threshold:g}"), strict=True):
        cell.set_title(title)
    for n, row in enumerate(axes):
        image, label, ignore = (batch[key][n, 0].cpu().numpy() for key in ("image", "cr_mask", "ignore"))
        chance = probability[n, 0].cpu().numpy()
        shown = row[0].imshow(image, cmap="gray", vmin=-3, vmax=np.percentile(image, 99.5), origin="lower")
        row[1].imshow(label, cmap="gray", vmin=0, vmax=1, origin="lower")
        map_shown = row[2].imshow(chance, cmap="magma", vmin=0, vmax=1, origin="lower")
        row[3].imshow(_errors(chance > threshold, label > 0.5, ignore), origin="lower", **_error_colours())
        figure.colorbar(shown, ax=row[0], label="normalised image [local noise]")
        figure.colorbar(map_shown, ax=row[2])
    handles = [Patch(color=colour, label=label) for label, colour in ERROR_COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, frameon=False)
    figure.suptitle("Blue: the image's own cosmic rays, which carry no label, and what is flagged in error")
    save_figure(figure, path)


def _errors(found: NDArray[np.bool_], label: NDArray[np.bool_], ignore: NDArray[np.bool_]) -> NDArray[np.int64]:
    kinds = np.zeros(found.shape, np.int64)
    kinds[found & label], kinds[~found & label], kinds[found & ~label] = 1, 2, 3
    kinds[ignore] = 0
    return kinds


def _error_colours() -> dict[str, object]:
    return {
        "cmap": ListedColormap(["black", *ERROR_COLOURS.values()]),
        "vmin": 0,
        "vmax": 3,
        "interpolation": "nearest",
    }
