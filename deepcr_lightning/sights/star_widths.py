"""How wide the stars of an exposure are, how many of them are flagged, and whether they are trailed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.sights.light_peaks import LightPeaks

CHANCE = 0.004
"""Share of bright peaks that may pass for stars of one width where all are cosmic rays (CRs): 0.3 % in darks."""
_MOST = 0.7
_FEWEST, _ENOUGH = 5, 20
_ALIKE = math.log(1.15)
_SAME_WIDTH = 1.2
_LONG, _ALIGNED, _FEWEST_LONG = 2.0, 0.7, 20


@dataclass(frozen=True)
class Stars:
    """The stars of an exposure.

    Attributes
    ----------
    width : float
        FWHM in pixels, before the mean over a pixel; NaN if there are too few stars to tell.
    count : int
        How many stars there are, 0 if their width is not known.
    flagged : int
        How many of them are flagged.
    peaks : int
        How many bright peaks there are, CRs included.
    """

    width: float
    count: int
    flagged: int
    peaks: int

    @property
    def share_flagged(self) -> float:
        """Share of the stars that are flagged; NaN if there are none."""
        return self.flagged / self.count if self.count else math.nan


def stars_of(scales: Sequence[LightPeaks]) -> Stars:
    """Measure the stars of an exposure at the finest scale that has most of them.

    Parameters
    ----------
    scales : sequence of LightPeaks
        From `light_peaks.light_peaks`.

    Returns
    -------
    Stars

    Notes
    -----
    Stars of one exposure have one width, and the CRs that pass for stars have all widths: the width is where half of
    the star-like peaks lie closest together, and peaks within a fifth of it are stars. Where that half is spread over
    more than 15 %, or there are fewer than five stars, or fewer than CRs alone can make, no width is known. CRs alone
    are not known to make twenty so alike.
    """
    counts = [np.count_nonzero(peaks.star) for peaks in scales]
    # Blocks that are as wide as the core see the wings, and take the star for broader.
    best = next(peaks for peaks, count in zip(scales, counts, strict=True) if count >= _MOST * max(counts))
    none = Stars(math.nan, 0, 0, scales[0].peaks)
    order = np.log(np.sort(best.width[best.star].astype(float)))
    if len(order) < _FEWEST:
        return none
    middle, spread = _densest_half(order)
    width = math.exp(middle)
    stars = best.star & (best.width > width / _SAME_WIDTH) & (best.width < width * _SAME_WIDTH)
    count = int(stars.sum())
    if spread > _ALIKE or count < np.clip(CHANCE * scales[0].peaks, _FEWEST, _ENOUGH):
        return none
    return Stars(width, count, int((stars & best.flagged).sum()), scales[0].peaks)


def are_drawn_out(scales: Sequence[LightPeaks]) -> bool:
    """Tell whether most peaks with light around them are long, and all in one direction.

    Parameters
    ----------
    scales : sequence of LightPeaks
        From `light_peaks.light_peaks`.

    Returns
    -------
    bool
        True for trailed stars and for the lines of a spectrum.
    """
    return any(_aligned(peaks) for peaks in scales)


def _aligned(peaks: LightPeaks) -> bool:
    long = peaks.elongation > _LONG
    count = np.count_nonzero(long)
    if count < _FEWEST_LONG or 2 * count < len(long):
        return False
    # Twice the angle, since a width points both ways.
    return bool(np.abs(np.exp(2j * peaks.direction[long]).mean()) > _ALIGNED)


def _densest_half(order: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and length of the shortest interval that holds half of some sorted values."""
    half = len(order) // 2 + 1
    lengths = order[half - 1 :] - order[: len(order) - half + 1]
    first = int(np.argmin(lengths))
    return float(order[first : first + half].mean()), float(lengths[first])
