"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

ERROR_COLOURS = {"found": "#2ca02c", "missed": "#d62728", "flagged, not added": "#1f77b4"}


def plot_history(path: Path, history: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Plot losses and validation scores against the epoch.

    Parameters
    ----------
    path : Path
        PNG to write.
    history : dict of str to list of (epoch, value)
        By the name that was logged, such as ``val/loss``.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for axes, names in (
        (left, ("train/loss_epoch", "val/loss")),
        (right, ("val/average_precision", "val/completeness", "val/purity")),
    ):
        for name in names:
            if history.get(name):
                epochs, values = zip(*history[name], strict=True)
                axes.plot(
                    np.asarray(epochs) + 1,
                    values,
                    marker=".",
                    label=name.replace("_epoch", "").replace("_", " "),
                )
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    left.set_ylabel("loss")
    left.set_yscale("log")
    right.set_ylabel("score, estimated without truth")
    save_figure(figure, path)


def plot_curves(path: Path, curves: Mapping[str, Tensor], threshold: float) -> None:
    """Plot purity and false-positive rate against completeness, with the default threshold marked.

    Parameters
    ----------
    path : Path
        PNG to write.
    curves : dict of Tensor
        From `training.metrics.TruthFreeCurves`.
    threshold : float
    """
    values = {name: tensor.numpy() for name, tensor in curves.items()}
    here = min(int(np.searchsorted(values["threshold"], threshold)), len(values["threshold"]) - 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    left.plot(values["completeness"], values["purity"])
    left.plot(values["completeness"][here], values["purity"][here], "o", label=f"threshold {threshold:g}")
    left.set(xlabel="completeness", ylabel="purity", xlim=(0, 1.01), ylim=(0, 1.01))
    # An estimate of 0 has no place on a logarithm: it stands at the edge.
    rate = np.maximum(100 * values["false_positive_rate"], 1e-3)
    right.plot(rate, values["completeness"])
    right.plot(rate[here], values["completeness"][here], "o", label=f"threshold {threshold:g}")
    right.set_xscale("log")
    right.set(
        xlabel="false-positive rate [% of pixels]",
        ylabel="completeness",
        xlim=(1e-3, 10),
        ylim=(0, 1.01),
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Validation tiles, estimated without truth: pixels of added cosmic rays")
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
    figure.suptitle("Blue pixels are mostly the image's own cosmic rays, which carry no label")
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


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Write a figure as PNG, and close it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
