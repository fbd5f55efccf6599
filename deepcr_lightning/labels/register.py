"""Registration of exposures: positions of pixels in another exposure, and resampling."""

from __future__ import annotations

import logging

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.interpolate import RectBivariateSpline

Place = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Row and column in another image of each pixel of this one, shape (H, W) each."""

log = logging.getLogger(__name__)

_NODES = 17
_SMALLEST_OVERLAP = 0.02
_FAINTEST, _CLIP = 3.0, 30.0
_SMOOTH = 3.0
_SIGNIFICANT = 6.0
_LARGEST_CORRECTION = 3
_CLEARLY, _ALIKE, _SEVERAL = 1.5, 0.6, 20
_MOSTLY_GOOD = 0.05


def place_by_wcs(wcs: WCS, other: WCS, shape: tuple[int, int], other_shape: tuple[int, int]) -> Place | None:
    """Find where the pixels of a chip lie in another chip, by the WCS of both.

    Parameters
    ----------
    wcs, other : WCS
    shape, other_shape : (int, int)

    Returns
    -------
    Place or None
        None where the two have less than a fiftieth of the pixels in common.
    """
    # Distortion is smooth: a few exact points, and a spline through what they moved by.
    rows, columns = (np.linspace(0, length - 1, min(_NODES, length)) for length in shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    sky = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    # The reference pixel of a plain projection is within reach; on the far side of the sky there is no pixel.
    found = other.all_world2pix(*sky, 0, quiet=True)
    to_x, to_y = (np.asarray(axis).reshape(y.shape) for axis in found)
    if not (np.isfinite(to_x).all() and np.isfinite(to_y).all()):
        return None
    inside = (to_y > -0.5) & (to_y < other_shape[0] - 0.5) & (to_x > -0.5) & (to_x < other_shape[1] - 0.5)
    if inside.mean() < _SMALLEST_OVERLAP:
        return None
    every = [np.arange(length, dtype=np.float64) for length in shape]
    orders = {"kx": min(3, len(rows) - 1), "ky": min(3, len(columns) - 1)}
    moved = [RectBivariateSpline(rows, columns, axis, **orders)(*every) for axis in (to_y - y, to_x - x)]
    return moved[0] + every[0][:, None], moved[1] + every[1]


def place_by_shift(shape: tuple[int, int], shift: tuple[float, float]) -> Place:
    """Find where the pixels of a chip lie in one that is shifted.

    Parameters
    ----------
    shape : (int, int)
    shift : (float, float)
        Rows and columns to add.

    Returns
    -------
    Place
    """
    y, x = np.indices(shape, dtype=np.float64)
    return y + shift[0], x + shift[1]


def resample(image: NDArray[np.float32], good: NDArray[np.bool_], place: Place, order: int) -> NDArray[np.float32]:
    """Interpolate an image at places between its pixels.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
    good : ndarray of bool, shape (H, W)
        Pixels that may be used.
    place : Place
    order : int
        Order of the spline: 1 blurs, 3 rings around pixels that are not smooth.

    Returns
    -------
    ndarray of float32, shape of `place`
        NaN off the image and where a bad pixel has a say.
    """
    filled = image
    if not good.all():
        around = ndimage.uniform_filter(np.where(good, image, 0), 5)
        share = ndimage.uniform_filter(good.astype(np.float32), 5)
        filled = np.where(good, image, around / np.maximum(share, 1e-3)).astype(np.float32)
    values = ndimage.map_coordinates(filled, place, order=order, mode="nearest")
    bad = ndimage.map_coordinates((~good).astype(np.float32), place, order=1, mode="constant", cval=1.0)
    values[bad > _MOSTLY_GOOD] = np.nan
    return values.astype(np.float32)


def find_shift(
    image: NDArray[np.float32], other: NDArray[np.float32], reach: int | None = None
) -> tuple[float, float] | None:
    """Find by cross-correlation how far an image is shifted against another.

    Parameters
    ----------
    image, other : ndarray of float32, shape (H, W)
        In units of the noise, the sky at 0; NaN where unknown.
    reach : int, optional
        Largest shift in pixels; half of the image by default.

    Returns
    -------
    (float, float) or None
        What to add to rows and columns of `image` to come to the same thing in `other`; None where nothing stands
        out. With a reach the two must have many sources in common, which no shift at all does not lay on each other:
        one that moves would else be taken for the field.
    """
    ours, theirs = (np.nan_to_num(plane) for plane in (image, other))
    if reach is None:
        # The median takes most of a cosmic ray away and leaves a star.
        ours, theirs = (ndimage.median_filter(plane, 3) for plane in (ours, theirs))
    else:
        # What has nothing like it nearby in the other image is a cosmic ray.
        window = 2 * reach + 1
        ours, theirs = (
            np.minimum(ours, ndimage.maximum_filter(theirs, window)),
            np.minimum(theirs, ndimage.maximum_filter(ours, window)),
        )
    rows, columns = (max(lengths) for lengths in zip(image.shape, other.shape, strict=True))
    ours, theirs = _sources(ours), _sources(theirs)
    size = [fft.next_fast_len(2 * length) for length in (rows, columns)]
    spectra = [fft.rfft2(plane, size) for plane in (ours, theirs)]
    correlation = fft.irfft2(np.conj(spectra[0]) * spectra[1], size)
    limits = [min(reach or length // 2, length // 2) for length in (rows, columns)]
    near = np.roll(correlation, limits, (0, 1))[: 2 * limits[0] + 1, : 2 * limits[1] + 1]
    top = np.unravel_index(int(near.argmax()), near.shape)
    if near[top] <= _SIGNIFICANT * 1.4826 * float(np.median(np.abs(correlation))):
        return None
    if reach is not None:
        alike = float(near[top]) / np.sqrt(float((ours**2).sum()) * float((theirs**2).sum()))
        several = ndimage.label(ours)[1] >= _SEVERAL
        if not several or alike < _ALIKE or near[top] < _CLEARLY * near[limits[0], limits[1]]:
            return None
    return _peak(near[:, top[1]], int(top[0])) - limits[0], _peak(near[top[0]], int(top[1])) - limits[1]


def correct(image: NDArray[np.float32], resampled: NDArray[np.float32], name: str) -> tuple[float, float] | None:
    """Say how far an image lies off where its header placed it: the pointing jitters by more than headers tell.

    Parameters
    ----------
    image, resampled : ndarray of float32, shape (H, W)
        The image, and the other as it was placed; in units of the noise, NaN where unknown.
    name : str
        Name of the other, for the log.

    Returns
    -------
    (float, float) or None
        What to add to rows and columns of its place; None where there is nothing to correct.
    """
    shift = find_shift(image, resampled, _LARGEST_CORRECTION)
    if shift is None or max(map(abs, shift)) >= _LARGEST_CORRECTION:
        return None
    log.info("%s: shifted by %.2f rows and %.2f columns from its header's position; corrected", name, *shift)
    return shift


def _sources(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    # Without what is smooth no edge or nebula decides, and clipped no single star.
    sharp = plane - ndimage.gaussian_filter(plane, _SMOOTH)
    return np.where(sharp > _FAINTEST, np.minimum(sharp, _CLIP), 0)


def _peak(line: NDArray[np.float32], at: int) -> float:
    if not 0 < at < len(line) - 1:
        return float(at)
    before, top, after = (float(value) for value in line[at - 1 : at + 2])
    bend = before - 2 * top + after
    return at + 0.5 * (before - after) / bend if bend < 0 else float(at)
