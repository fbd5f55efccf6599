"""The spectrum of a long slit: lines of the sky or of a lamp along the columns, traces of objects along the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.simulation.conditions import Conditions

_LINES_PER_COLUMN = (0.01, 0.4)
_LINE_RATES = (0.1, 100.0)
_EDGE = (0.3, 4.0)
_TRACES = 3
_TRACE_RATES = (0.05, 50.0)
_FWHM_OVER_SIGMA = 2.3548


@dataclass(frozen=True)
class Spectrum:
    """Light behind a long slit.

    Attributes
    ----------
    columns, rates : ndarray of float64, shape (L,)
        Place of each line in pixels, and its peak in electrons / s / pixel.
    bend : float
        By how many pixels a line bends between the middle and the end of the slit.
    traces : ndarray of float64, shape (T, 4)
        Row, slope, curve (pixels from end to end) and peak in electrons / s / pixel of each object.
    texture : ndarray of float64, shape (T, W)
        The continuum of each object by column, around 1.
    slit : (float, float)
        First and last row that the slit lights, as shares of the rows.
    edge : float
        Over how many pixels the light fades at an end of the slit.
    """

    columns: NDArray[np.float64]
    rates: NDArray[np.float64]
    bend: float
    traces: NDArray[np.float64]
    texture: NDArray[np.float64]
    slit: tuple[float, float]
    edge: float


def draw_spectrum(shape: tuple[int, int], rng: np.random.Generator) -> Spectrum:
    """Draw what a spectrograph sees.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    Spectrum
    """
    height, width = shape
    lines = int(rng.poisson(width * _log_uniform(_LINES_PER_COLUMN, rng)[0]))
    traces = int(rng.integers(0, _TRACES + 1))
    textures = [_continuum(width, rng) for _ in range(traces)]
    return Spectrum(
        columns=rng.uniform(-5, width + 5, lines),
        rates=_log_uniform(_LINE_RATES, rng, lines) * _log_uniform((0.03, 1.0), rng),
        bend=float(rng.normal(0, 3)),
        traces=np.column_stack(
            [
                rng.uniform(0.1, 0.9, traces) * height,
                rng.normal(0, 0.01, traces) * width,
                rng.normal(0, 3, traces),
                _log_uniform(_TRACE_RATES, rng, traces),
            ]
        ),
        texture=np.array(textures).reshape(traces, width),
        slit=(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.7, 1.3))),
        edge=float(_log_uniform(_EDGE, rng)[0]),
    )


def add_spectrum(
    image: NDArray[np.float64], spectrum: Spectrum, origin: tuple[float, float], conditions: Conditions, fwhm: float
) -> None:
    """Add the light of a spectrum to an image in electrons / s, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        The sky in electrons / s, which the slit cuts as well.
    spectrum : Spectrum
    origin : tuple of float
        Position (y, x) of the first pixel, in pixels.
    conditions : Conditions
        With the factor on all light.
    fwhm : float
        Width of lines and traces in pixels.
    """
    height, width = image.shape
    y, x = np.arange(height) + origin[0], np.arange(width) + origin[1]
    sigma = max(fwhm, 1.2) / _FWHM_OVER_SIGMA
    bent = spectrum.bend * ((y - height / 2) / (height / 2)) ** 2
    # A line is much the same in all rows: it is tabulated once, finely, and looked up.
    fine = np.arange(-10, width + 10, 0.1)
    profile = np.zeros(len(fine))
    for column, rate in zip(spectrum.columns, spectrum.rates, strict=True):
        profile += rate * np.exp(-0.5 * ((fine - column) / sigma) ** 2)
    light = np.interp(x[None, :] - bent[:, None], fine, profile)
    for (row, slope, curve, rate), texture in zip(spectrum.traces, spectrum.texture, strict=True):
        share = x / width - 0.5
        middle = row + slope * share + 4 * curve * share**2
        across = (y[:, None] - middle) / sigma
        # Seeing has wings, along the slit as on the sky.
        light += rate * texture * (0.85 * np.exp(-0.5 * across**2) + 0.15 / (1 + (across / 2) ** 2) ** 1.5)
    first, last = (share * height for share in spectrum.slit)
    lit = np.clip((y - first) / spectrum.edge, 0, 1) * np.clip((last - y) / spectrum.edge, 0, 1)
    image += conditions.light * light
    image *= lit[:, None]


def _continuum(width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a continuum with absorption and emission lines; its mean is about 1."""
    x = np.arange(width)
    light = 1 + rng.uniform(-0.6, 0.6) * (x / width - 0.5)
    for _ in range(rng.poisson(width / 60)):
        depth = rng.uniform(-0.9, 0.0) if rng.random() < 0.8 else rng.exponential(1.0)
        light *= 1 + depth * np.exp(-0.5 * ((x - rng.uniform(0, width)) / rng.uniform(0.8, 4.0)) ** 2)
    return np.asarray(light)


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator, count: int = 1) -> NDArray[np.float64]:
    return np.asarray(limits[0] * (limits[1] / limits[0]) ** rng.random(count))
