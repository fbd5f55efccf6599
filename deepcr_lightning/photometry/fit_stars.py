"""All stars of an image fitted at once: each with the light of all others subtracted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.spatial import cKDTree

from deepcr_lightning.photometry.psf_of_stars import RADIUS, Psf

FIT_RADIUS = 2
"""Half-size in pixels of the square that a star is fitted in."""
_FAINT_RADIUS = 5
_BRIGHT = 200.0
_STEP = 0.125
_DAMPING = 0.7
_LONGEST_MOVE = 0.3
_CLOSEST = 1.0
_FAINTEST = 2.5
_MOST_MOVED = 1.5


@dataclass(frozen=True, eq=False)
class Plane:
    """A chip ready for photometry.

    Attributes
    ----------
    light : ndarray of float64, shape (H, W)
        Electrons above the background.
    noise : float
        Noise of a pixel of the background in electrons.
    bad : ndarray of bool, shape (H, W)
        Pixels that do not count.
    """

    light: NDArray[np.float64]
    noise: float
    bad: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sources:
    """Stars: where they lie and their light.

    Attributes
    ----------
    y, x : ndarray of float64, shape (N,)
        In pixels.
    flux : ndarray of float64, shape (N,)
        In electrons.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    flux: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: NDArray) -> Sources:
        return Sources(self.y[chosen], self.x[chosen], self.flux[chosen])

    @property
    def pixel(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the pixel that each star lies in."""
        return np.rint(self.y).astype(np.int64), np.rint(self.x).astype(np.int64)


def joined(first: Sources, second: Sources) -> Sources:
    """Put two lists of stars together."""
    pairs = ((first.y, second.y), (first.x, second.x), (first.flux, second.flux))
    return Sources(*(np.concatenate(pair) for pair in pairs))


def find_peaks(plane: Plane, psf: Psf, model: NDArray[np.float64], least: float) -> Sources:
    """Find what stands out of the residual of a model, by a matched filter.

    Parameters
    ----------
    plane : Plane
    psf : Psf
    model : ndarray of float64, shape (H, W)
        Light that is accounted for.
    least : float
        Signal-to-noise of the faintest peak.

    Returns
    -------
    Sources
        One a peak, at the middle of its pixel, which is not bad.
    """
    from photutils.detection import find_peaks as highest_pixels

    template = psf.stamps(np.zeros(1), np.zeros(1), FIT_RADIUS)[0][::-1, ::-1]
    weight = np.where(plane.bad, 0, 1 / variance(plane, model))
    above = signal.oaconvolve(weight * (plane.light - model), template, mode="same")
    certainty = np.maximum(signal.oaconvolve(weight, template**2, mode="same"), 1e-12)
    significance = np.where(plane.bad, 0, above / np.sqrt(certainty))
    if not (significance > least).any():
        return Sources(np.empty(0), np.empty(0), np.empty(0))
    peaks = highest_pixels(significance, least, box_size=3)
    y, x = np.asarray(peaks["y_peak"], np.int64), np.asarray(peaks["x_peak"], np.int64)
    return Sources(y.astype(np.float64), x.astype(np.float64), above[y, x] / certainty[y, x])


def variance(plane: Plane, model: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each pixel, in electrons squared: the background's, and Poisson noise of the model's stars."""
    return plane.noise**2 + np.maximum(model, 0)


def render(shape: tuple[int, int], sources: Sources, psf: Psf) -> NDArray[np.float64]:
    """Draw stars, each to where its light is lost in that of fainter ones.

    Parameters
    ----------
    shape : (int, int)
    sources : Sources
    psf : Psf

    Returns
    -------
    ndarray of float64, shape (H, W)
        In electrons.
    """
    padded = np.zeros((shape[0] + 2 * RADIUS, shape[1] + 2 * RADIUS))
    flat = padded.reshape(-1)
    bright = sources.flux > _BRIGHT * np.median(sources.flux) if len(sources) else np.empty(0, bool)
    for chosen, radius in ((bright, RADIUS), (~bright, _FAINT_RADIUS)):
        some = sources[chosen]
        row, column = some.pixel
        reach = np.arange(-radius, radius + 1)
        offsets = reach[:, None] * padded.shape[1] + reach
        centre = (row + RADIUS) * padded.shape[1] + column + RADIUS
        light = psf.stamps(some.y - row, some.x - column, radius) * some.flux[:, None, None]
        flat += np.bincount(
            (centre[:, None, None] + offsets).reshape(-1), weights=light.reshape(-1), minlength=flat.size
        )
    return padded[RADIUS:-RADIUS, RADIUS:-RADIUS]


def around(image: NDArray, sources: Sources, radius: int = FIT_RADIUS, outside: float = 0) -> NDArray:
    """Cut the square around each star out, shape (N, 2 * radius + 1, 2 * radius + 1)."""
    padded = np.pad(image, radius, constant_values=outside)
    row, column = sources.pixel
    reach = np.arange(2 * radius + 1)
    return padded[row[:, None, None] + reach[:, None], column[:, None, None] + reach]


def fit(plane: Plane, psf: Psf, sources: Sources, rounds: int = 8) -> Sources:
    """Fit place and light of all stars, by Gauss-Newton steps that all take at once.

    Parameters
    ----------
    plane : Plane
    psf : Psf
    sources : Sources
        First guesses.
    rounds : int

    Returns
    -------
    Sources
        Those that are left: bright enough, and neither on top of a brighter one nor far from where they began.
    """
    begun = sources
    for number in range(rounds):
        if not len(sources):
            break
        model = render(plane.light.shape, sources, psf)
        weight = np.where(plane.bad, 0, 1 / variance(plane, model))
        sources = _step(plane.light - model, weight, psf, sources)
        if number >= 2:
            left = _worth_keeping(plane, psf, sources, begun, weight)
            sources, begun = sources[left], begun[left]
    return sources


def _step(residual: NDArray[np.float64], weight: NDArray[np.float64], psf: Psf, sources: Sources) -> Sources:
    row, column = sources.pixel
    dy, dx = sources.y - row, sources.x - column
    value = psf.stamps(dy, dx, FIT_RADIUS)
    slope_y = (psf.stamps(dy + _STEP, dx, FIT_RADIUS) - psf.stamps(dy - _STEP, dx, FIT_RADIUS)) / (2 * _STEP)
    slope_x = (psf.stamps(dy, dx + _STEP, FIT_RADIUS) - psf.stamps(dy, dx - _STEP, FIT_RADIUS)) / (2 * _STEP)
    light = np.maximum(sources.flux, 1)[:, None, None]
    # Columns in units of the star's light, so that the three unknowns are of one size.
    design = np.stack([value * light, slope_y * light, slope_x * light], -1).reshape(len(sources), -1, 3)
    weights = around(weight, sources).reshape(len(sources), -1, 1)
    misfit = around(residual, sources).reshape(len(sources), -1, 1)
    normal = np.swapaxes(design, 1, 2) @ (weights * design)
    normal += np.eye(3) * (1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-9)
    change = np.linalg.solve(normal, np.swapaxes(design, 1, 2) @ (weights * misfit))[:, :, 0] * _DAMPING
    moves = np.clip(change[:, 1:], -_LONGEST_MOVE, _LONGEST_MOVE)
    flux = np.maximum(sources.flux + np.clip(change[:, 0], -0.8, 4) * light[:, 0, 0], 0)
    height, width = residual.shape
    y = np.clip(sources.y + moves[:, 0], 0, height - 1)
    x = np.clip(sources.x + moves[:, 1], 0, width - 1)
    return Sources(y, x, flux)


def _worth_keeping(
    plane: Plane, psf: Psf, sources: Sources, begun: Sources, weight: NDArray[np.float64]
) -> NDArray[np.bool_]:
    row, column = sources.pixel
    value = psf.stamps(sources.y - row, sources.x - column, FIT_RADIUS)
    left = sources.flux * np.sqrt((value**2 * around(weight, sources)).sum((1, 2))) > _FAINTEST
    left &= np.hypot(sources.y - begun.y, sources.x - begun.x) < _MOST_MOVED
    left &= ~plane.bad[row, column]
    for one, other in cKDTree(np.column_stack([sources.y, sources.x])).query_pairs(_CLOSEST):
        left[one if sources.flux[one] < sources.flux[other] else other] = False
    return left
