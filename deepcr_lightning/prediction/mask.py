"""From probability to mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # scipy.ndimage comes with its first use: it takes a quarter of a second
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError


def whole_rings(grow: Any) -> int:
    """Check how many rings of pixels a mask is to grow by.

    Parameters
    ----------
    grow : Any
        A whole number, 0 or more, of any type.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is not.
    """
    try:
        rings = int(grow)
        if rings >= 0 and rings == grow:
            return rings
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"grow={grow}: must be 0 or more whole pixels")


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
    return grown(mask, grow, usable)


def grown(mask: NDArray[np.bool_], grow: int, usable: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Add rings of neighbours to a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    grow : int
        Rings of pixels, diagonal neighbours included; 0 gives the mask itself.
    usable : ndarray of bool, shape (H, W), optional
        Only these are added.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    if grow == 0:
        return mask
    wider: NDArray[np.bool_] = scipy.ndimage.binary_dilation(mask, structure=np.ones((3, 3), bool), iterations=grow)
    return wider if usable is None else wider & (usable | mask)
