"""The sky of a chip and the noise of its pixels there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 250_000
NOISE_FLOOR = 0.1
"""The least noise in electrons that `sky_and_noise` tells: where most neighbours are equal."""
_MAD_TO_SIGMA = 1.4826


def sky_and_noise(electrons: NDArray[np.float32], usable: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Estimate the sky level and the noise of a pixel there.

    Parameters
    ----------
    electrons : ndarray of float, shape (H, W)
        Image in electrons, finite.
    usable : ndarray of bool, shape (H, W), optional
        Pixels to look at; all by default.

    Returns
    -------
    sky, noise : float
        In electrons. The noise is at least 0.1 e.

    Notes
    -----
    The sky is the median of pixels clipped at 3 times their scatter until nothing changes, so that stars and CRs,
    which lie on one side, do not pull it far. The noise is that of the differences of neighbours in a row, both
    near the sky, scaled from their MAD: the scatter of the pixels themselves would take a nebula or a crowd of
    faint stars for noise. Some 250,000 pixels of evenly spaced rows are looked at.
    """
    rows = slice(None, None, max(1, electrons.size // _SAMPLE))
    image = electrons[rows].astype(np.float64)
    good = np.ones(image.shape, bool) if usable is None else usable[rows]
    if not good.any():
        return float(np.median(image)), NOISE_FLOOR
    values = image[good]
    while True:
        sky = float(np.median(values))
        scatter = max(_MAD_TO_SIGMA * float(np.median(np.abs(values - sky))), NOISE_FLOOR)
        kept = values[np.abs(values - sky) <= 3.0 * scatter]
        if kept.size in (0, values.size):
            break
        values = kept
    near = good & (np.abs(image - sky) <= 3.0 * scatter)
    steps = np.diff(image, axis=1)[near[:, 1:] & near[:, :-1]]
    if not steps.size:
        return sky, scatter
    return sky, max(_MAD_TO_SIGMA * float(np.median(np.abs(steps))) / math.sqrt(2), NOISE_FLOOR)
