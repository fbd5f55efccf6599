"""What comes of an image in memory: mask, cleaned image and probability, in the form in which the image came."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from astropy.units import Quantity
from astropy.utils.masked import Masked
from numpy.typing import ArrayLike, NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.memory import is_nddata
from deepcr_lightning.prediction.fill import FILLS, Fill, require_biharmonic

FLAG_BIT = 8192
"""Bit of an NDData's flags that marks cosmic rays: the one that predict.py sets in DQ."""
FLAG_NAME = "COSMIC_RAY"


class Cleaned(NamedTuple):
    """Cosmic rays of an image, and the image without them.

    Attributes
    ----------
    mask : ndarray of bool, shape (H, W) or (N, H, W)
        True where a cosmic ray is.
    cleaned : ndarray, MaskedArray, Quantity, Masked, NDData or CCDData
        A copy of the image, in its own unit and type, with the cosmic rays filled. Pixels outside the mask are the
        same to the bit.
    probability : ndarray of float32, of the shape of the mask
        Probability of a cosmic ray.
    """

    mask: NDArray[np.bool_]
    cleaned: Any
    probability: NDArray[np.float32]


def way_to_fill(fill: str | Fill) -> Fill:
    """Find a way to fill by its name.

    Parameters
    ----------
    fill : str or callable
        A name of `prediction.fill.FILLS`; what can be called is returned as it is.

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If there is no such way, or it needs a package that is not installed.
    """
    if not isinstance(fill, str):
        return fill
    if fill not in FILLS:
        raise InputError(f"fill={fill}: choose from {', '.join(FILLS)}, or give a network (load_filler)")
    if fill == "biharmonic":
        require_biharmonic()
    return FILLS[fill]


def values_of(image: Any) -> NDArray:
    """Give the values of an image as a plain array, without its unit and mask.

    Parameters
    ----------
    image : array_like, Quantity, Masked, NDData or CCDData

    Returns
    -------
    ndarray
        A view where that can be.
    """
    if is_nddata(image):
        image = image.data
    if isinstance(image, Masked):
        image = image.unmasked
    return np.asarray(image.value if isinstance(image, Quantity) else image)


def planes(image: Any, mask: ArrayLike | None) -> Iterator[tuple[Any, Any]]:
    """Take the images of a stack one by one, each with its mask.

    Parameters
    ----------
    image : array_like, Quantity, Masked, NDData or CCDData, shape (H, W) or (N, H, W)
    mask : array_like of bool, shape (H, W) or (N, H, W), optional
        One of two axes stands for every image.

    Yields
    ------
    (array, Quantity, Masked or NDData; ndarray of bool or None)
        An image of two axes, with unit, mask and header of the stack, and the mask given for it.

    Raises
    ------
    InputError
        If the stack is empty or a list of images with units or masks of their own, or the mask of another shape.
    """
    own_kind = next((type(one) for one in image if _has_form(one)), None) if isinstance(image, list | tuple) else None
    if own_kind is not None:
        raise InputError(
            f"image: a list of {own_kind.__name__}, each with a unit or mask of its own; clean them one by one, or "
            "give one 3-D image"
        )
    pixels = values_of(image)
    if pixels.ndim != 3:
        yield image, mask
        return
    if mask is not None and np.shape(mask) not in ((), pixels.shape, pixels.shape[1:]):
        raise InputError(f"mask: has shape {np.shape(mask)}, but the images have {pixels.shape}")
    if not len(pixels):
        raise InputError("image: an empty stack")
    masks = [None] * len(pixels) if mask is None else np.broadcast_to(np.asarray(mask), pixels.shape)
    for place, hidden in enumerate(masks):
        if is_nddata(image):
            from astropy.nddata import NDData

            own = image.mask
            own = own[place] if np.ndim(own) == 3 else own
            yield NDData(image.data[place], mask=own, unit=image.unit, meta=image.meta), hidden
        else:
            yield (image if _has_form(image) else pixels)[place], hidden


def filled_pixels(
    pixels: NDArray, electrons: NDArray[np.float32], mask: NDArray[np.bool_], electrons_per_unit: float
) -> NDArray:
    """Put filled pixels into a copy of an image, in its own unit and type.

    Parameters
    ----------
    pixels : ndarray, shape (H, W)
        The image as it came.
    electrons : ndarray of float32, shape (H, W)
        The filled image in electrons.
    mask : ndarray of bool, shape (H, W)
        Pixels that were filled.
    electrons_per_unit : float
        Electrons per unit of the image.

    Returns
    -------
    ndarray, shape (H, W)
        Values of whole numbers are rounded, and clipped to what their type holds.
    """
    made = np.array(pixels)
    values = electrons[mask] / electrons_per_unit
    if made.dtype.kind in "iu":
        limits = np.iinfo(made.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    made[mask] = values.astype(made.dtype)
    return made


def in_form_of(image: Any, pixels: NDArray, mask: NDArray[np.bool_]) -> Any:
    """Give cleaned pixels the form of the image that they came from.

    Parameters
    ----------
    image : array_like, Quantity, Masked, NDData or CCDData
        As the user gave it.
    pixels : ndarray, of its shape
        Cleaned, in its unit.
    mask : ndarray of bool, of its shape
        Where cosmic rays were.

    Returns
    -------
    ndarray, MaskedArray, Quantity, Masked or NDData
        Image of the same class, with its unit and mask. An NDData also has its header, WCS and uncertainty; its mask is
        that of the image and the cosmic rays, as in ccdproc, and its flags have `FLAG_BIT` set there (a
        FlagCollection gets a plane `FLAG_NAME`).
    """
    if not is_nddata(image):
        if not _has_form(image):
            return pixels
        made = image.copy()
        values_of(made)[...] = pixels
        return made
    from astropy.nddata.flag_collection import FlagCollection

    made = copy.deepcopy(image)
    values_of(made)[...] = pixels
    made.mask = mask.copy() if image.mask is None else np.asarray(image.mask, bool) | mask
    flags = getattr(made, "flags", None)
    if isinstance(flags, FlagCollection):
        flags[FLAG_NAME] = mask.copy()
    elif hasattr(made, "flags"):
        given = np.zeros(mask.shape, np.uint16) if flags is None else np.asarray(flags).astype(np.int64)
        made.flags = given | np.where(mask, FLAG_BIT, 0).astype(given.dtype)
    return made


def _has_form(image: Any) -> bool:
    """Whether an image is more than its values."""
    return is_nddata(image) or isinstance(image, Quantity | Masked) or np.ma.isMA(image)
