"""A map of probabilities as rungs of thresholds, so that every mask of it is one comparison of bytes.

The page gets these bytes once. Moving the threshold then moves a limit of its colours and nothing else, and the mask is
that of `predict.py` to the pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ALWAYS = 255
"""The code of a pixel that is in every mask."""
_COMMON = (0.001, 0.002, 0.005, *(n / 100 for n in range(1, 100)), 0.995, 0.998, 0.999, 0.9999)


def rungs_with(threshold: float) -> list[float]:
    """List the thresholds that can be chosen.

    Parameters
    ----------
    threshold : float
        One that must be among them.

    Returns
    -------
    list of float
        Ascending, fewer than `ALWAYS`.
    """
    return sorted({*_COMMON, float(threshold)})


def rung_codes(probability: NDArray[np.float32], usable: NDArray[np.bool_], rungs: list[float]) -> NDArray[np.uint8]:
    """Count the rungs below each pixel.

    Parameters
    ----------
    probability : ndarray of float32, shape (H, W)
    usable : ndarray of bool, shape (H, W)
        Only these pixels are ever in a mask.
    rungs : list of float
        Thresholds of the ladder, from `rungs_with`.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Greater than n where a pixel is in the mask at the threshold ``rungs[n]``.
    """
    # In the precision of the map, as NumPy compares it with a Python float.
    found = np.searchsorted(np.asarray(rungs, np.float32), probability, side="left").astype(np.uint8)
    found[~usable] = 0
    return found


def grown_codes(codes: NDArray[np.uint8], usable: NDArray[np.bool_], grow: int) -> NDArray[np.uint8]:
    """Grow the masks of all thresholds at once.

    Parameters
    ----------
    codes : ndarray of uint8, shape (H, W)
    usable : ndarray of bool, shape (H, W)
    grow : int
        Rings of pixels, as in `prediction.mask.grown`.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The largest code within `grow` pixels of each.
    """
    if grow == 0:
        return codes
    wider: NDArray[np.uint8] = ndimage.maximum_filter(codes, size=2 * grow + 1, mode="constant", cval=0)
    wider[~usable] = 0
    return wider


def histogram(codes: NDArray[np.uint8], rungs: list[float]) -> NDArray[np.int64]:
    """Count the pixels between neighbouring rungs.

    Parameters
    ----------
    codes : ndarray of uint8, shape (H, W)
    rungs : list of float

    Returns
    -------
    ndarray of int64, shape (len(rungs) + 1,)
    """
    return np.bincount(codes.ravel(), minlength=len(rungs) + 1)[: len(rungs) + 1]
