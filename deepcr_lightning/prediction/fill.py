"""CR pixels replaced by what lies around them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import numpy as np
import scipy  # scipy.ndimage comes with its first use: it takes a quarter of a second
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError

_REACH = 3
_MOST_RINGS = 10
_CHUNK = 200_000


def require_same_shape(electrons: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """Raise if a mask does not fit an image.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    mask : ndarray of bool, shape (H, W)

    Raises
    ------
    InputError
        If the mask is of another shape or type.
    """
    if mask.shape != electrons.shape:
        raise InputError(
            f"mask: has shape {mask.shape}, but the image has {electrons.shape}; give the mask of this image"
        )
    if mask.dtype != bool:
        raise InputError(f"mask: has type {mask.dtype}; give a boolean mask, such as mask > 0")


def fill_median(
    electrons: NDArray[np.float32],
    mask: NDArray[np.bool_],
    usable: NDArray[np.bool_] | None = None,
    box: int = 3,
) -> NDArray[np.float32]:
    """Fill masked pixels with the median of the good pixels in a box around each.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        Pixels to fill.
    usable : ndarray of bool, shape (H, W), optional
        Pixels worth taking a value from; masked ones never are.
    box : int
        Side of the box, odd.

    Returns
    -------
    ndarray of float32, shape (H, W)
        A copy; pixels outside the mask are the same to the bit.

    Raises
    ------
    InputError
        If the mask is of another shape.

    Notes
    -----
    The box grows by a ring where it holds no good pixel, up to 10 rings; what lies deeper in a hole takes the
    nearest good pixel. Where an image has no good pixel at all, it is returned as it is.
    """
    require_same_shape(electrons, mask)
    good = ~mask if usable is None else ~mask & usable
    filled = electrons.copy()
    if not good.any():
        return filled
    values = np.where(good, electrons, np.nan).astype(np.float32)
    left: NDArray[np.int64] = np.argwhere(mask)
    radius = box // 2
    while len(left) and radius <= _MOST_RINGS:
        padded = np.pad(values, radius, constant_values=np.nan)
        offsets = np.array([(dy, dx) for dy in range(2 * radius + 1) for dx in range(2 * radius + 1)])
        remaining: list[NDArray[np.int64]] = []
        chunk = max(1, _CHUNK * 9 // len(offsets))
        for start in range(0, len(left), chunk):
            places: NDArray[np.int64] = left[start : start + chunk]
            around: NDArray[np.float32] = padded[places[:, :1] + offsets[:, 0], places[:, 1:] + offsets[:, 1]]
            around.sort(axis=1)  # NaN comes last
            count = np.isfinite(around).sum(axis=1)
            found = count > 0
            if found.any():
                rows, columns = places[found].T
                around, last = around[found], count[found] - 1
                one = np.arange(len(around))
                filled[rows, columns] = (around[one, last // 2] + around[one, (last + 1) // 2]) / 2
            remaining.append(places[~found])
        left = np.concatenate(remaining)
        radius += 1
    if len(left):
        nearest = scipy.ndimage.distance_transform_edt(~good, return_distances=False, return_indices=True)
        rows, columns = left.T
        filled[rows, columns] = electrons[nearest[0][rows, columns], nearest[1][rows, columns]]
    return filled


def require_biharmonic() -> None:
    """Raise if scikit-image is not installed.

    Raises
    ------
    InputError
        If it is not.
    """
    if importlib.util.find_spec("skimage") is None:
        raise InputError("fill=biharmonic needs scikit-image: pip install 'deepcr-lightning[fill]'")


def fill_biharmonic(
    electrons: NDArray[np.float32], mask: NDArray[np.bool_], usable: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Fill masked pixels with the smoothest surface through what lies around them (`skimage.restoration`).

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

    Raises
    ------
    InputError
        If scikit-image is not installed, or the mask is of another shape.

    References
    ----------
    Damelin & Hoang 2018, J. Math., doi 10.1155/2018/3950312.
    """
    require_biharmonic()
    from skimage.restoration import inpaint_biharmonic

    require_same_shape(electrons, mask)
    hole = mask.copy()
    if usable is not None:
        # Bad pixels near the mask are smoothed over as well, so that none pulls the surface.
        hole |= ~usable & scipy.ndimage.binary_dilation(mask, np.ones((3, 3), bool), iterations=_REACH)
    filled = electrons.copy()
    if hole.all() or not mask.any():
        return filled
    smooth = inpaint_biharmonic(electrons.astype(np.float64), hole, split_into_regions=True)
    filled[mask] = smooth[mask]
    return filled


Fill = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.float32]]

FILLS: dict[str, Fill] = {
    "median_3": partial(fill_median, box=3),
    "median_5": partial(fill_median, box=5),
    "biharmonic": fill_biharmonic,
}
"""The ways to fill by the name that `fill=` takes, but for `NETWORK`."""
DEFAULT, NETWORK = "median_5", "network"
"""The way that predict.py takes by default, and the one that needs a network (`inpainting.filler`)."""


def fill_named(name: str) -> Fill:
    """Choose how masked pixels are filled.

    Parameters
    ----------
    name : str
        A name of `FILLS`.

    Returns
    -------
    callable
        A way to fill.

    Raises
    ------
    InputError
        If there is no such way, or a package that it needs is not installed.
    """
    if name not in FILLS:
        raise InputError(f"fill={name}: choose from {', '.join((*FILLS, NETWORK))}")
    if name == "biharmonic":
        require_biharmonic()
    return FILLS[name]
