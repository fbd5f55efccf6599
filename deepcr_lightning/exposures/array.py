"""Images as arrays in electrons, finite everywhere, wherever they came from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.blanks import bulk_zeros, fill_nearby


def finite_electrons(
    where: str, data: ArrayLike, electrons_per_unit: float, bad: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Put an image into electrons and say which pixels are of no use.

    Parameters
    ----------
    where : str
        What it is, for messages.
    data : array_like, shape (H, W)
        Image of any real type and byte order.
    electrons_per_unit : float
    bad : ndarray of bool, shape (H, W)
        Pixels of no use whatever they hold.

    Returns
    -------
    electrons : ndarray of float32, shape (H, W)
        Where a pixel is not finite, the mean of those around it that are of use.
    unusable : ndarray of bool, shape (H, W)
        Bad pixels, blocks of zeros (`blanks.bulk_zeros`), and pixels that are NaN, infinite, or too large for a
        float32.

    Raises
    ------
    InputError
        If no pixel is usable.
    """
    with np.errstate(over="ignore"):
        electrons = np.asarray(data).astype(np.float32)
        if electrons_per_unit != 1:
            electrons *= np.float32(electrons_per_unit)
    unusable = bulk_zeros(electrons)
    unusable |= bad
    finite = np.isfinite(electrons)
    whole = finite.all()
    if not whole:
        unusable |= ~finite
    if unusable.all():
        raise InputError(f"{where}: every pixel is unusable (DQ bits, NaN, saturated or zero); leave it out")
    if not whole:
        fill_nearby(electrons, ~finite, ~unusable)
    return electrons, unusable
