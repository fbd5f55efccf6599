"""One figure of the exposures whose flagged fraction is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.figures import as_it_is, save_figure, show_electrons
from deepcr_lightning.prediction.summary import Row

MOST = 12
"""Exposures on a sheet, the oddest ones."""
_CUTOUT = 256
_COLUMNS = 4

Picture = tuple[Row, NDArray[np.float32], NDArray[np.bool_]]


def draw_contact_sheet(path: Path, pictures: Sequence[Picture]) -> None:
    """Draw the middle of exposures, each with its mask beside it.

    Parameters
    ----------
    path : Path
        PNG to write.
    pictures : sequence of (Row, ndarray of float32, ndarray of bool)
        What is known of an exposure, its first chip in electrons, and its mask, both of shape (H, W).
    """
    columns = min(_COLUMNS, len(pictures))
    lines = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        lines, 2 * columns, figsize=(4.6 * columns, 2.9 * lines + 0.6), layout="constrained", squeeze=False
    )
    for cell in axes.flat:
        cell.set_axis_off()
    for place, (row, electrons, mask) in enumerate(pictures):
        left, right = axes[place // columns, 2 * (place % columns) :][:2]
        cut = tuple(slice(max(0, (n - _CUTOUT) // 2), max(0, (n - _CUTOUT) // 2) + _CUTOUT) for n in electrons.shape)
        sky, noise = sky_and_noise(electrons)
        show_electrons(left, electrons[cut], sky, noise)
        right.imshow(
            mask[cut], cmap=ListedColormap(["#eeeeee", "#d62728"]), vmin=0, vmax=1, origin="lower", interpolation="none"
        )
        left.set_title(
            f"{as_it_is(Path(row.file).name)}\n{as_it_is(row.filter)}, {row.exposure_time:g} s\n"
            f"flagged {row.flagged:.2%}, expected {row.expected:.2%}",
            fontsize=8,
            loc="left",
        )
    figure.suptitle(f"Flagged fraction far from expected: central {_CUTOUT} pixels and their mask", fontsize=10)
    save_figure(figure, path)
