"""Pixels of an exposure that are significantly brighter than in the others, by AstroDrizzle's rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.labels.coadd import largest_step, variance_of_median

SIGNIFICANCE = (4.0, 2.0)
"""Of the core of a cosmic ray and of the pixels that touch one, over the noise: ``driz_cr_snr``. AstroDrizzle's
3.5 and 3.0 leave out one rim pixel in ten, and find more that is none (docs/studies/multi_exposure.md)."""
GRADIENT = (1.2, 0.7)
"""Share of the local gradient that is allowed on top: ``driz_cr_scale``."""

# What noise alone makes of the square of the largest of four steps, over the variance of a pixel.
_STEP_OF_NOISE = 4.0
_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Excess:
    """What one exposure has above the others.

    Attributes
    ----------
    electrons : ndarray of float32, shape (H, W)
        The excess; NaN where the others, or this one, know nothing.
    high : ndarray of bool, shape (H, W)
        Pixels that noise alone does not explain.
    cosmic_ray : ndarray of bool, shape (H, W)
        Those that the gradient does not explain either, and what belongs to them.
    """

    electrons: NDArray[np.float32]
    high: NDArray[np.bool_]
    cosmic_ray: NDArray[np.bool_]


def find_excess(
    light: NDArray[np.float32],
    coadd: NDArray[np.float32],
    known: NDArray[np.int64],
    noise: float,
    others_noise: float,
    time_ratio: float,
) -> Excess:
    """Compare an exposure with the co-add of the others.

    Parameters
    ----------
    light : ndarray of float32, shape (H, W)
        The exposure above its sky, in electrons; NaN where it is unusable.
    coadd : ndarray of float32, shape (H, W)
        The others, scaled to its exposure time; NaN where none knows.
    known : ndarray of int, shape (H, W)
        How many of the others know a pixel.
    noise, others_noise : float
        Noise of this exposure, and of one of the others after scaling, at the sky in electrons.
    time_ratio : float
        Exposure time of this one over that of the others.

    Returns
    -------
    Excess

    Notes
    -----
    The noise is that at the sky, the Poisson noise of the light that the co-add sees, and that of the co-add itself.
    The gradient is the largest step of the co-add to a neighbour, less what its own noise makes.

    References
    ----------
    ``driz_cr`` of AstroDrizzle (DrizzlePac Handbook, section 4.2).
    """
    source: NDArray[np.float32] = np.maximum(np.nan_to_num(coadd), 0)
    coadd_variance = variance_of_median(known, np.float32(others_noise**2) + np.float32(time_ratio) * source)
    spread = np.sqrt(noise**2 + source + coadd_variance)
    step = np.sqrt(np.maximum(largest_step(coadd) ** 2 - _STEP_OF_NOISE * coadd_variance, 0))
    excess = light - coadd
    filled = np.nan_to_num(excess, nan=-np.inf)
    core, faint = (filled > snr * spread + scale * step for snr, scale in zip(SIGNIFICANCE, GRADIENT, strict=True))
    cosmic_ray = core | (faint & ndimage.binary_dilation(core, _TOUCHING))
    return Excess(excess, filled > SIGNIFICANCE[0] * spread, cosmic_ray)
