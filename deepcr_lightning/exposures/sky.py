"""The sky of a chip and the noise of its pixels there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 250_000
_STEP_SAMPLE, _BESIDE = 10_000, 3
NOISE_FLOOR = 0.1
"""The least noise in electrons that `sky_and_noise` tells: where most neighbours are equal."""
_MAD_TO_SIGMA = 1.4826
_ROUNDING = 0.6
"""Twice the deviation of rounding (step / sqrt 12): a lone pixel one step up is then no CR of five sigma."""


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
        In electrons. The noise is at least 0.1 e, and at least 0.6 of the step between neighbouring values of an image
        that was rounded, twice the deviation of rounding alone.

    Notes
    -----
    The sky is the median of pixels clipped at 3 times their scatter until nothing changes, so that stars and CRs,
    which lie on one side, do not pull it far. The noise is that of the differences of neighbours in a row, both
    near the sky, scaled from their MAD: the scatter of the pixels themselves would take a nebula or a crowd of
    faint stars for noise. Where the MAD is less than one and a half steps, and so 0 or 1, it is that of their mean
    square. Some 250,000 pixels of evenly spaced rows are looked at.
    """
    sky, noise, _ = sky_noise_and_floor(electrons, usable)
    return sky, noise


def sky_noise_and_floor(
    electrons: NDArray[np.float32], usable: NDArray[np.bool_] | None = None
) -> tuple[float, float, float]:
    """Estimate the sky level, the noise of a pixel there, and the least noise that could be told.

    Parameters
    ----------
    electrons, usable
        As in `sky_and_noise`.

    Returns
    -------
    sky, noise, floor : float
        In electrons. Noise at its floor is not measured: most neighbours are equal.
    """
    rows = slice(None, None, max(1, electrons.size // _SAMPLE))
    image = electrons[rows].astype(np.float64)
    good = np.ones(image.shape, bool) if usable is None else usable[rows]
    if not good.any():
        return float(np.median(image)), NOISE_FLOOR, NOISE_FLOOR
    values = image[good]
    step = rounding_step(values)
    floor = max(NOISE_FLOOR, _ROUNDING * step)
    # Half a step, so that the neighbouring values stay.
    least = max(NOISE_FLOOR, step / 2)
    while True:
        sky = float(np.median(values))
        scatter = max(_MAD_TO_SIGMA * float(np.median(np.abs(values - sky))), least)
        kept = values[np.abs(values - sky) <= 3.0 * scatter]
        if kept.size in (0, values.size):
            break
        values = kept
    near = good & (np.abs(image - sky) <= 3.0 * scatter)
    steps = np.diff(image, axis=1)[near[:, 1:] & near[:, :-1]]
    if not steps.size:
        return sky, scatter, floor
    middle = float(np.median(np.abs(steps)))
    coarse = step > 0 and middle < 1.5 * step
    noise = float(np.sqrt(np.mean(steps**2))) if coarse else _MAD_TO_SIGMA * middle
    return sky, max(noise / math.sqrt(2), floor), floor


def rounding_step(values: NDArray[np.float64]) -> float:
    """Find the step between neighbouring values, where they are so coarse that most stand many times.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        Pixels.

    Returns
    -------
    float
        0 where they are not coarse, or all alike.
    """
    some = values[:: max(1, values.size // _STEP_SAMPLE)]
    distinct = np.unique(some)
    if len(distinct) < 2 or 4 * len(distinct) > len(some):
        return 0.0
    place = int(np.searchsorted(distinct, np.median(some)))
    return float(np.median(np.diff(distinct[max(0, place - _BESIDE) : place + _BESIDE + 1])))
