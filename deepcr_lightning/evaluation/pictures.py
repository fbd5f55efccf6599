"""Pictures of cleaned exposures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.figures import as_it_is, save_figure, show_electrons
from deepcr_lightning.prediction.fill import FILLS
from deepcr_lightning.prediction.mask import threshold_mask

CUTOUT = 256
_COLOURS = {"found": "#2ca02c", "missed": "#d62728", "false": "#1f77b4", "not counted": "#444444"}


def plot_cleaned(
    path: Path,
    electrons: NDArray[np.float32],
    cleaned: NDArray[np.float32],
    mask: NDArray[np.bool_],
    truth: ChipTruth | None,
    title: str,
) -> None:
    """Show a cut-out before and after, on one stretch, and how its mask compares with the truth.

    Parameters
    ----------
    path : Path
        PNG to write.
    electrons, cleaned : ndarray of float32, shape (H, W)
        In electrons.
    mask : ndarray of bool, shape (H, W)
    truth : ChipTruth, optional
        Without it the third panel shows the mask alone.
    title : str
    """
    sky, noise = sky_and_noise(electrons)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.9), layout="constrained")
    for cell, image, name in ((axes[0], electrons, "exposure"), (axes[1], cleaned, "cleaned")):
        shown = show_electrons(cell, image, sky, noise)
        cell.set_title(name)
    ticks = [0, 10, 100, 1000]
    bar = figure.colorbar(shown, ax=axes[:2], shrink=0.9, label="electrons above the sky")
    bar.set_ticks([float(np.arcsinh(t / noise)) for t in ticks], labels=[str(t) for t in ticks])
    kinds = np.where(mask, 1, 0) if truth is None else _kinds(mask, truth)
    colours = ListedColormap(["black", *_COLOURS.values()])
    axes[2].imshow(kinds, cmap=colours, vmin=0, vmax=4, origin="lower", interpolation="nearest")
    axes[2].set_title("cosmic rays" if truth is None else "cosmic rays against the truth")
    if truth is not None:
        handles = [Patch(color=colour, label=label) for label, colour in _COLOURS.items()]
        figure.legend(handles=handles, loc="outside lower right", ncols=4, frameon=False)
    for cell in axes:
        cell.set(xlabel="x [pixel]")
    axes[0].set_ylabel("y [pixel]")
    figure.suptitle(as_it_is(title))
    save_figure(figure, path)


def plot_example(
    path: Path,
    exposure: Exposure,
    probability: NDArray[np.float32],
    truth: Mapping[int, ChipTruth] | None,
    threshold: float,
) -> None:
    """Show the middle of the first chip of an exposure before and after.

    Parameters
    ----------
    path : Path
        PNG to write.
    exposure : Exposure
    probability : ndarray of float32, shape (H, W)
        Probability of its first chip.
    truth : mapping of int to ChipTruth, optional
        By EXTVER.
    threshold : float
    """
    chip = exposure.chips[0]
    mask = threshold_mask(probability, threshold, ~chip.unusable)
    filled = FILLS["median_5"](chip.electrons, mask, ~chip.unusable)
    top, left = (max(0, (length - CUTOUT) // 2) for length in mask.shape)
    cut = np.s_[top : top + CUTOUT, left : left + CUTOUT]
    known = None
    if truth is not None:
        whole = truth[chip.extver]
        known = ChipTruth(whole.cr[cut], whole.ignore[cut])
    time = f"{exposure.exposure_time:.0f} s, " if exposure.exposure_time > 0 else ""  # NaN where nobody says it
    title = f"{exposure.root}, {exposure.filter}, {time}threshold {threshold:.2g}"
    plot_cleaned(path, chip.electrons[cut], filled[cut], mask[cut], known, title)


def _kinds(mask: NDArray[np.bool_], truth: ChipTruth) -> NDArray[np.int64]:
    counted = truth.counted()
    kinds = np.zeros(mask.shape, np.int64)
    kinds[mask & truth.cr], kinds[~mask & truth.cr], kinds[mask & ~truth.cr & counted] = 1, 2, 3
    kinds[mask & ~counted] = 4
    kinds[truth.ignore & (mask | truth.cr)] = 4
    return kinds
