"""Synthetic skies: stars, cosmic rays and noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SKY, READ_NOISE = 30.0, 3.1


def add_cosmic_rays(image: NDArray, rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Add short bright tracks to an image; return where."""
    mask = np.zeros(image.shape, bool)
    for _ in range(count):
        y, x = (rng.integers(2, length - 6) for length in image.shape)
        for step in range(rng.integers(2, 5)):
            place = (y + step * rng.integers(0, 2), x + step)
            image[place] += rng.uniform(200, 2000)
            mask[place] = True
    return mask


def scene(shape: tuple[int, int], rng: np.random.Generator, stars: int) -> NDArray:
    """Make a sky with round stars, in electrons, with Poisson and read noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    expected = np.full(shape, SKY)
    for _ in range(stars):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        expected += rng.uniform(200, 5000) / 5 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 1.6)
    return rng.poisson(expected) + rng.normal(0, READ_NOISE, shape)


def moffat(y: NDArray, x: NDArray, fwhm: float, trail: float = 0.0) -> NDArray:
    """Moffat light of peak 1 around the origin, drawn out at 30 degrees."""
    scale = fwhm / (2 * math.sqrt(2**0.4 - 1))
    places = np.linspace(-trail / 2, trail / 2, 1 + 2 * int(trail))
    return np.mean([(1 + ((x - 0.87 * t) ** 2 + (y - 0.5 * t) ** 2) / scale**2) ** -2.5 for t in places], axis=0)


def star_field(fwhm: float, count: int, rng: np.random.Generator, size: int = 320, trail: float = 0.0) -> NDArray:
    """Stars with peaks of 30 to 1000 times the noise, integrated over the pixels."""
    light = np.zeros((size, size))
    fine_pixels = 3
    reach = int(4 * fwhm + trail) + 2
    fine = (np.arange((2 * reach + 1) * fine_pixels) + 0.5) / fine_pixels - 0.5 - reach
    for _ in range(count):
        row, column = rng.integers(reach, size - reach, 2)
        dy, dx = rng.uniform(-0.5, 0.5, 2)
        stamp = moffat(fine[:, None] - dy, fine[None, :] - dx, fwhm, trail)
        stamp = stamp.reshape(2 * reach + 1, fine_pixels, -1, fine_pixels).mean((1, 3))
        peak = 8 * 10 ** rng.uniform(1.5, 3)
        light[row - reach : row + reach + 1, column - reach : column + reach + 1] += peak * stamp / stamp.max()
    return light


def observe(light: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Observe light on a sky of 50 electrons, with a read noise of 4."""
    return (rng.poisson(50 + light) + rng.normal(0, 4, light.shape)).astype(np.float32)


SHAPE = (120, 120)
"""Shape of the images of `sky_of`."""


def sky_of(flux: NDArray, y: NDArray, x: NDArray, rng: np.random.Generator) -> NDArray:
    """Stars of the PSF that photometry can know, on a sky with noise, in electrons."""
    from deepcr_lightning.photometry.psf_of_stars import gaussian_psf

    expected = np.full(SHAPE, SKY)
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    stamps = gaussian_psf(1.8).stamps(y - row, x - column, 5) * flux[:, None, None]
    for top, left, stamp in zip(row - 5, column - 5, stamps, strict=True):
        expected[top : top + 11, left : left + 11] += stamp
    return rng.poisson(np.maximum(expected, 0)) + rng.normal(0, READ_NOISE, SHAPE)


def grid_of_stars(rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Places of 81 stars that do not touch."""
    y, x = (10 + 12 * axis.ravel() + rng.uniform(-2, 2, 81) for axis in np.mgrid[:9, :9])
    return y, x
