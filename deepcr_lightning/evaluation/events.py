"""Completeness by cosmic-ray event, and by distance to the nearest star."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.prediction.fill import fill_median

CHARGE_EDGES = np.array([0, 100, 200, 500, 1000, 2000, 5000, 20000, np.inf])
"""Electrons of an event."""
LENGTH_EDGES = np.array([1, 2, 3, 4, 6, 9, 15, np.inf])
"""Pixels from end to end of an event."""
DISTANCE_EDGES = np.array([0, 1, 2, 3, 4, 6, 9, 14, 20, np.inf])
"""Pixels from a CR pixel to the nearest star."""
_STAR_CONTRAST = 3.0
_AROUND = 15
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class FoundBy:
    """What was found, by a quantity in bins; adds up.

    Attributes
    ----------
    found, total : ndarray of int64
        Events found and events in all, in each bin.
    """

    found: NDArray[np.int64]
    total: NDArray[np.int64]

    def __add__(self, other: FoundBy) -> FoundBy:
        return FoundBy(self.found + other.found, self.total + other.total)


def _found_by(values: NDArray, edges: NDArray, found: NDArray[np.bool_]) -> FoundBy:
    bins = np.clip(np.digitize(values, edges) - 1, 0, len(edges) - 2)
    counts = [np.bincount(bins[chosen], minlength=len(edges) - 1) for chosen in (found, np.ones_like(found))]
    return FoundBy(*counts)


def count_events(
    mask: NDArray[np.bool_], truth: ChipTruth, electrons: NDArray[np.float32], sky: float, noise: float
) -> dict[str, FoundBy]:
    """Count the true events of a chip that a mask holds, and its true pixels by distance to the nearest star.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    truth : ChipTruth
    electrons : ndarray of float32, shape (H, W)
    sky, noise : float
        Sky level and noise of the chip in electrons.

    Returns
    -------
    dict of str to FoundBy
        ``charge`` (`CHARGE_EDGES`) and ``length`` (`LENGTH_EDGES`) of events, pixels that touch being one; an
        event is found if the mask has at least half of its known pixels. ``distance`` (`DISTANCE_EDGES`) of
        pixels. Charge is measured on the exposure where the truth does not tell it.
    """
    known = truth.cr & ~truth.ignore
    events, count = ndimage.label(known, structure=_EIGHT)
    index = np.arange(1, int(count) + 1)
    charge = truth.charge if truth.charge is not None else electrons - np.float32(sky)
    pixels, held, total = (
        np.asarray(ndimage.sum_labels(values, events, index)) for values in (known, mask & known, charge)
    )
    boxes = ndimage.find_objects(events)
    length = np.array([1 + np.hypot(*(s.stop - s.start - 1 for s in box)) for box in boxes])
    found = held >= 0.5 * pixels
    stars = find_stars(electrons, truth, sky, noise)
    far = np.full(stars.shape, np.inf)
    distance = (ndimage.distance_transform_edt(~stars) if stars.any() else far)[known]
    return {
        "charge": _found_by(total, CHARGE_EDGES, found),
        "length": _found_by(length, LENGTH_EDGES, found),
        "distance": _found_by(distance, DISTANCE_EDGES, mask[known]),
    }


def find_stars(electrons: NDArray[np.float32], truth: ChipTruth, sky: float, noise: float) -> NDArray[np.bool_]:
    """Mark the centres of stars in an exposure whose true CRs are taken out.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    truth : ChipTruth
    sky, noise : float
        Sky level and noise of the chip in electrons.

    Returns
    -------
    ndarray of bool, shape (H, W)
        Local maxima of the mean of 3 x 3 pixels that stand three times the local noise, 9 sigma of such a mean, above
        the 15 x 15 pixels around them.
    """
    away = ndimage.binary_dilation(truth.cr, _EIGHT) | truth.ignore
    filled = fill_median(electrons, away)
    smooth = ndimage.uniform_filter(filled, 3)
    local_noise = np.sqrt(noise**2 + np.maximum(smooth - sky, 0))
    peak = smooth == ndimage.maximum_filter(smooth, 5)
    return peak & (smooth - ndimage.uniform_filter(filled, _AROUND) > _STAR_CONTRAST * local_noise)
