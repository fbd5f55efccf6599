"""Figure of holes and what an inpainting network fills them with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor

from deepcr_lightning.figures import save_figure
from deepcr_lightning.networks.scale import stabilised

_TITLES = ("truth", "holes", "filled", "filled - truth")


def plot_filled(path: Path, holes: Mapping[str, Tensor], filled: Tensor, count: int = 4) -> None:
    """Show validation tiles: what stood in the holes, the holes, what fills them, and the difference.

    Parameters
    ----------
    path : Path
        PNG to write.
    holes : dict of Tensor
        From `inpainting.inpainter.CosmicRayInpainter.holes`.
    filled : Tensor of float32, shape (B, 1, S, S)
        Normalised.
    count : int
        Tiles to show.
    """
    count = min(count, len(filled))
    figure, axes = plt.subplots(count, 4, figsize=(12, 3 * count), squeeze=False, layout="constrained")
    for cell in axes.flat:
        cell.set(xticks=[], yticks=[])
    for cell, title in zip(axes[0], _TITLES, strict=True):
        cell.set_title(title)
    for n, row in enumerate(axes):
        known, scored = (holes[key][n, 0].cpu().numpy() for key in ("known", "scored"))
        truth, made = holes["truth"][n, 0].cpu().numpy(), filled[n, 0].cpu().numpy()
        error = (stabilised(filled[n, 0]) - stabilised(holes["truth"][n, 0])).cpu().numpy()
        light = {"cmap": "gray", "vmin": -3, "vmax": np.percentile(truth, 99.5), "origin": "lower"}
        row[0].imshow(truth, **light)
        row[1].imshow(np.where(known, holes["image"][n, 0].cpu().numpy(), np.nan), **light)
        shown = row[2].imshow(np.where(known, truth, made), **light)
        difference = row[3].imshow(np.where(scored, error, np.nan), cmap="RdBu_r", vmin=-5, vmax=5, origin="lower")
        figure.colorbar(shown, ax=row[2], label="normalised image [local noise]")
        figure.colorbar(difference, ax=row[3], label="local noise")
    figure.suptitle("Holes: added cosmic rays, the image's own cosmic rays, and unusable pixels")
    save_figure(figure, path)
