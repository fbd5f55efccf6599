"""Where an image holds nothing: large blocks of zeros, undefined integers, and pixels that are no number."""

from __future__ import annotations

import numpy as np
import scipy  # scipy.ndimage comes with its first use: it takes a quarter of a second
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.exposures.cards import as_number

_BLOCK = 15
_RIM = 8
_BOXES = (5, 17, 65)


def bulk_zeros(image: NDArray) -> NDArray[np.bool_]:
    """Find blocks of zeros, which are no data: the borders of mosaics and of images that were turned.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        As it stands in the file.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True in every square of 15 x 15 pixels that are all zero, and at the zeros up to 8 pixels around it. Single
        zeros, as in counts about an empty sky, are data.
    """
    zero = image == 0
    if np.count_nonzero(zero) < _BLOCK**2:
        return np.zeros(image.shape, bool)
    core = scipy.ndimage.minimum_filter(zero.view(np.uint8), _BLOCK, mode="constant")
    if not core.any():
        return np.zeros(image.shape, bool)
    blocks = scipy.ndimage.maximum_filter(core, _BLOCK, mode="constant") > 0
    return np.asarray(scipy.ndimage.binary_dilation(blocks, np.ones((3, 3), bool), iterations=_RIM, mask=zero))


def undefined_integers(image: NDArray, header: fits.Header) -> NDArray[np.bool_]:
    """Find the pixels of whole numbers that BLANK says are undefined.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        As astropy reads it: it makes NaN of them, but not in unsigned integers.
    header : fits.Header
        As it stands in the file, with BLANK and BZERO.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    blank = as_number(header.get("BLANK"))
    if blank is None or image.dtype.kind not in "iu":
        return np.zeros(image.shape, bool)
    return np.asarray(image == int(blank) + int(as_number(header.get("BZERO")) or 0))


def fill_nearby(image: NDArray[np.float32], holes: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
    """Put the mean of the known pixels around it in the place of each hole.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
        Changed in place at the holes.
    holes, known : ndarray of bool, shape (H, W)
        Pixels to fill, and pixels to take values from, of which there is at least one.

    Notes
    -----
    The mean is that of the known pixels in a box of 5, 17 or 65 pixels, the smallest that holds one. What lies
    farther inside a hole gets the median of the image.
    """
    middle = float(np.median(image[known]))
    # From the median, since the running sums of a box filter lose digits on a high level.
    light = np.where(known, image - middle, 0).astype(np.float64)
    left = holes.copy()
    for box in _BOXES:
        weight = scipy.ndimage.uniform_filter(known.astype(np.float64), box, mode="constant")
        mean = scipy.ndimage.uniform_filter(light, box, mode="constant")
        found = left & (weight > 0.5 / box**2)
        image[found] = middle + mean[found] / weight[found]
        left &= ~found
        if not left.any():
            return
    image[left] = middle
