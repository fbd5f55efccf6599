"""From probability to mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def threshold_mask(
    probability: NDArray[np.float32],
    threshold: float,
    usable: NDArray[np.bool_] | None = None,
    grow: int = 0,
) -> NDArray[np.bool_]:
    """Flag the pixels above a threshold, and their neighbours if asked.

    Parameters
    ----------
    probability : ndarray of float32, shape (H, W)
    threshold : float
        Pixels with a probability strictly above are flagged.
    usable : ndarray of bool, shape (H, W), optional
        Only these are ever flagged: the network is not trained on hot or saturated pixels, which DQ names.
    grow : int
        Rings of pixels to add around each flagged one, diagonal neighbours included.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    mask = probability > threshold
    if usable is not None:
        mask &= usable
    if grow > 0:
        mask = ndimage.binary_dilation(mask, structure=np.ones((3, 3), bool), iterations=grow)
        if usable is not None:
            mask &= usable
    return mask
