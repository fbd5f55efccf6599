"""Sources that move while the shutter is open: asteroids, satellites far out, comets' cores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.stars import add_stars

_LENGTH = (3.0, 80.0)
# Electrons that a source leaves on each pixel of its way.
_CHARGE = (15.0, 3e4)
_STEP = 0.25
# With this rate, in electrons / s, a star is drawn with its wings.
_WINGED = 10.0
_AREA = 512 * 512


def add_moving_sources(
    image: NDArray[np.float64], seconds: float, filter_name: str, conditions: Conditions, rng: np.random.Generator
) -> None:
    """Add sources that each draw a straight line, to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Image in electrons / s; C-contiguous.
    seconds : float
        Exposure time in s.
    filter_name : str
        Name of the filter whose PSF they have.
    conditions : Conditions
        With their number and the shape of the PSF.
    rng : numpy.random.Generator
        Source of all random numbers.
    """
    for _ in range(rng.poisson(conditions.moving * image.size / _AREA)):
        length, charge = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (_LENGTH, _CHARGE))
        angle = rng.uniform(0, np.pi)
        along = np.arange(-length / 2, length / 2, _STEP)
        y = rng.uniform(0, image.shape[0]) + along * np.sin(angle)
        x = rng.uniform(0, image.shape[1]) + along * np.cos(angle)
        light = np.zeros_like(image)
        add_stars(light, y, x, np.full(len(along), _WINGED), filter_name, conditions)
        image += light * (charge * _STEP / seconds / _WINGED)
