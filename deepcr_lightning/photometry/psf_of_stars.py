"""The point-spread function (PSF) of an image, from its own stars."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.errors import InputError

RADIUS = 10
"""Half-size in pixels of the square that holds the light of a star."""
OVERSAMPLING = 4
FEWEST_STARS = 15
_FINE = 16
_FIRST_FWHM = 1.8
_WIDTHS = np.arange(1.2, 3.7, 0.1)
_MOST_BESIDE = 0.1
_RING = 8.0
_CORE_SIGMA, _WING_SIGMA = 1.0, 4.0

log = logging.getLogger(__name__)


def require_photutils() -> None:
    """Raise if photutils is not installed.

    Raises
    ------
    InputError
        If it is not.
    """
    if importlib.util.find_spec("photutils") is None:
        raise InputError("threshold needs photutils: pip install 'deepcr-lightning[photometry]'")


@dataclass(frozen=True, eq=False)
class Psf:
    """A PSF, integrated over pixels, on a grid much finer than they.

    Attributes
    ----------
    fine : ndarray of float64, shape (2 * RADIUS * _FINE + 1,) * 2
        Share of a star's light that a pixel gets, by its offset.
    """

    fine: NDArray[np.float64]

    def stamps(self, y: NDArray[np.float64], x: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
        """Draw stars of unit light.

        Parameters
        ----------
        y, x : ndarray of float64, shape (N,)
            Where each star lies, from the middle of the central pixel, in pixels.
        radius : int
            Half-size of the stamps in pixels.

        Returns
        -------
        ndarray of float64, shape (N, 2 * radius + 1, 2 * radius + 1)
        """
        reach = np.arange(-radius, radius + 1)
        rows = (reach[None, :] - y[:, None]) * _FINE + RADIUS * _FINE
        columns = (reach[None, :] - x[:, None]) * _FINE + RADIUS * _FINE
        shape = (len(y), len(reach), len(reach))
        places = [np.broadcast_to(rows[:, :, None], shape), np.broadcast_to(columns[:, None, :], shape)]
        # Linear between points a sixteenth of a pixel apart, which is as good as a cubic spline and faster.
        return np.asarray(ndimage.map_coordinates(self.fine, places, order=1, mode="constant"))


def psf_of_grid(grid: NDArray[np.float64]) -> Psf:
    """Make a PSF of its values on the fine grid, normalised to unit light.

    Parameters
    ----------
    grid : ndarray of float64, shape (2 * RADIUS * OVERSAMPLING + 1,) * 2
        Share of the light of a star in a pixel, by the pixel's offset.

    Returns
    -------
    Psf
    """
    steps = np.arange(2 * RADIUS * _FINE + 1) * (OVERSAMPLING / _FINE)
    fine = ndimage.map_coordinates(grid, np.meshgrid(steps, steps, indexing="ij"), order=3, mode="nearest")
    return Psf(fine * OVERSAMPLING**2 / grid.sum())


def gaussian_grid(fwhm: float) -> NDArray[np.float64]:
    """Share of a star's light in a pixel, by its offset on the fine grid, of a Gaussian of a FWHM in pixels."""
    from photutils.psf import CircularGaussianPRF

    reach = np.arange(-RADIUS * OVERSAMPLING, RADIUS * OVERSAMPLING + 1) / OVERSAMPLING
    return np.asarray(CircularGaussianPRF(fwhm=fwhm)(*np.meshgrid(reach, reach)), np.float64)


def gaussian_psf(fwhm: float = _FIRST_FWHM) -> Psf:
    """Make a round Gaussian, integrated over pixels.

    Parameters
    ----------
    fwhm : float
        In pixels, before integration.

    Returns
    -------
    Psf
    """
    return psf_of_grid(gaussian_grid(fwhm))


def psf_of_stars(cutouts: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64], name: str) -> Psf:
    """Build the PSF from cut-outs of bright stars whose neighbours are subtracted.

    Parameters
    ----------
    cutouts : ndarray of float64, shape (N, 2 * RADIUS + 1, 2 * RADIUS + 1)
        In electrons, the sky subtracted; NaN where a pixel does not count.
    y, x : ndarray of float64, shape (N,)
        Where each star lies, from the middle of the central pixel, in pixels.
    name : str
        Name of the image, for warnings.

    Returns
    -------
    Psf
        The Gaussian that fits the stars best and, where there are 15 or more, the mean of what they have beside it.

    References
    ----------
    Anderson & King 2000, PASP 112, 1360.

    Notes
    -----
    ``photutils.psf.EPSFBuilder`` moves stars to the centroids of their light: those of crowded, undersampled images
    often came out as a single pixel.
    """
    if not len(cutouts):
        log.warning("%s: no star is bright enough for a PSF; a Gaussian of %g pixels is used", name, _FIRST_FWHM)
        return gaussian_psf()
    grid, light = _best_gaussian(cutouts, y, x)
    if len(cutouts) < FEWEST_STARS:
        log.warning("%s: %d stars for a PSF, %d are needed; a Gaussian is used", name, len(cutouts), FEWEST_STARS)
        return psf_of_grid(grid)
    model = psf_of_grid(grid).stamps(y, x, RADIUS)
    # The ring around a star is its sky, unresolved stars and all: without this, the wings of the PSF would take them,
    # and more with every round.
    ring = np.hypot(*np.indices(cutouts.shape[1:]) - RADIUS) > _RING
    sky = np.nan_to_num(np.nanmedian(cutouts[:, ring], axis=1))
    share = (cutouts - sky[:, None, None]) / light[:, None, None]
    beside = np.clip(share - model, -_MOST_BESIDE, _MOST_BESIDE)
    known = np.isfinite(beside)
    # As the noise of the sky has it; the brightest few are not left alone with it.
    weight = np.where(known, np.minimum(light, np.quantile(light, 0.8))[:, None, None] ** 2, 0)
    reach = np.arange(-RADIUS, RADIUS + 1)
    rows = np.rint((reach[None, :] - y[:, None] + RADIUS) * OVERSAMPLING).astype(np.int64)
    columns = np.rint((reach[None, :] - x[:, None] + RADIUS) * OVERSAMPLING).astype(np.int64)
    inside = (rows >= 0)[:, :, None] & (rows < len(grid))[:, :, None]
    inside = inside & (columns >= 0)[:, None, :] & (columns < len(grid))[:, None, :] & known
    cells = (rows[:, :, None] * len(grid) + columns[:, None, :])[inside]
    total = np.bincount(cells, (weight * np.where(known, beside, 0))[inside], grid.size).reshape(grid.shape)
    number = np.bincount(cells, weight[inside], grid.size).reshape(grid.shape)
    # The wings are smooth, and faint.
    fine, smooth = (_smoothed(total, number, sigma) for sigma in (_CORE_SIGMA, _WING_SIGMA))
    distance = np.hypot(*np.indices(grid.shape) - (len(grid) - 1) / 2) / OVERSAMPLING
    wing = np.clip((distance - 2.5) / 1.5, 0, 1)
    return psf_of_grid(np.maximum(grid + fine * (1 - wing) + smooth * wing, 0))


def _smoothed(total: NDArray, number: NDArray, sigma: float) -> NDArray[np.float64]:
    summed, counted = (ndimage.gaussian_filter(values, sigma, mode="constant") for values in (total, number))
    return np.asarray(summed / np.maximum(counted, 1e-9 * counted.max()))


def _best_gaussian(
    cutouts: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values on the fine grid, and the light of each star within it."""
    core = cutouts[:, RADIUS - 2 : RADIUS + 3, RADIUS - 2 : RADIUS + 3]
    core = np.where(np.isfinite(core), core, 0)
    best, least = (gaussian_grid(_FIRST_FWHM), np.ones(len(y))), np.inf
    for fwhm in _WIDTHS:
        grid = gaussian_grid(float(fwhm))
        model = psf_of_grid(grid).stamps(y, x, 2)
        light = np.maximum((model * core).sum((1, 2)) / (model**2).sum((1, 2)), 1)
        misfit = float(np.median(((core / light[:, None, None] - model) ** 2).sum((1, 2))))
        if misfit < least:
            best, least = (grid, light), misfit
    return best
