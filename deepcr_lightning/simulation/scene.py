"""Scenes: stars, galaxies and diffuse light of a pointing, rendered filter by filter.

A scene is drawn once for a visit; every exposure of it, in any filter and at any dither
offset, renders the same objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.filters import get_filter
from deepcr_lightning.simulation.galaxies import Galaxies, add_galaxies, draw_galaxies
from deepcr_lightning.simulation.psf import expected_fwhm
from deepcr_lightning.simulation.spectrum import Spectrum, add_spectrum, draw_spectrum
from deepcr_lightning.simulation.stars import Stars, add_stars, blackbody_colour, draw_stars

# Pixels of the chip per sample of the diffuse light, and samples beyond each edge.
_CELL = 16
_MARGIN = 3
# Chance and surface brightness (AB mag / pixel in F606W) of nebulosity, by field type.
_NEBULOSITY = {
    "sparse": (0.25, 31.0),
    "cluster": (0.25, 30.5),
    "galaxy": (0.7, 29.6),
    "nebula": (1.0, 28.0),
    "ellipticals": (0.0, 31.0),
    "spectrum": (0.0, 31.0),
}
_NEBULA_K = 9000.0
# Filaments of a bright nebula: their light over that around them, and the half width of a ridge in units of
# the field whose zero line it follows, which comes to some 2 pixels.
_FILAMENT_CONTRAST = 2.0
_FILAMENT_WIDTH = 0.03


@dataclass(frozen=True)
class Scene:
    """All light of one pointing.

    Attributes
    ----------
    field : str
        Field type.
    stars : Stars
        The resolved stars.
    galaxies : Galaxies
        The background galaxies.
    diffuse : dict of float to ndarray
        Coarse maps of diffuse light in units of an AB magnitude of 30 / pixel in F606W,
        by the black-body temperature (K) that gives their colour.
    filaments : ndarray or None
        Coarse map whose zero lines are thin bright filaments of the nebula; None where there are none.
    spectrum : Spectrum or None
        Spectrum behind a long slit; None where the camera takes images.
    """

    field: str
    stars: Stars
    galaxies: Galaxies
    diffuse: dict[float, NDArray[np.float64]]
    filaments: NDArray[np.float64] | None = None
    spectrum: Spectrum | None = None


def draw_scene(field: str, shape: tuple[int, int], rng: np.random.Generator, stars: float = 1.0) -> Scene:
    """Draw the scene of a pointing.

    Parameters
    ----------
    field : str
        One of `stars.FIELDS`.
    shape : tuple of int
        Rows and columns of the pointing, all chips and the gap between them.
    rng : numpy.random.Generator
        Source of all random numbers.
    stars : float
        Factor on the number of stars.

    Returns
    -------
    Scene
        Stars, galaxies and diffuse light.

    Raises
    ------
    InputError
        If the field type is unknown.
    """
    resolved = draw_stars(field, shape, rng, stars)
    galaxies = draw_galaxies(shape, rng, bright=field == "ellipticals")
    coarse = (shape[0] // _CELL + 2 * _MARGIN + 1, shape[1] // _CELL + 2 * _MARGIN + 1)
    diffuse: dict[float, NDArray[np.float64]] = {}
    chance, brightness = _NEBULOSITY[field]
    if rng.random() < chance:
        level = 10 ** (-0.4 * (brightness + rng.normal(0, 0.5) - 30))
        diffuse[_NEBULA_K] = level * np.exp(1.2 * _gaussian_field(coarse, rng))
    if field == "galaxy":
        # The unresolved stars: an exponential disc whose centre lies off the field.
        rows, columns = np.indices(coarse)
        towards = rng.uniform(0, 2 * np.pi)
        along = rows / coarse[0] * np.sin(towards) + columns / coarse[1] * np.cos(towards)
        level = 10 ** (-0.4 * (rng.uniform(28.6, 29.8) - 30))
        diffuse[5000.0] = level * np.exp(-along) * np.exp(0.1 * _gaussian_field(coarse, rng))
    filaments = _gaussian_field(coarse, rng) if field == "nebula" else None
    spectrum = draw_spectrum(shape, rng) if field == "spectrum" else None
    return Scene(field, resolved, galaxies, diffuse, filaments, spectrum)


def render_scene(
    scene: Scene,
    filter_name: str,
    shape: tuple[int, int],
    origin: tuple[float, float] = (0.0, 0.0),
    conditions: Conditions = USUAL,
) -> tuple[NDArray[np.float64], Table]:
    """Render the light of a scene that falls on one chip.

    Parameters
    ----------
    scene : Scene
        The scene.
    filter_name : str
        Name of the filter.
    shape : tuple of int
        Rows and columns of the chip.
    origin : tuple of float
        Position (y, x) of the chip's first pixel in the pointing, in pixels.
    conditions : Conditions
        Its sky, its light and the shape of its PSF.

    Returns
    -------
    image : ndarray of float64, shape (H, W)
        Expected light in electrons / s, the sky included.
    stars : astropy.table.Table
        The stars on the chip: x, y (pixels, the middle of the first pixel is 0), rate
        (electrons / s) and magnitude (AB) in this filter, temperature (K).

    Raises
    ------
    InputError
        If the filter is unknown.
    """
    band = get_filter(filter_name)
    image = np.full(shape, conditions.sky * band.sky)
    for kelvin, coarse in scene.diffuse.items():
        rate = band.count_rate(30.0 + float(blackbody_colour(kelvin, filter_name)))
        light = _on_chip(coarse, shape, origin)
        if scene.filaments is not None and kelvin == _NEBULA_K:
            ridge = _on_chip(scene.filaments, shape, origin) / _FILAMENT_WIDTH
            light *= 1 + _FILAMENT_CONTRAST * np.exp(-0.5 * ridge**2)
        image += conditions.light * rate * light
    if scene.spectrum is None:
        add_galaxies(image, scene.galaxies, filter_name, origin, conditions)
    else:
        add_spectrum(image, scene.spectrum, origin, conditions, conditions.psf * expected_fwhm(filter_name))
    y, x = scene.stars.y - origin[0], scene.stars.x - origin[1]
    magnitude = scene.stars.magnitude_in(filter_name)
    rate = conditions.light * band.count_rate(magnitude)
    add_stars(image, y, x, rate, filter_name, conditions)
    inside = (y >= -0.5) & (y < shape[0] - 0.5) & (x >= -0.5) & (x < shape[1] - 0.5)
    table = Table(
        {
            "x": x[inside],
            "y": y[inside],
            "rate": rate[inside],
            "magnitude": magnitude[inside],
            "temperature": scene.stars.temperature[inside],
        }
    )
    return image, table


def _gaussian_field(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a Gaussian random field with a spectrum k^-3 and unit variance."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    frequency[0, 0] = 1
    amplitude = frequency**-1.5
    amplitude[0, 0] = 0
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * amplitude).real
    return np.asarray(field / field.std())


def _on_chip(coarse: NDArray[np.float64], shape: tuple[int, int], origin: tuple[float, float]) -> NDArray[np.float64]:
    """Interpolate a coarse map linearly to the pixels of a chip."""
    rows = (np.arange(shape[0]) + origin[0]) / _CELL + _MARGIN
    columns = (np.arange(shape[1]) + origin[1]) / _CELL + _MARGIN
    smooth = ndimage.gaussian_filter(coarse, 1.0)
    return _interpolated(_interpolated(smooth, rows).T, columns).T


def _interpolated(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate linearly along the first axis."""
    at = np.clip(at, 0, len(values) - 1.001)
    below = at.astype(np.int64)
    share = (at - below)[:, None]
    return values[below] * (1 - share) + values[below + 1] * share
