"""The sets of real images that models are judged on: exposures, their truth and their stars."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_exposures import MOVING, without_moving
from scipy import ndimage

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.truth import ChipTruth, read_matching_truth
from deepcr_lightning.prediction.fill import fill_median
from deepcr_lightning.tiles.sky import sky_and_noise

UVIS = "uvis_2013fy27"
UVIS_AS_IS = "uvis_2013fy27, with movers"
REFERENCE = ("dfcosmic_wfpc2", UVIS_AS_IS)
"""Sets whose catalogue is known to be wrong in places: shown, and left out of the mean."""
FEW = ("decam_legacypipe",)
"""Sets with too few CRs for a score of their own (five events): they count as controls."""
_FALL = 5.0
_DISTANCES = (3, 6, 12)
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Picture:
    """An exposure with its truth by EXTVER, and the rows and columns of its stars, shape (2, n), by chip."""

    exposure: Exposure
    truth: dict[int, ChipTruth]
    stars: tuple[NDArray[np.int64], ...]


def read_sets(data: Path, names: list[str] | None = None) -> dict[str, list[Picture]]:
    """Read the sets of real images, or those that are named; what cannot be read is named and left out."""
    sets: dict[str, list[Picture]] = {}
    for name, flt, truth in _files(data):
        if names and name not in names:
            continue
        try:
            exposure = read_exposure(flt)
            if not truth.is_file():
                raise InputError(f"{flt}: has no {truth.name} beside it; left out")
            known = read_matching_truth(truth, exposure)
        except InputError as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        if name == UVIS:
            known = {version: without_moving(chip, exposure.root) for version, chip in known.items()}
        sets.setdefault(name, []).append(Picture(exposure, known, _stars(exposure, known)))
    return sets


def _files(data: Path) -> Iterator[tuple[str, Path, Path]]:
    for flt in sorted((data / "real").glob("*/*_flt.fits")):
        yield flt.parent.name, flt, flt.with_name(flt.name.replace("_flt.fits", "_truth.fits"))
    for name in (UVIS, UVIS_AS_IS):
        for root in MOVING:
            flt = data / UVIS / "science" / f"{root}_flc.fits"
            if flt.is_file():
                yield name, flt, data / UVIS / "truth" / f"{root}_truth.fits"


def _stars(exposure: Exposure, truth: dict[int, ChipTruth]) -> tuple[NDArray[np.int64], ...]:
    hidden = [replace(truth[chip.extver], ignore=truth[chip.extver].ignore | chip.unusable) for chip in exposure.chips]
    return tuple(
        star_peaks(chip.electrons, known.cr, known.ignore) for chip, known in zip(exposure.chips, hidden, strict=True)
    )


def star_peaks(electrons: NDArray[np.float32], cr: NDArray[np.bool_], ignore: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the brightest pixels of stars.

    A star is a local maximum of the image smoothed with the binomial weights (1, 2, 1) / 4 in both directions that
    falls, in each of four directions and to at least one of its two sides, by five times the local noise of a pixel
    within 3, 6 or 12 pixels. For the sharpest stars of HST that is a peak of ten times the noise, while the noise of
    the smoothed image is 0.4 of it; a single pixel must reach twenty. Traces of spectra and sky lines do not fall
    along themselves and are no stars; neighbours in a crowd and nebulae do no harm.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    cr, ignore : ndarray of bool, shape (H, W)
        True CRs, and pixels of which nothing is known: no star is sought within 2 pixels of the former, nor on the
        latter.

    Returns
    -------
    ndarray of int64, shape (2, n)
        Row and column of the brightest pixel of each star.
    """
    sky, noise = sky_and_noise(electrons, ~ignore)
    filled = fill_median(electrons, ndimage.binary_dilation(cr, _EIGHT) | ignore).astype(np.float64)
    smooth = ndimage.convolve1d(ndimage.convolve1d(filled, [0.25, 0.5, 0.25], 0), [0.25, 0.5, 0.25], 1)
    least = _FALL * np.sqrt(noise**2 + np.maximum(smooth - sky, 0))
    stands = np.zeros(smooth.shape, bool)
    for distance in _DISTANCES:
        padded = np.pad(smooth, distance, mode="reflect")
        rows, columns = smooth.shape
        falls = np.ones(smooth.shape, bool)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            sides = [
                padded[distance + y : distance + y + rows, distance + x : distance + x + columns]
                for y, x in ((dy * distance, dx * distance), (-dy * distance, -dx * distance))
            ]
            falls &= smooth - np.minimum(*sides) > least
        stands |= falls
    near = ndimage.binary_dilation(cr, _EIGHT, iterations=2) | ignore
    peak = stands & (smooth == ndimage.maximum_filter(smooth, 3)) & ~near
    return _brightest(electrons, peak, near)


def _brightest(electrons: NDArray[np.float32], peak: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Move each peak to the brightest of the 3 x 3 pixels around it."""
    image = np.pad(np.where(near, -np.inf, electrons), 1, constant_values=-np.inf)
    y, x = np.nonzero(peak)
    around = np.stack([image[y + dy, x + dx] for dy in range(3) for dx in range(3)])
    best = around.argmax(0) if y.size else np.zeros(0, np.int64)
    return np.unique(np.array([y + best // 3 - 1, x + best % 3 - 1]), axis=1)
