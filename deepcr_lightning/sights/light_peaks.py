"""Bright peaks of a chip that have light around them, as stars do and cosmic rays (CRs) do not.

A star falls off alike in all directions and has light two pixels from its centre on all four sides. A CR is sharper
than that on one side at least, and so is a hot pixel. No mask decides which peaks are found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BRIGHT = 20.0
"""Peaks at least this many times the noise above what surrounds them are looked at."""
_SCALES = 4
_TILE, _ENOUGH = 1024, 200
_MARGIN = 5
_OPPOSITE = (((0, 1), (0, -1)), ((1, 0), (-1, 0)), ((1, 1), (-1, -1)), ((1, -1), (-1, 1)))
_SQUARED_DISTANCE = np.array([1, 1, 2, 2], np.float32)
_RING_SNR = 3.0
# Light two pixels from the centre, on the darkest side, over that of the peak: round CRs seldom have so much.
_LEAST_LIGHT = 0.01
_UNEVEN = 0.25
_LEAST_FALL = 0.03
# Standard deviation of the mean of the middle two of four Gaussian values, over that of one.
_MIDDLE_TWO = 0.546
# What the mean over a pixel adds to the square of the FWHM of a Gaussian, in pixels.
_PIXEL = 8 * math.log(2) / 12
# FWHM in pixels or blocks that the 3 x 3 around a peak measure well.
_NARROWEST, _WIDEST = 1.5, 3.2
_SHARPEST = 0.3


@dataclass(frozen=True, eq=False)
class LightPeaks:
    """Peaks with light all around, at one scale.

    Attributes
    ----------
    width : ndarray of float32, shape (N,)
        FWHM in pixels, before the mean over a pixel; 0.3 pixels or blocks at least.
    star : ndarray of bool, shape (N,)
        Whether the peak is round, and of a width that its scale measures well.
    elongation : ndarray of float32, shape (N,)
        Longest over shortest width, at most 10.
    direction : ndarray of float32, shape (N,)
        Angle between the rows and the longest width, in radians.
    flagged : ndarray of bool, shape (N,)
        Whether the mask holds at least half of the pixel or block that is the peak.
    peaks : int
        How many bright peaks there were, those without light around included.
    """

    width: NDArray[np.float32]
    star: NDArray[np.bool_]
    elongation: NDArray[np.float32]
    direction: NDArray[np.float32]
    flagged: NDArray[np.bool_]
    peaks: int


def light_peaks(
    electrons: NDArray[np.float32],
    usable: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    sky: float,
    noise: float,
) -> list[LightPeaks]:
    """Find the bright peaks of a chip that have light all around.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
        Chip in electrons.
    usable : ndarray of bool, shape (H, W)
        Pixels to look at; peaks beside others are left out.
    mask : ndarray of bool, shape (H, W)
        Pixels that are flagged as CRs.
    sky, noise : float
        Sky level and noise in electrons (`exposures.sky.sky_and_noise`).

    Returns
    -------
    list of LightPeaks
        One for each scale: pixels, and blocks of 2 x 2, 4 x 4 and 8 x 8 pixels, which measure stars up to 3, 6, 13
        and 25 pixels wide.

    Notes
    -----
    Squares of 1024 pixels are looked at from the middle of the chip outwards, until one scale has 200 stars. A block
    is the mean of the middle two of its four parts, which hides CRs and hot pixels.
    """
    found: list[list[LightPeaks]] = [[] for _ in range(_SCALES)]
    for square in _squares(*electrons.shape):
        image = electrons[square] - np.float32(sky)
        image /= np.float32(noise)
        # A comparison with NaN is false, so that no peak beside it is found.
        np.copyto(image, np.nan, where=~usable[square])
        for scale, parts in enumerate(found):
            parts.append(_peaks(image, mask[square], 2**scale))
            image = _halved(image)
        if max(sum(np.count_nonzero(part.star) for part in parts) for parts in found) >= _ENOUGH:
            break
    return [joined(parts) for parts in found]


def joined(parts: Sequence[LightPeaks]) -> LightPeaks:
    """Join peaks of one scale, of several squares or chips.

    Parameters
    ----------
    parts : sequence of LightPeaks
        One at least.

    Returns
    -------
    LightPeaks
    """
    names = [field.name for field in fields(LightPeaks) if field.name != "peaks"]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return LightPeaks(**arrays, peaks=sum(part.peaks for part in parts))


def _squares(rows: int, columns: int) -> list[tuple[slice, slice]]:
    edges = [np.linspace(0, length, math.ceil(length / _TILE) + 1).astype(int).tolist() for length in (rows, columns)]
    spans = [[slice(*pair) for pair in pairwise(edge)] for edge in edges]

    def from_the_middle(square: tuple[slice, slice]) -> float:
        return math.hypot(square[0].start + square[0].stop - rows, square[1].start + square[1].stop - columns)

    return sorted(((y, x) for y in spans[0] for x in spans[1]), key=from_the_middle)


def _halved(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blocks of 2 x 2, in units of their noise as the image is in those of its own."""
    rows, columns = (length // 2 * 2 for length in image.shape)
    above, below = image[0:rows:2], image[1:rows:2]
    high, low = np.maximum(above, below), np.minimum(above, below)
    blocks = np.minimum(high[:, 0:columns:2], high[:, 1:columns:2])
    blocks += np.maximum(low[:, 0:columns:2], low[:, 1:columns:2])
    blocks *= np.float32(0.5 / _MIDDLE_TWO)
    return blocks


def _peaks(image: NDArray[np.float32], mask: NDArray[np.bool_], block: int) -> LightPeaks:
    """Peaks of an image of blocks, in units of its noise; the mask is that of the pixels."""
    flat, columns = image.ravel(), image.shape[1]
    bright = image > BRIGHT
    bright[:_MARGIN], bright[-_MARGIN:], bright[:, :_MARGIN], bright[:, -_MARGIN:] = False, False, False, False
    at = np.flatnonzero(bright)
    steps = np.array([[dy * columns + dx for dy, dx in pair] for pair in _OPPOSITE])
    for step in steps.ravel():
        at = at[flat[at + step] < flat[at]]
    # A CR on the wing of a star has light around it that is not its own.
    around = np.maximum(_darkest_side(flat, at, columns, 4), 0)
    high = flat[at] - around > BRIGHT
    at, around, count = at[high], around[high], int(high.sum())
    ring = flat[at[:, None, None] + steps] - around[:, None, None]
    side, error = _darkest_side(flat, at, columns, 2) - around, 1 / math.sqrt(3)
    lit = (ring > _RING_SNR).all((1, 2)) & (side > 2 * error) & (side - error > _LEAST_LIGHT * (flat[at] - around))
    at, ring, side = at[lit], ring[lit], side[lit]
    peak = flat[at] - around[lit]
    # The light of a Gaussian falls as exp(-fall r^2), and the mean of two opposite logarithms does not depend on
    # where in its pixel the centre lies.
    fall = (np.log(peak)[:, None] - np.log(ring).mean(2)) / _SQUARED_DISTANCE
    fall_error = np.sqrt(1 / peak[:, None] ** 2 + (1 / ring**2).sum(2) / 4) / _SQUARED_DISTANCE
    mean = np.maximum(fall.mean(1), _LEAST_FALL)
    even = (np.abs(fall - mean[:, None]) <= np.maximum(_UNEVEN * mean[:, None], 3 * fall_error)).all(1)
    as_wide_as_its_core = side > peak * np.exp(-4 * mean) / 2 - 2 * error
    width = 2 * np.sqrt(math.log(2) / mean)
    measured = (width < _WIDEST) & ((width > _NARROWEST) | (block == 1))
    elongation, direction = _shape(fall)
    return LightPeaks(
        width=block * np.sqrt(np.maximum(width**2 - _PIXEL, _SHARPEST**2)),
        star=even & as_wide_as_its_core & measured,
        elongation=elongation,
        direction=direction,
        flagged=_flagged(mask, at // columns, at % columns, block),
        peaks=count,
    )


def _darkest_side(flat: NDArray[np.float32], at: NDArray[np.intp], columns: int, distance: int) -> NDArray[np.float32]:
    """Mean of three pixels at a distance above, below, left and right: the lowest of the four."""
    sides = []
    for outwards, along in ((columns, 1), (1, columns)):
        for step in (-distance * outwards, distance * outwards):
            sides.append(flat[at + step - along] + flat[at + step] + flat[at + step + along])
    return np.minimum.reduce(sides) / np.float32(3)


def _shape(fall: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Elongation and direction, from the fall along rows, columns and both diagonals."""
    along_rows, along_columns, rising, sinking = fall.T
    mean, difference, skew = (along_rows + along_columns) / 2, (along_rows - along_columns) / 2, (rising - sinking) / 2
    spread = np.hypot(difference, skew)
    slowest = np.maximum(mean - spread, (mean + spread) / 100)
    # The fall is fastest at half the angle of (difference, skew); the longest width lies across.
    return np.sqrt((mean + spread) / slowest), np.arctan2(skew, difference) / 2 + np.float32(math.pi / 2)


def _flagged(mask: NDArray[np.bool_], y: NDArray[np.intp], x: NDArray[np.intp], block: int) -> NDArray[np.bool_]:
    inside = range(block)
    pixels = np.stack([mask[y * block + dy, x * block + dx] for dy in inside for dx in inside])
    return 2 * pixels.sum(0) >= block**2
