"""How the noise of a chip differs from place to place, as between amplifiers or where a flat field was divided out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.exposures.sky import rounding_step

_LARGE = 1 << 20
_SIDES = ((128, 8), (64, 2))
"""Side of a block, and every which of its rows is looked at: for chips of a million pixels or more, and for others."""
_MAD_TO_SIGMA = 1.4826
_ROUGH, _ROUGHEST = 1.08, 1.35
"""In structure, pixels two apart differ by more than neighbours do: so much more than in the smoothest fifth of the
blocks, and in these themselves, noise may be so."""
_TAIL = 2.1
"""The 80th in a hundred of the differences over their median, 1.90 if they are normal: stars and their wings add to the
largest of them."""
_STEADY, _UNEVEN = 0.6, 1.25
"""So many of the blocks must tell, and their noise differ by this factor, from the 5th to the 95th in a hundred: at a
first look, and smoothed over three by three of them."""
_DIM = 0.25
"""Light, in units of the variance of a pixel, beyond which the noise of a block is that of its light."""
_LEAST, _MOST = 0.4, 4.0
_STEPS = 6.0
"""Noise in steps of rounding from which on the scatter of a block is no whole number of them."""


def uneven_noise(
    electrons: NDArray[np.float32], usable: NDArray[np.bool_], sky: float, noise: float
) -> NDArray[np.float32] | None:
    """Measure the noise of each part of a chip in units of that of the whole.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
        Image in electrons, finite.
    usable : ndarray of bool, shape (H, W)
        Pixels to look at.
    sky, noise : float
        Sky level and noise of the whole chip in electrons, from `exposures.sky.sky_and_noise`.

    Returns
    -------
    ndarray of float32, shape (rows, columns), or None
        One for each block of about 64 x 64 pixels, or 128 x 128 of a chip of a million pixels or more; None where the
        noise is even, as far as can be told, where most blocks hold more structure than noise, such as a spectrum, and
        where steps of rounding hide it.

    Notes
    -----
    From the MAD of the differences of neighbours in a row. Structure is told from noise by pixels two apart, which
    differ more in it, and by its largest differences; blocks with structure, or with light that brings noise of its
    own, take the value of the nearest other one, which is wrong where light fills what one amplifier reads.
    """
    side, every = _SIDES[0] if electrons.size >= _LARGE else _SIDES[1]
    blocks = tuple(round(length / side) for length in electrons.shape)
    if min(blocks) < 1 or blocks[0] * blocks[1] < 4:
        return None
    # Most chips are even, which a quarter of the rows says.
    some = _rows(electrons, usable, blocks, 4 * every, 0)
    with np.errstate(all="ignore"):
        relative = _scatter(some[..., 1:] - some[..., :-1]) / noise
    if noise < _STEPS * rounding_step(some[np.isfinite(some)]) or _range(relative[np.isfinite(relative)]) < _UNEVEN:
        return None
    here, below = (_rows(electrons, usable, blocks, every, down) for down in (0, 2))
    with np.errstate(all="ignore"):
        steps = abs(here[..., 1:] - here[..., :-1])
        beside, tail = _scatter(steps), _quantile(steps, 0.8) / _quantile(steps, 0.5)
        apart = np.maximum(_scatter(here[..., 2:] - here[..., :-2]), _scatter(below - here))
        relative, rough = beside / noise, apart / beside
    known = np.isfinite(relative) & np.isfinite(rough) & (relative > 0)
    if not known.any():
        return None
    smoothest = np.percentile(rough[known], 20)
    dark = abs(_quantile(here, 0.5) - sky) <= _DIM * noise**2
    steady = known & dark & (rough <= _ROUGH * smoothest) & (tail <= _TAIL)
    if smoothest > _ROUGHEST or steady.mean() < _STEADY:
        return None
    smooth = _smooth(relative, steady)
    return np.asarray(np.clip(smooth, _LEAST, _MOST), np.float32) if _range(smooth) >= _UNEVEN else None


def _range(relative: NDArray[np.float64]) -> float:
    """Give the factor by which blocks differ, from the 5th to the 95th in a hundred."""
    if not relative.size:
        return 1.0
    low, high = np.percentile(relative, [5, 95])
    return float(high / max(low, _LEAST))


def _smooth(relative: NDArray[np.float64], steady: NDArray[np.bool_]) -> NDArray[np.float64]:
    # A third of a second, of which most chips need nothing.
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~steady, return_distances=False, return_indices=True)
    return ndimage.median_filter(relative[tuple(nearest)], 3, mode="nearest")


def _rows(
    electrons: NDArray[np.float32], usable: NDArray[np.bool_], blocks: tuple[int, ...], every: int, down: int
) -> NDArray[np.float32]:
    """Give some rows of each block, or those so far below them, with NaN where a pixel is of no use.

    Their shape is (rows of blocks, columns of blocks, rows, columns).
    """
    rows, columns = blocks
    height, width = electrons.shape[0] // rows, electrons.shape[1] // columns

    def of(plane: NDArray) -> NDArray:
        cut = plane[: rows * height, : columns * width].reshape(rows, height, columns, width)
        return cut[:, down : height - 2 + down : every].swapaxes(1, 2)

    return np.where(of(usable), of(electrons), np.float32(np.nan))


def _scatter(differences: NDArray[np.float32]) -> NDArray[np.float64]:
    return _MAD_TO_SIGMA / np.sqrt(2) * _quantile(abs(differences), 0.5)


def _quantile(values: NDArray[np.float32], share: float) -> NDArray[np.float64]:
    """Quantile of the pixels of each block that are numbers; NaN where less than half of them are."""
    flat = values.reshape(*values.shape[:2], -1)
    # What is no number comes last. np.nanmedian takes ten times as long.
    in_order, count = np.sort(flat, axis=-1), np.isfinite(flat).sum(-1)
    place = (share * count).astype(int).clip(max=flat.shape[-1] - 1)
    found = np.take_along_axis(in_order, place[..., None], axis=-1)[..., 0]
    return np.where(2 * count >= flat.shape[-1], found.astype(float), np.nan)
