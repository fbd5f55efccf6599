"""Stars of a field: where they lie, how bright and how hot they are, and how they look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.filters import get_filter
from deepcr_lightning.simulation.psf import PHASES, RADIUS, expected_fwhm, psf_stamps

FIELDS = ("sparse", "cluster", "galaxy", "nebula", "ellipticals", "spectrum")
"""Known field types: high latitude, globular cluster, resolved galaxy, bright nebula with young stars, bright smooth
galaxies, and the spectrum of a long slit."""
DEFAULT_FIELDS = FIELDS[:3]
"""Those of a set that does not name any."""

# Stars per pixel, brightest and faintest AB magnitude in F606W, slope of log N(m).
_POPULATIONS = {
    "sparse": (1.0e-4, 16.0, 27.5, 0.16),
    "cluster": (6.0e-3, 15.0, 27.0, 0.30),
    "galaxy": (1.2e-2, 18.0, 27.5, 0.33),
    "nebula": (2.0e-3, 16.0, 27.5, 0.28),
    "ellipticals": (2.0e-4, 16.0, 27.5, 0.2),
}
_DENSITY_SCATTER = 0.5
_REFERENCE_NM = 588.9
# Stars fainter than each rate (electrons / s) need no more than this many pixels around them.
_STAMP_RADII = ((2.0, 9), (60.0, 24), (np.inf, RADIUS))
_CHUNK = 8192


@dataclass(frozen=True)
class Stars:
    """Stars of one pointing.

    Attributes
    ----------
    y, x : ndarray of float64, shape (N,)
        Position in pixels of the pointing; the middle of the first pixel is 0.
    magnitude : ndarray of float64, shape (N,)
        AB magnitude in F606W.
    temperature : ndarray of float64, shape (N,)
        Effective temperature in K.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    temperature: NDArray[np.float64]

    def magnitude_in(self, filter_name: str) -> NDArray[np.float64]:
        """AB magnitude in another filter, from black-body colours."""
        return self.magnitude + blackbody_colour(self.temperature, filter_name)


def blackbody_colour(temperature: NDArray[np.float64] | float, filter_name: str) -> NDArray[np.float64]:
    """Colour (filter - F606W) of a black body in AB magnitudes.

    Parameters
    ----------
    temperature : ndarray or float
        Temperature in K.
    filter_name : str
        Name of a filter.

    Returns
    -------
    ndarray of float64
        Magnitude in the filter minus magnitude in F606W.
    """
    kelvin = np.asarray(temperature, dtype=np.float64)

    def log_flux(nm: float) -> NDArray[np.float64]:
        exponent = 1.43878e7 / (nm * kelvin)
        return np.asarray(-3 * np.log10(nm) - np.log10(np.expm1(exponent)))

    return -2.5 * (log_flux(get_filter(filter_name).pivot_nm) - log_flux(_REFERENCE_NM))


def draw_stars(field: str, shape: tuple[int, int], rng: np.random.Generator, factor: float = 1.0) -> Stars:
    """Draw the stars of a pointing.

    Parameters
    ----------
    field : str
        One of `FIELDS`.
    shape : tuple of int
        Rows and columns of the pointing.
    rng : numpy.random.Generator
        Source of all random numbers.
    factor : float
        On the number of stars.

    Returns
    -------
    Stars
        Positions, magnitudes and temperatures. The same stars show in all filters.

    Raises
    ------
    InputError
        If the field type is unknown.
    """
    if field == "spectrum":
        nothing = np.empty(0)
        return Stars(nothing, nothing, nothing, nothing)
    if field not in _POPULATIONS:
        raise InputError(f"unknown field type {field!r}: choose from {', '.join(FIELDS)}")
    density, bright, faint, slope = _POPULATIONS[field]
    # No two pointings are alike: their densities scatter by about half.
    density *= factor * np.exp(rng.normal(0, _DENSITY_SCATTER))
    count = int(rng.poisson(density * shape[0] * shape[1]))
    # Inverse of the cumulative count 10 ** (slope * m) between the two limits.
    lowest = 10 ** (slope * (bright - faint))
    magnitude = faint + np.log10(lowest + (1 - lowest) * rng.random(count)) / slope
    if field == "cluster":
        y, x = _cluster_positions(count, shape, rng)
    else:
        y = rng.uniform(-0.5, shape[0] - 0.5, count)
        x = rng.uniform(-0.5, shape[1] - 0.5, count)
    return Stars(y, x, magnitude, _temperatures(field, magnitude, rng))


def add_stars(
    image: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    rate: NDArray[np.float64],
    filter_name: str,
    conditions: Conditions = USUAL,
) -> None:
    """Add the light of stars to an image, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Image in electrons / s; C-contiguous.
    y, x : ndarray of float64, shape (N,)
        Positions in pixels; stars may lie up to `RADIUS` pixels off the image.
    rate : ndarray of float64, shape (N,)
        Rate of each star in electrons / s.
    filter_name : str
        Name of the filter whose PSF they have.
    conditions : Conditions
        With the shape of the PSF.
    """
    stamps = psf_stamps(filter_name, conditions.psf, conditions.beta, conditions.trail, conditions.halo)
    broad = math.ceil(2 * conditions.psf * expected_fwhm(filter_name) + conditions.trail[0] / 2)
    height, width = image.shape
    # A margin of a stamp's size, so that no stamp needs clipping.
    margin = 2 * RADIUS + 1
    padded = np.zeros((height + 2 * margin, width + 2 * margin))
    flat = padded.reshape(-1)
    row, column = np.rint(y).astype(np.int64), np.rint(x).astype(np.int64)
    phase_y = np.clip(((y - row + 0.5) * PHASES).astype(np.int64), 0, PHASES - 1)
    phase_x = np.clip(((x - column + 0.5) * PHASES).astype(np.int64), 0, PHASES - 1)
    near = (row > -RADIUS) & (row < height + RADIUS)
    near &= (column > -RADIUS) & (column < width + RADIUS)
    above = 0.0
    for limit, enough in _STAMP_RADII:
        radius = min(max(enough, broad), RADIUS)
        chosen = np.flatnonzero(near & (rate >= above) & (rate < limit))
        above = limit
        window = slice(RADIUS - radius, RADIUS + radius + 1)
        small = stamps[:, :, window, window]
        reach = np.arange(-radius, radius + 1)
        offsets = reach[:, None] * padded.shape[1] + reach
        per_chunk = max(1, _CHUNK * 361 // offsets.size)
        for start in range(0, len(chosen), per_chunk):
            at = chosen[start : start + per_chunk]
            centre = (row[at] + margin) * padded.shape[1] + column[at] + margin
            light = small[phase_y[at], phase_x[at]] * rate[at, None, None]
            np.add.at(flat, (centre[:, None, None] + offsets).reshape(-1), light.reshape(-1))
    image += padded[margin:-margin, margin:-margin]


def _cluster_positions(
    count: int, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw positions from a Plummer profile about a centre near the middle, within the field."""
    core = 0.3 * min(shape)
    centre = np.array(shape) * rng.uniform(0.35, 0.65, 2)
    found: list[NDArray[np.float64]] = []
    missing = count
    while missing > 0:
        radius = core / np.sqrt(np.maximum(1 / rng.random(2 * missing + 16), 1 + 1e-9) - 1)
        angle = rng.uniform(0, 2 * np.pi, len(radius))
        y = centre[0] + radius * np.sin(angle)
        x = centre[1] + radius * np.cos(angle)
        inside = (y > -0.5) & (y < shape[0] - 0.5) & (x > -0.5) & (x < shape[1] - 0.5)
        found.append(np.column_stack([y, x])[inside][:missing])
        missing -= len(found[-1])
    positions = np.concatenate(found) if found else np.empty((0, 2))
    return positions[:, 0], positions[:, 1]


def _temperatures(field: str, magnitude: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Give each star a temperature on the main sequence or the red giant branch."""
    count = len(magnitude)
    if field == "galaxy":
        hot = np.interp(magnitude, [18, 22, 25, 27.5], [3.0e4, 2.2e4, 1.2e4, 8000])
        red = np.interp(magnitude, [21.2, 24, 27.5], [3400, 4300, 4900])
        kelvin = np.where((rng.random(count) < 0.45) | (magnitude < 21.2), hot, red)
    elif field == "cluster":
        kelvin = np.interp(magnitude, [15, 18.9, 19.1, 23, 27], [3900, 5300, 6200, 4600, 3500])
        blue = (rng.random(count) < 0.1) & (magnitude < 18)
        kelvin = np.where(blue, rng.uniform(7000, 15000, count), kelvin)
    elif field == "nebula":
        kelvin = np.interp(magnitude, [16, 20, 24, 27.5], [3.5e4, 2.0e4, 7000, 3600])
    else:
        kelvin = rng.uniform(3400, 6500, count)
    return kelvin * np.exp(rng.normal(0, 0.03, count))
