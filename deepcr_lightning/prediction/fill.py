"""CR pixels replaced by what lies around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHUNK = 200_000


def fill_median(
    electrons: NDArray[np.float32], mask: NDArray[np.bool_], usable: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Fill masked pixels with the median of the good pixels in a box around each.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        Pixels to fill.
    usable : ndarray of bool, shape (H, W), optional
        Pixels worth taking a value from; masked ones never are.

    Returns
    -------
    ndarray of float32, shape (H, W)
        A copy; pixels outside the mask are the same to the bit.

    Notes
    -----
    The box is 3 x 3 and grows by a ring where it holds no good pixel. Where an image has no good pixel at
    all, it is returned as it is.
    """
    good = ~mask if usable is None else ~mask & usable
    filled = electrons.copy()
    if not good.any():
        return filled
    values = np.where(good, electrons, np.nan).astype(np.float32)
    left = np.argwhere(mask)
    radius = 1
    while len(left):
        padded = np.pad(values, radius, constant_values=np.nan)
        offsets = np.array([(dy, dx) for dy in range(2 * radius + 1) for dx in range(2 * radius + 1)])
        remaining = []
        chunk = max(1, _CHUNK * 9 // len(offsets))
        for start in range(0, len(left), chunk):
            places = left[start : start + chunk]
            box = padded[places[:, :1] + offsets[:, 0], places[:, 1:] + offsets[:, 1]]
            found = np.isfinite(box).any(axis=1)
            filled[tuple(places[found].T)] = np.nanmedian(box[found], axis=1) if found.any() else 0
            remaining.append(places[~found])
        left = np.concatenate(remaining)
        radius += 1
    return filled
