"""The picture of benchmarks/inpaint.py: stars under cosmic rays, filled in several ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray

from deepcr_lightning.networks.scale import normalise


@dataclass(frozen=True)
class Cutout:
    """A star that was hit: levels of its chip, the mask, and images in electrons by what they are."""

    sky: float
    noise: float
    mask: NDArray[np.bool_]
    planes: dict[str, NDArray[np.float32]]


def draw(path: Path, cutouts: dict[str, Cutout]) -> None:
    """Draw a row for each field, on the normalised scale of the truth."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # deepCR is there if its package is.
    wanted = ("before", "mask", "median_5", "biharmonic", "deepCR-3-32", "network", "truth")
    shown = [name for name in wanted if name == "mask" or all(name in cutout.planes for cutout in cutouts.values())]
    figure, axes = plt.subplots(
        len(cutouts), len(shown), figsize=(2 * len(shown), 2.1 * len(cutouts)), layout="constrained", squeeze=False
    )
    for (field, cutout), row in zip(cutouts.items(), axes, strict=True):
        images = {
            name: normalise(torch.from_numpy(plane), cutout.sky, cutout.noise).numpy()
            for name, plane in cutout.planes.items()
        }
        scale = {"vmin": -3, "vmax": float(images["truth"].max()), "cmap": "gray", "origin": "lower"}
        for name, cell in zip(shown, row, strict=True):
            if name == "mask":
                cell.imshow(cutout.mask, cmap="gray", origin="lower")
            else:
                cell.imshow(images[name], **scale)
            cell.set(xticks=[], yticks=[])
        row[0].set_ylabel(field)
    for name, cell in zip(shown, axes[0], strict=True):
        cell.set_title(name)
    figure.savefig(path, dpi=110)
