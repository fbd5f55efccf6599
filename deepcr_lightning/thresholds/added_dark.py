"""Figure of a dark, an exposure, their sum, and the sum cleaned, as in Chen et al. 2024, figure 1."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.figures import save_figure, show_electrons
from deepcr_lightning.prediction.fill import FILLS
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.prediction.predictor import ExposurePredictor

_CUTOUT = 256


def plot_added_dark(
    path: Path, science: Exposure, dark: Exposure, predictor: ExposurePredictor, threshold: float
) -> None:
    """Show a dark, a science exposure, their sum, and the sum cleaned, on one stretch.

    Parameters
    ----------
    path : Path
        PNG to write.
    science, dark : Exposure
        Their first chips are of one shape.
    predictor : ExposurePredictor
    threshold : float
        Threshold of the mask; its pixels take the median of those in a square of 3 x 3.

    Raises
    ------
    InputError
        If the chips differ in shape.
    """
    chip, added = science.chips[0], dark.chips[0]
    if chip.electrons.shape != added.electrons.shape:
        raise InputError(
            f"{dark.path}: is {added.electrons.shape}, {science.path.name} is {chip.electrons.shape}; "
            "give darks= of the same size"
        )
    both, unusable = chip.electrons + added.electrons, chip.unusable | added.unusable
    mask = threshold_mask(predictor.fitting(science.header).chip_probability(both, unusable), threshold, ~unusable)
    cleaned = FILLS["median_3"](both, mask, ~unusable)
    sky, noise = sky_and_noise(chip.electrons, ~chip.unusable)
    figure, axes = plt.subplots(2, 2, figsize=(9, 9.4), layout="constrained")
    top, left = (max(0, (length - _CUTOUT) // 2) for length in both.shape)
    panels = (
        (added.electrons, f"dark, {dark.exposure_time:.0f} s"),
        (chip.electrons, f"{science.filter}, {science.exposure_time:.0f} s"),
        (both, "their sum"),
        (cleaned, f"the sum, cleaned at threshold {threshold:g}"),
    )
    for cell, (image, title) in zip(axes.ravel(), panels, strict=True):
        cut = image[top : top + _CUTOUT, left : left + _CUTOUT]
        show_electrons(cell, cut, sky, noise, lowest=float(np.arcsinh(-sky / noise)) - 1)
        cell.set(title=title, xticks=[], yticks=[])
    save_figure(figure, path)
