"""From probability to mask."""

from __future__ import annotations

from typing import Any

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


def threshold_mask(probability: Any, threshold: float, usable: Any = None, grow: int = 0) -> Any:
    """Flag the pixels above a threshold, and their neighbours if asked.

    Parameters
    ----------
    probability : ndarray or Tensor of float32, shape (..., H, W)
    threshold : float
        Pixels with a probability strictly above are flagged.
    usable : ndarray or Tensor of bool, shape (..., H, W), optional
        Only these are ever flagged: the network is not trained on hot or saturated pixels, which DQ names.
    grow : int
        Rings of pixels to add around each flagged one, diagonal neighbours included.

    Returns
    -------
    ndarray or Tensor of bool, shape (..., H, W)
        On the device of the probability.
    """
    mask = probability > threshold
    if usable is not None:
        mask &= usable
    return grown(mask, grow, usable)


def grown(mask: Any, grow: int, usable: Any = None) -> Any:
    """Add rings of neighbours to a mask.

    Parameters
    ----------
    mask : ndarray or Tensor of bool, shape (..., H, W)
    grow : int
        Rings of pixels, diagonal neighbours included; 0 gives the mask itself.
    usable : ndarray or Tensor of bool, shape (..., H, W), optional
        Only these are added.

    Returns
    -------
    ndarray or Tensor of bool, shape (..., H, W)
    """
    if grow == 0:
        return mask
    wider = mask
    for _ in range(grow):
        before, wider = wider, wider | False  # a copy, of an array and of a Tensor
        wider[..., 1:, :] |= before[..., :-1, :]
        wider[..., :-1, :] |= before[..., 1:, :]
        before, wider = wider, wider | False
        wider[..., 1:] |= before[..., :-1]
        wider[..., :-1] |= before[..., 1:]
    return wider if usable is None else wider & (usable | mask)
