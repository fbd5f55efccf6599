"""Stars of a real image, found without a catalogue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import reconstruction

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.prediction.fill import fill_median

_FALL = 5.0
_SHARPEST = 0.4
_NEARLY = 0.999
_DISTANCES = (3, 6, 12)
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_BINOMIAL = (0.25, 0.5, 0.25)
_AROUND = 9
_EIGHT = np.ones((3, 3), bool)


def star_peaks(electrons: NDArray[np.float32], cr: NDArray[np.bool_], ignore: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the brightest pixels of the stars of an image.

    The image, its true CRs filled from their surroundings, is smoothed with the weights (1, 2, 1) / 4 in both
    directions. A star is a local maximum of the smoothed image that

    - stands by five times the local noise of a pixel above every saddle that leads to a higher one,
    - falls by as much in each of four directions, to at least one of the two sides, all at 3, 6 or 12 pixels, and
    - is no single pixel: its brightest one stands not more than 2.5 times as high as the smoothed peak.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    cr, ignore : ndarray of bool, shape (H, W)
        True CRs, and pixels of which nothing is known. No star is sought within 2 pixels of the former or on the
        latter.

    Returns
    -------
    ndarray of int64, shape (2, n)
        Row and column of the brightest of the 3 x 3 pixels around each maximum.

    Notes
    -----
    Smoothing takes half of the peak of the sharpest stars here, those of WFPC2, which must stand ten times the noise
    above their surroundings therefore. It takes three quarters of a single pixel: the last rule leaves out hot pixels,
    which are 8 in 1000 of the peaks there and stand apart (0.25 to 0.37 against 0.42 and more). The noise of the
    smoothed image is 0.38 of a pixel's, so five times a pixel's noise is 13 sigma. Traces of spectra and satellites do
    not fall along themselves; a neighbour in a crowd blocks one side only; a trailed star is one peak, and so is the
    core of a galaxy.
    """
    sky, noise = sky_and_noise(electrons, ~ignore)
    filled = fill_median(electrons, ndimage.binary_dilation(cr, _EIGHT) | ignore).astype(np.float64)
    smooth = ndimage.convolve1d(ndimage.convolve1d(filled, _BINOMIAL, 0), _BINOMIAL, 1)
    least = _FALL * np.sqrt(noise**2 + np.maximum(smooth - sky, 0))
    stands = np.any([_falls(smooth, distance, least) for distance in _DISTANCES], axis=0)
    away = ndimage.binary_dilation(cr, _EIGHT, iterations=2) | ignore
    prominent = smooth - reconstruction(smooth - least, smooth) > _NEARLY * least
    peak = stands & prominent & (smooth == ndimage.maximum_filter(smooth, 3)) & ~away
    rows, columns = _brightest(electrons, peak, away)
    base = ndimage.minimum_filter(smooth, _AROUND)[rows, columns]
    height = ndimage.maximum_filter(smooth, 3)[rows, columns] - base
    return np.array([rows, columns])[:, height > _SHARPEST * (electrons[rows, columns] - base)]


def _falls(smooth: NDArray[np.float64], distance: int, least: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether an image falls by so much in every direction, to at least one side."""
    rows, columns = smooth.shape
    wide = np.pad(smooth, distance, mode="symmetric")
    falls = np.ones(smooth.shape, bool)
    for dy, dx in _DIRECTIONS:
        starts = [(distance * (1 + sign * dy), distance * (1 + sign * dx)) for sign in (1, -1)]
        sides = [wide[y : y + rows, x : x + columns] for y, x in starts]
        falls &= smooth - np.minimum(*sides) > least
    return falls


def _brightest(electrons: NDArray[np.float32], peak: NDArray[np.bool_], away: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Move each peak to the brightest of the 3 x 3 pixels around it."""
    image = np.pad(np.where(away, -np.inf, electrons), 1, constant_values=-np.inf)
    y, x = np.nonzero(peak)
    best = np.argmax([image[y + dy, x + dx] for dy in range(3) for dx in range(3)], axis=0)
    return np.unique(np.array([y + best // 3 - 1, x + best % 3 - 1]), axis=1)
