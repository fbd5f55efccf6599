"""Median and minimum images of several exposures."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

MIN_SIGNIFICANCE = 4.0
"""The median yields to the minimum where it stands this many times the noise above it."""

_MEDIAN_VARIANCE = np.pi / 2


def median_image(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the median of all exposures that know a pixel.

    Parameters
    ----------
    stack : ndarray of float32, shape (N, H, W)
        NaN where unknown.

    Returns
    -------
    ndarray of float32, shape (H, W)
        NaN where all are.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        return np.asarray(np.nanmedian(stack, axis=0), np.float32)


def minmed_image(stack: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    """Take the median, or the minimum where the median is a cosmic ray by all appearance.

    Parameters
    ----------
    stack : ndarray of float32, shape (N, H, W)
        Light above the sky in electrons, NaN where unknown.
    noise : float
        Noise of one of them at the sky in electrons.

    Returns
    -------
    ndarray of float32, shape (H, W)
        NaN where all are.

    References
    ----------
    ``combine_type=minmed`` of AstroDrizzle: among few exposures a median may be a cosmic ray, a minimum is not.
    """
    median, lowest = median_image(stack), np.fmin.reduce(stack, axis=0)
    allowed = MIN_SIGNIFICANCE * np.sqrt(noise**2 + np.maximum(lowest, 0)) + largest_step(lowest)
    return np.where(median - lowest > allowed, lowest, median)


def variance_of_median(known: NDArray[np.int64], variance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Say how uncertain the median of several exposures is.

    Parameters
    ----------
    known : ndarray of int, shape (H, W)
        How many know the pixel.
    variance : ndarray of float32, shape (H, W)
        Variance of one of them in electrons squared.

    Returns
    -------
    ndarray of float32, shape (H, W)
        In electrons squared.
    """
    # The median of one or two is their mean.
    share = np.where(known > 2, _MEDIAN_VARIANCE, 1.0) / np.maximum(known, 1)
    return variance * share.astype(np.float32)


def largest_step(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the largest difference between a pixel and its four neighbours: how steep the image is there.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
        NaN where unknown.

    Returns
    -------
    ndarray of float32, shape (H, W)
        0 where no neighbour is known.
    """
    steepest = np.zeros_like(image)
    for axis in (0, 1):
        step = np.nan_to_num(np.abs(np.diff(image, axis=axis)))
        first, last = ([slice(None)] * 2 for _ in range(2))
        first[axis], last[axis] = slice(None, -1), slice(1, None)
        for side in (tuple(first), tuple(last)):
            steepest[side] = np.maximum(steepest[side], step)
    return steepest
