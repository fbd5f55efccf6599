"""Photometry of a chip under a mask: what is measured once for the chip, and what for every mask."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.photometry.fit_stars import (
    FIT_RADIUS,
    Plane,
    Sources,
    around,
    find_peaks,
    fit,
    joined,
    render,
    variance,
)
from deepcr_lightning.photometry.psf_of_stars import RADIUS, Psf, gaussian_psf, psf_of_stars

_LEAST = 3.5
_LEAST_AGAIN = 5.0
_MESH = 32
_PSF_STARS = 120
_PSF_LEAST = 40.0
_SATURATED = 50_000.0
_PATIENCE = 3


@dataclass(frozen=True, eq=False)
class ChipReference:
    """What all photometry of a chip shares, so that catalogues differ by their masks alone.

    Attributes
    ----------
    light : ndarray of float64, shape (H, W)
        Electrons above the background.
    noise : float
        Noise of a pixel of the background in electrons.
    unusable : ndarray of bool, shape (H, W)
    psf : Psf
    """

    light: NDArray[np.float64]
    noise: float
    unusable: NDArray[np.bool_]
    psf: Psf


def prepare(
    electrons: NDArray[np.float32], unusable: NDArray[np.bool_], mask: NDArray[np.bool_], name: str
) -> ChipReference:
    """Measure background, noise and PSF of a chip, its cosmic rays left out.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
        In electrons, finite.
    unusable : ndarray of bool, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        Pixels of cosmic rays, so that none enters the PSF.
    name : str
        Name of the chip, for warnings.

    Returns
    -------
    ChipReference
    """
    bad = unusable | mask
    _, noise = sky_and_noise(electrons, ~bad)
    image = electrons.astype(np.float64)
    psf = gaussian_psf()
    model = np.zeros_like(image)
    for _ in range(_PATIENCE):
        plane = Plane(image - _background(image - model, bad), noise, bad)
        sources = fit(plane, psf, find_peaks(plane, psf, np.zeros_like(image), _LEAST), rounds=6)
        model = render(image.shape, sources, psf)
        plane = Plane(image - _background(image - model, bad), noise, bad)
        psf = _psf(plane, psf, sources, model, name)
    return ChipReference(plane.light, noise, unusable, psf)


def measure(reference: ChipReference, mask: NDArray[np.bool_]) -> Table:
    """Find and measure the stars of a chip whose masked pixels do not count.

    Parameters
    ----------
    reference : ChipReference
    mask : ndarray of bool, shape (H, W)

    Returns
    -------
    astropy.table.Table
        A row a star: ``y``, ``x`` (pixels), ``flux`` (electrons), ``signal_to_noise``, ``sharpness``, ``roundness``,
        ``crowding`` (mag), ``chi`` and ``flags`` (1: pixels of its core are masked, 2: saturated).
    """
    plane = Plane(reference.light, reference.noise, reference.unusable | mask)
    psf, empty = reference.psf, np.zeros_like(reference.light)
    sources = fit(plane, psf, find_peaks(plane, psf, empty, _LEAST), rounds=5)
    # Neighbours that the first ones outshone.
    hidden = find_peaks(plane, psf, render(plane.light.shape, sources, psf), _LEAST_AGAIN)
    sources = fit(plane, psf, joined(sources, hidden), rounds=8)
    return _catalogue(plane, psf, sources)


def _background(image: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    from photutils.background import Background2D, MedianBackground

    side = min(_MESH, *image.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the stars' NaN-free data and boxes without a good pixel
        found = Background2D(
            image,
            side,
            mask=bad,
            filter_size=3 if min(image.shape) >= 3 * side else 1,
            bkg_estimator=MedianBackground(),
            exclude_percentile=90,
        )
    return np.asarray(found.background, np.float64)


def _psf(plane: Plane, psf: Psf, sources: Sources, model: NDArray[np.float64], name: str) -> Psf:
    row, column = sources.pixel
    height, width = plane.light.shape
    whole = (row >= RADIUS) & (row < height - RADIUS) & (column >= RADIUS) & (column < width - RADIUS)
    whole &= plane.light[row, column] < _SATURATED
    whole &= ~around(plane.bad, sources, FIT_RADIUS).any((1, 2))
    whole &= sources.flux > _PSF_LEAST * plane.noise
    chosen = np.flatnonzero(whole)
    chosen = chosen[np.argsort(-sources.flux[chosen])][:_PSF_STARS]
    stars = sources[chosen]
    row, column = stars.pixel
    own = psf.stamps(stars.y - row, stars.x - column, RADIUS) * stars.flux[:, None, None]
    residual = np.where(around(plane.bad, stars, RADIUS), np.nan, around(plane.light - model, stars, RADIUS))
    return psf_of_stars(residual + own, stars.y - row, stars.x - column, name)


def _catalogue(plane: Plane, psf: Psf, sources: Sources) -> Table:
    row, column = sources.pixel
    model = render(plane.light.shape, sources, psf)
    value = psf.stamps(sources.y - row, sources.x - column, FIT_RADIUS)
    own = value * sources.flux[:, None, None]
    bad = around(plane.bad, sources, FIT_RADIUS, outside=1)
    weight = np.where(bad, 0, 1 / around(variance(plane, model), sources, FIT_RADIUS, outside=1))
    light = around(plane.light, sources)
    residual = around(plane.light - model, sources)
    precision = (weight * value**2).sum((1, 2))
    with_neighbours = (weight * value * light).sum((1, 2)) / np.maximum(precision, 1e-12)
    crowding = 2.5 * np.log10(np.maximum(with_neighbours / np.maximum(sources.flux, 1e-3), 1))
    good = (~bad).sum((1, 2))
    flags = bad[:, 1:-1, 1:-1].any((1, 2)) + 2 * (light.max((1, 2), initial=0) > _SATURATED)
    clean = np.where(bad, own, own + residual)
    return Table(
        {
            "y": sources.y,
            "x": sources.x,
            "flux": sources.flux,
            "signal_to_noise": sources.flux * np.sqrt(precision),
            "sharpness": _sharpness(clean, value),
            "roundness": _roundness(clean),
            "crowding": crowding,
            "chi": np.sqrt((weight * residual**2).sum((1, 2)) / np.maximum(good - 3, 1)),
            "flags": flags.astype(np.int64),
        }
    )


def _sharpness(light: NDArray[np.float64], psf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Concentration of a star: 0 of the PSF, 1 of a single pixel, -1 of a flat light."""
    total = light.sum((1, 2))
    found = (light * psf).sum((1, 2)) / np.where(total > 0, total, np.nan)
    star, single, flat = (psf**2).sum((1, 2)) / psf.sum((1, 2)), psf.max((1, 2), initial=0), psf.mean((1, 2))
    excess = found - star
    sharpness = np.where(excess > 0, excess / (single - star), excess / (star - flat))
    return np.where(np.isfinite(sharpness), sharpness, 1.0)


def _roundness(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elongation of a star: 0 of a round one, towards 1 along the rows, towards -1 along the columns."""
    middle = FIT_RADIUS
    along = light[:, middle, [middle - 1, middle + 1]].sum(1)
    across = light[:, [middle - 1, middle + 1], middle].sum(1)
    return (along - across) / np.maximum(np.abs(along) + np.abs(across), 1e-3)
