"""L.A.Cosmic over a grid of its settings: the peer that gives masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from tqdm import tqdm

from deepcr_lightning.evaluation.exposure_scores import count_maps
from deepcr_lightning.exposures.cards import row_of
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.instruments import INSTRUMENTS
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.scores.with_truth import Counts

SIGCLIP = (3.0, 3.5, 4.0, 4.5, 5.5, 7.0, 9.0)
"""Contrast of a pixel with the noise, above which it is a CR."""
OBJLIM = (2.0, 3.0, 5.0, 8.0)
"""Contrast of a pixel with its fine structure, above which it is no star."""
GRID = tuple(product(SIGCLIP, OBJLIM))
USUAL = GRID.index((4.5, 5.0))
"""Place in the grid of what van Dokkum (2001) and astroscrappy take by default."""
SETTINGS = {
    "sigfrac": 0.3,
    "gain": 1.0,
    "satlevel": np.inf,
    "niter": 4,
    "sepmed": False,
    "cleantype": "medmask",
}
"""As the original program, on electrons; DQ says what is saturated. The defaults of astroscrappy flag star cores."""


def read_noise(header: fits.Header) -> float:
    """Read noise in electrons: the mean of the amplifiers that were read, READNSEA to READNSED, or that of the camera.

    Parameters
    ----------
    header : fits.Header
        The primary header.

    Returns
    -------
    float
        That of WFC3/UVIS where neither is known.
    """
    values = [header.get(f"READNSE{amplifier}") for amplifier in "ABCD"]
    positive = [float(value) for value in values if isinstance(value, int | float) and value > 0]
    usual = row_of([header]).read_noise or INSTRUMENTS["WFC3", "UVIS"].read_noise
    return float(np.mean(positive)) if positive else usual


def count_grid(exposure: Exposure, truth: dict[int, ChipTruth], label_snr: float) -> Counts:
    """Run L.A.Cosmic at every point of the grid and count its masks against the truth.

    One point after the other, so that memory holds one mask; astroscrappy spreads each over the cores.

    Parameters
    ----------
    exposure : Exposure
    truth : dict of int to ChipTruth
        By EXTVER.
    label_snr : float
        As `evaluation.exposure_scores.count_maps`, whose rules these are.

    Returns
    -------
    dict of str to ndarray of int64, shape (len(GRID), 2)
        Pixels of each of `scores.with_truth.KINDS` that are not flagged, and that are.

    References
    ----------
    van Dokkum 2001, PASP 113, 1420; McCully et al. 2018, astroscrappy, doi 10.5281/zenodo.1482019.
    """
    points: list[Counts] = []
    for sigclip, objlim in tqdm(GRID, desc=f"L.A.Cosmic on {exposure.root}", unit="setting", leave=False, disable=None):
        # A mask is a map of zeros and ones: its pixels are in the first and the last bin.
        counts = count_maps(exposure, _masks(exposure, sigclip, objlim), truth, label_snr)
        points.append({kind: histogram[[0, -1]] for kind, histogram in counts.items()})
    return {kind: np.stack([point[kind] for point in points]) for kind in points[0]}


def _masks(exposure: Exposure, sigclip: float, objlim: float) -> Iterator[NDArray[np.float32]]:
    from astroscrappy import detect_cosmics

    settings = {**SETTINGS, "readnoise": read_noise(exposure.header), "sigclip": sigclip, "objlim": objlim}
    for chip in exposure.chips:
        mask, _ = detect_cosmics(chip.electrons, inmask=chip.unusable, **settings)
        yield mask.astype(np.float32)


def grid_scores(cr: NDArray, other: NDArray) -> dict[str, NDArray[np.float64]]:
    """Score every mask of the grid.

    Parameters
    ----------
    cr, other : ndarray, shape (..., len(GRID), 2)
        CR pixels and others, not flagged and flagged.

    Returns
    -------
    dict of str to ndarray of float64, shape (..., len(GRID))
        ``completeness``, ``purity`` and ``false_positive_rate``.
    """
    found, false = cr[..., 1], other[..., 1]
    return {
        "completeness": found / np.maximum(1, cr.sum(-1)),
        "purity": found / np.maximum(1e-9, found + false),
        "false_positive_rate": false / np.maximum(1, other.sum(-1)),
    }


def best_at(scores: Mapping[str, NDArray[np.float64]], false_positive_rate: float) -> NDArray[np.float64]:
    """Completeness of the best of the masks whose false-positive rate is not above a given one.

    Parameters
    ----------
    scores : mapping of str to ndarray of float64, shape (..., len(GRID))
        From `grid_scores`.
    false_positive_rate : float

    Returns
    -------
    ndarray of float64, shape (...)
        0 where every mask has more: no mask at all is always at hand.
    """
    allowed = scores["false_positive_rate"] <= false_positive_rate
    return np.max(np.where(allowed, scores["completeness"], 0), -1)


def envelope(scores: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Best completeness of the grid up to each false-positive rate of it, a step function.

    Parameters
    ----------
    scores : mapping of str to ndarray of float64, shape (len(GRID),)
        From `grid_scores`.

    Returns
    -------
    false_positive_rate, completeness : ndarray of float64, shape (len(GRID),)
        Both ascending.
    """
    order = np.lexsort((scores["completeness"], scores["false_positive_rate"]))
    return scores["false_positive_rate"][order], np.maximum.accumulate(scores["completeness"][order])
