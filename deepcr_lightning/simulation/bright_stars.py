"""Stars so bright that they fill the wells: their wide wings, and the spikes that vanes in the telescope draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.psf import HALO_PX, expected_fwhm

_RATE = (3e3, 2e5)
_SPIKES_SHARE = (0.002, 0.03)
# What the pixels add to the FWHM of a core and of a spike, in quadrature.
_PIXEL = 0.8
_CORE_BETA = 4.0
# The aureole that dust, mirrors and air make around every star seen from the ground (King 1971, PASP 83, 199): share of
# the light, and radius over the FWHM.
_AUREOLE = (0.02, 5.0)
_SPIKE_LENGTH = 3.0
_AREA = 512 * 512


def add_bright_stars(
    image: NDArray[np.float64],
    origin: tuple[float, float],
    filter_name: str,
    conditions: Conditions,
    rng: np.random.Generator,
) -> None:
    """Add bright stars to an image, in place; no window cuts their light off, as it does that of other stars.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Image in electrons / s.
    origin : (float, float)
        Offset (y, x) of this exposure, in pixels: the same stars lie elsewhere in the next exposure of a visit.
    filter_name : str
        Name of the filter whose PSF they have.
    conditions : Conditions
        With their number, the shape of the PSF and the angles of the spikes.
    rng : numpy.random.Generator
        Source of all random numbers.
    """
    rows, columns = (np.arange(length, dtype=np.float64) for length in image.shape)
    width = conditions.psf * expected_fwhm(filter_name)
    blurred = float(np.hypot(width, _PIXEL))
    if conditions.beta is None:
        core, halo, radius = _CORE_BETA, conditions.halo, HALO_PX * min(conditions.psf, 1.0)
    else:
        core, halo, radius = conditions.beta, _AUREOLE[0], _AUREOLE[1] * width
    for _ in range(rng.poisson(conditions.bright * image.size / _AREA)):
        rate, spikes = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (_RATE, _SPIKES_SHARE))
        y = rows[:, None] + origin[0] - rng.uniform(0, image.shape[0])
        x = columns + origin[1] - rng.uniform(0, image.shape[1])
        squared = y**2 + x**2
        scale = blurred / (2 * np.sqrt(2 ** (1 / core) - 1))
        light = (1 - halo) * (core - 1) / (np.pi * scale**2) * (1 + squared / scale**2) ** -core
        light += halo / (2 * np.pi * radius**2) * (1 + squared / radius**2) ** -1.5
        for angle in conditions.spikes:
            along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
            light += spikes / len(conditions.spikes) * _spike(along, across, blurred)
        image += rate * light


def _spike(along: NDArray[np.float64], across: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    """Light of one line through a star, of 1 in all: it fades with the square of the distance, as behind a slit."""
    length, sigma = _SPIKE_LENGTH * fwhm, fwhm / 2.3548
    profile = np.exp(-0.5 * (across / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    return np.asarray(profile / (np.pi * length * (1 + (along / length) ** 2)))
