"""Discs and rings with edges as sharp as stars: planets, shells of gas, ghosts, stars out of focus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.psf import expected_fwhm

_RADIUS = (2.0, 150.0)
# Electrons / s in a pixel.
_RATE = (0.03, 30.0)
_FLATTEST = 0.3
_RINGS, _THINNEST = 0.6, 0.95
_AREA = 512 * 512


def add_discs(
    image: NDArray[np.float64],
    origin: tuple[float, float],
    filter_name: str,
    conditions: Conditions,
    rng: np.random.Generator,
) -> None:
    """Add ellipses, full or hollow, to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Image in electrons / s.
    origin : (float, float)
        Offset (y, x) of this exposure, in pixels: the same discs lie elsewhere in the next exposure of a visit.
    filter_name : str
        Name of the filter whose PSF blurs their edges.
    conditions : Conditions
        With their number and the width of the PSF.
    rng : numpy.random.Generator
        Source of all random numbers.
    """
    rows, columns = (np.arange(length, dtype=np.float64) for length in image.shape)
    count = int(rng.poisson(conditions.discs * image.size / _AREA))
    if not count:
        return
    light = np.zeros_like(image)
    for _ in range(count):
        radius, rate = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (_RADIUS, _RATE))
        y = rows[:, None] + origin[0] - rng.uniform(0, image.shape[0])
        x = columns + origin[1] - rng.uniform(0, image.shape[1])
        angle, flat = rng.uniform(0, np.pi), rng.uniform(_FLATTEST, 1)
        along, across = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat
        distance = np.hypot(along, across) / radius
        darkened = 1 - rng.uniform(0, 0.8) * (1 - np.sqrt(np.clip(1 - distance**2, 0, 1)))
        hollow = rng.uniform(0.3, _THINNEST) if rng.random() < _RINGS else 0.0
        light += rate * darkened * (_share_within(1.0, distance) - (_share_within(hollow, distance) if hollow else 0))
    image += ndimage.gaussian_filter(light, conditions.psf * expected_fwhm(filter_name) / 2.3548)


def _share_within(edge: float, distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each pixel that lies within an edge, which is taken to be straight there."""
    slope = np.maximum(np.hypot(*np.gradient(distance)), 1e-9)
    return np.asarray(np.clip(0.5 + (edge - distance) / slope, 0, 1))
