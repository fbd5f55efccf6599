"""Pixels that are full: a star does not become a cosmic ray by that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.exposures.cards import positive
from deepcr_lightning.exposures.remarks import remark


def saturated_pixels(
    where: str, image: NDArray, headers: Sequence[fits.Header], level: float | None, known: bool
) -> NDArray[np.bool_]:
    """Find the saturated pixels of an image whose DQ does not name them.

    Parameters
    ----------
    where : str
        Name of the file, for a remark.
    image : ndarray, shape (H, W)
        As it stands in the file.
    headers : sequence of fits.Header
        Whose SATURATE, in the unit of the image, is believed unless half of the pixels lie above it.
    level : float or None
        What the user says in its place.
    known : bool
        Whether DQ names the saturated pixels: SATURATE and the type of the integers are not looked at then.

    Returns
    -------
    ndarray of bool, shape (H, W)
        Pixels at the level or above, and those that hold the largest value of a 16-bit integer.
    """
    found = np.zeros(image.shape, bool)
    if level is None and not known:
        level = positive(headers, "SATURATE") or None
        if level is not None and np.mean(image >= level) >= 0.5:
            remark(
                where, f"SATURATE {level:g} is ignored because most pixels exceed it; give saturation= to override this"
            )
            level = None
    elif level is not None and np.mean(image >= level) >= 0.5:
        remark(where, f"saturation={level:g}: most pixels exceed it and are excluded")
    if level is not None:
        with np.errstate(invalid="ignore"):
            found |= image >= level
    if not known and image.dtype.kind in "iu" and image.dtype.itemsize == 2:
        found |= image == np.iinfo(image.dtype).max
    return found
