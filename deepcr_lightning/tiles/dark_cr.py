"""Turn dark exposures into cosmic-ray layers: the charge that is in one dark and in no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.sky import sky_and_noise

SEED_SIGNIFICANCE = 5.0
"""A cosmic ray has at least one pixel this many times the dark's noise above it."""
GROW_SIGNIFICANCE = 2.0
"""Pixels connected to a seed belong to the cosmic ray down to this significance."""
PERSISTENT_SIGNIFICANCE = 5.0
"""A pixel whose static level stands this far out of the dark is hot, whether DQ says so or not."""

SKY, COSMIC_RAY, UNKNOWN = 0, 1, 2
"""What a pixel of a CR layer is."""

_BLOCK_ROWS = 64
_EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class CRLayer:
    """The cosmic rays of one chip of one dark.

    Attributes
    ----------
    charge : ndarray of float32, shape (H, W)
        What this dark has and the others have not, in electrons: CR charge, and the noise of the dark everywhere.
        Finite; where a pixel cannot tell (hot or otherwise unusable), the mean of those around it.
    kind : ndarray of uint8, shape (H, W)
        `COSMIC_RAY`, `UNKNOWN` where the pixel cannot tell, else `SKY`.
    noise : float
        Noise of the dark in electrons.
    """

    charge: NDArray[np.float32]
    kind: NDArray[np.uint8]
    noise: float


def middle_rates(darks: Sequence[NDArray[np.float32]], exposure_times: Sequence[float]) -> NDArray[np.float32]:
    """Find the middle of the ordered rates of each pixel: all that any median without one dark needs.

    Parameters
    ----------
    darks : sequence of ndarray of float32, shape (H, W)
        At least two darks of one chip in electrons; may be memory-mapped, they are read in blocks of rows.
    exposure_times : sequence of float
        In seconds.

    Returns
    -------
    ndarray of float32, shape (3, H, W)
        Three order statistics, ascending, in electrons a second.
    """
    times = np.asarray(exposure_times, np.float32)[:, None, None]
    lowest = (len(darks) - 2) // 2
    picks = [lowest, lowest + 1, min(lowest + 2, len(darks) - 1)]
    middle = np.empty((3, *darks[0].shape), np.float32)
    for top in range(0, middle.shape[1], _BLOCK_ROWS):
        rows = slice(top, top + _BLOCK_ROWS)
        rates = np.stack([dark[rows] for dark in darks]) / times
        middle[:, rows] = np.partition(rates, picks, axis=0)[picks]
    return middle


def static_rate(rate: NDArray[np.float32], middle: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Take the median of all darks but one: what stays from dark to dark.

    Parameters
    ----------
    rate : ndarray of float32, shape (H, W)
        The dark to leave out, in electrons a second.
    middle : ndarray of float32, shape (3, H, W)
        From `middle_rates`, over all darks.
    count : int
        Number of darks.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Median of the others, in electrons a second.
    """
    # Taking a value out moves all that lie above it down by one place.
    median = np.where(rate > middle[0], middle[0], middle[1])
    if count % 2:
        median = 0.5 * (median + np.where(rate > middle[1], middle[1], middle[2]))
    return median


def extract_cr_layers(
    darks: Sequence[NDArray[np.float32]],
    unusable: Sequence[NDArray[np.bool_]],
    exposure_times: Sequence[float],
) -> Iterator[CRLayer]:
    """Separate the cosmic rays of darks from the static pattern of their chip.

    The static pattern of a dark is the median of the other darks of the same chip, scaled by exposure time:
    hot pixels persist from dark to dark, CRs do not. What stands `SEED_SIGNIFICANCE` above it, with all that
    is connected down to `GROW_SIGNIFICANCE`, is a CR. The noise of the dark is kept away from CRs as well: were it
    in their places alone, a network would learn to know added CRs by it.

    Parameters
    ----------
    darks : sequence of ndarray of float32, shape (H, W)
        Darks of one chip in electrons; may be memory-mapped, they are read in blocks of rows.
    unusable : sequence of ndarray of bool, shape (H, W)
        Pixels that each dark's DQ calls hot or otherwise unusable; their charge is unknown.
    exposure_times : sequence of float
        In seconds.

    Yields
    ------
    CRLayer
        One a dark, in order. With a single dark there is no pattern to subtract: DQ alone decides.
    """
    middle = middle_rates(darks, exposure_times) if len(darks) > 1 else None
    for dark, bad, seconds in zip(darks, unusable, exposure_times, strict=True):
        pattern = np.zeros(dark.shape, np.float32)
        if middle is not None:
            pattern = static_rate(dark / np.float32(seconds), middle, len(darks)) * np.float32(seconds)
        yield _layer(dark - pattern, pattern, ~np.asarray(bad))


def _layer(residual: NDArray[np.float32], pattern: NDArray[np.float32], usable: NDArray[np.bool_]) -> CRLayer:
    level, noise = sky_and_noise(residual, usable)
    pattern_level = float(np.median(pattern[usable])) if usable.any() else 0.0
    excess = pattern - np.float32(pattern_level)
    # Dark current has Poisson noise of its own: a warm pixel must stand out of that too.
    sigma = np.sqrt(np.float32(noise) ** 2 + np.maximum(excess, np.float32(0)))
    good = usable & (excess < PERSISTENT_SIGNIFICANCE * noise)
    charge = residual - np.float32(level)
    significance = np.where(good, charge / sigma, 0).astype(np.float32)
    members, count = ndimage.label(significance >= GROW_SIGNIFICANCE, structure=_EIGHT_CONNECTED)
    seeded = np.zeros(int(count) + 1, dtype=bool)
    seeded[np.unique(members[significance >= SEED_SIGNIFICANCE])] = True
    seeded[0] = False
    kind = np.where(good, seeded[members], UNKNOWN).astype(np.uint8)
    return CRLayer(fill_unknown(charge, good), kind, noise)


def fill_unknown(charge: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Put the mean of the known pixels around in the place of unknown charge.

    A charge of 0 would punch holes into added CRs, and a network would know them by these.

    Parameters
    ----------
    charge : ndarray of float32, shape (H, W)
        Charge in electrons; any value where it is unknown.
    known : ndarray of bool, shape (H, W)

    Returns
    -------
    ndarray of float32, shape (H, W)
        Finite; 0 where nothing around is known either.
    """
    filled = np.where(known, charge, np.float32(0))
    padded, counted = (np.pad(plane, 1) for plane in (filled, known))
    y, x = np.nonzero(~known)
    around = [(y + 1 + dy, x + 1 + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    count = np.sum([counted[place] for place in around], axis=0)
    filled[y, x] = np.sum([padded[place] for place in around], axis=0) / np.maximum(count, 1)
    return filled
