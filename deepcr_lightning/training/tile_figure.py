"""Validation tiles, and what a network finds in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.figures import save_figure

ERROR_COLOURS = {"found": "#2ca02c", "missed": "#d62728", "flagged, not added": "#1f77b4"}


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
    figure.suptitle("Blue: the image's own cosmic rays, which have no label, and false positives")
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
