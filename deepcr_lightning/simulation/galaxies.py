"""Background galaxies with Sersic profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.filters import get_filter
from deepcr_lightning.simulation.stars import blackbody_colour

_GALAXIES_PER_PIXEL = 3e-5
_MAX_RADIUS = 200
# Width of the Gaussian that stands for the PSF, in pixels.
_PSF_SIGMA = 0.75


@dataclass(frozen=True)
class Galaxies:
    """Background galaxies with Sersic profiles.

    Attributes
    ----------
    y, x : ndarray of float64, shape (N,)
        Position in pixels of the pointing.
    magnitude : ndarray of float64, shape (N,)
        Total AB magnitude in F606W.
    radius, index, ratio, angle : ndarray of float64, shape (N,)
        Effective radius in pixels, Sersic index, axis ratio, position angle in rad.
    temperature : ndarray of float64, shape (N,)
        Colour as the temperature of a black body in K.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    radius: NDArray[np.float64]
    index: NDArray[np.float64]
    ratio: NDArray[np.float64]
    angle: NDArray[np.float64]
    temperature: NDArray[np.float64]


def draw_galaxies(shape: tuple[int, int], rng: np.random.Generator, bright: bool = False) -> Galaxies:
    """Draw background galaxies; faint ones are more and smaller.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the pointing.
    rng : numpy.random.Generator
        Source of all random numbers.
    bright : bool
        Whether there are as many bright, smooth and large ones, as in a nearby cluster of galaxies.

    Returns
    -------
    Galaxies
        Galaxies between AB magnitudes 19 and 26 in F606W; bright ones between 15 and 19.
    """
    count = int(rng.poisson(_GALAXIES_PER_PIXEL * shape[0] * shape[1]))
    magnitude = 26 + np.log10(10**-2.45 + (1 - 10**-2.45) * rng.random(count)) / 0.35
    if bright:
        magnitude = np.concatenate([magnitude, rng.uniform(15, 19, max(1, count))])
        count = len(magnitude)
    return Galaxies(
        y=rng.uniform(0, shape[0], count),
        x=rng.uniform(0, shape[1], count),
        magnitude=magnitude,
        radius=np.exp(rng.normal(np.log(7), 0.35, count)) * 10 ** (-0.1 * (magnitude - 23)),
        index=np.clip(np.exp(rng.normal(np.log(1.3), 0.45, count)), 0.5, 5),
        ratio=rng.uniform(0.2, 1, count),
        angle=rng.uniform(0, np.pi, count),
        temperature=rng.uniform(4500, 9000, count),
    )


def add_galaxies(
    image: NDArray[np.float64],
    galaxies: Galaxies,
    filter_name: str,
    origin: tuple[float, float],
    conditions: Conditions = USUAL,
) -> None:
    """Add Sersic profiles (Graham & Driver 2005, PASA 22, 118, eq. 1) to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Image in electrons / s.
    galaxies : Galaxies
        The galaxies of the pointing.
    filter_name : str
        Name of the filter.
    origin : tuple of float
        Position (y, x) of the first pixel in the pointing, in pixels.
    conditions : Conditions
        With the width of the PSF and the factor on all light.
    """
    magnitude = galaxies.magnitude + blackbody_colour(galaxies.temperature, filter_name)
    rates = conditions.light * get_filter(filter_name).count_rate(magnitude)
    height, width = image.shape
    for i, rate in enumerate(rates):
        y, x = galaxies.y[i] - origin[0], galaxies.x[i] - origin[1]
        reach = int(min(8 * galaxies.radius[i] + 5, _MAX_RADIUS))
        row, column = round(y), round(x)
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, height), min(column + reach + 1, width)
        if top >= bottom or left >= right:
            continue
        dy, dx = np.ogrid[row - reach : row + reach + 1, column - reach : column + reach + 1]
        dy, dx = dy - y, dx - x
        sine, cosine = np.sin(galaxies.angle[i]), np.cos(galaxies.angle[i])
        radius = np.hypot(dx * cosine + dy * sine, (dy * cosine - dx * sine) / galaxies.ratio[i])
        n = galaxies.index[i]
        profile = np.exp(-(2 * n - 1 / 3) * (radius / galaxies.radius[i]) ** (1 / n))
        profile = ndimage.gaussian_filter(profile, conditions.psf * _PSF_SIGMA)
        profile *= rate / profile.sum()
        image[top:bottom, left:right] += profile[
            top - row + reach : bottom - row + reach, left - column + reach : right - column + reach
        ]
