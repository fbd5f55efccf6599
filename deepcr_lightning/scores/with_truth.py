"""How good maps are against the truth, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.scores.bins import BINS, LOGIT_RANGE
from deepcr_lightning.scores.curves import average_precision
from deepcr_lightning.scores.reliability import calibration_error

FALSE_POSITIVE_RATES = (1e-4, 5e-4, 1e-3, 5e-3)
"""Rates at which completeness is read, as in Zhang & Bloom (2020), and lower."""
KINDS = ("cr", "other", "rim", "grown_cr", "grown_other", "labelled", "label_rim", "unlabelled")
_LIKELY = 0.01
_EIGHT = np.ones((3, 3), bool)

Counts = dict[str, NDArray[np.int64]]
"""Histograms of the logit of a map, shape (BINS,), of the pixels of each of `KINDS`; they add up."""


def count_chip(
    probability: NDArray[np.float32], truth: ChipTruth, labels: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> Counts:
    """Count the pixels of a map by what they are.

    Parameters
    ----------
    probability : ndarray of float32, shape (H, W)
    truth : ChipTruth
    labels : ndarray of bool, shape (H, W)
        CR pixels as the network was taught to call them (`label_pixels`).
    usable : ndarray of bool, shape (H, W)
        Only these count, and of them only those that the truth knows.

    Returns
    -------
    dict of str to ndarray of int64, shape (BINS,)
        ``cr``: true CRs; ``rim``: pixels that touch one from outside; ``other``: all the rest; ``grown_cr`` and
        ``grown_other``: the same of the map of masks grown by one pixel; ``labelled``, ``label_rim`` and
        ``unlabelled``: CRs, their rims and the rest by the label.
    """
    known = usable & ~truth.ignore
    rim, label_rim = (ndimage.binary_dilation(mask, _EIGHT) & ~mask for mask in (truth.cr, labels))
    cr, other = known & truth.cr, known & ~truth.cr & ~rim
    place = _places(probability)
    # Growing the mask of a threshold is the same as thresholding the map's local maximum.
    grown = _places(ndimage.maximum_filter(np.where(usable, probability, 0), 3))
    pixels = {
        "cr": place[cr],
        "other": place[other],
        "rim": place[known & rim],
        "grown_cr": grown[cr],
        "grown_other": grown[other],
        "labelled": place[known & labels],
        "label_rim": place[known & label_rim],
        "unlabelled": place[known & ~labels & ~label_rim],
    }
    return {kind: np.bincount(values, minlength=BINS) for kind, values in pixels.items()}


def label_pixels(
    electrons: NDArray[np.float32], truth: ChipTruth, sky: float, noise: float, label_snr: float
) -> NDArray[np.bool_]:
    """Call the pixels CRs that training would have called so.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    truth : ChipTruth
    sky, noise : float
        Sky level and noise of the chip in electrons.
    label_snr : float
        As in `batches.compose.compose_batch`.

    Returns
    -------
    ndarray of bool, shape (H, W)
        Where the true charge is at least `label_snr` times the local noise; the true CR pixels where the truth
        does not tell the charge.
    """
    if truth.charge is None:
        return truth.cr
    local_noise = np.sqrt(noise**2 + np.maximum(electrons - truth.charge - sky, 0))
    return truth.charge >= label_snr * local_noise


def score(counts: Mapping[str, NDArray], threshold: float) -> dict[str, NDArray[np.float64]]:
    """Turn counts into scores.

    Parameters
    ----------
    counts : mapping of str to ndarray, shape (..., BINS)
        By `KINDS`; one row a resampling of the exposures, for intervals.
    threshold : float
        Threshold of the mask on the probability.

    Returns
    -------
    dict of str to ndarray of float64, shape (...)
        ``average_precision`` and ``completeness_at_fpr_*`` of the map; ``completeness``, ``purity`` and
        ``false_positive_rate`` of the mask; the same with ``grown_`` of masks grown by a pixel, at their own
        false-positive rate, with ``strict_`` where rims count as not CR, and with ``taught_`` where a CR is what the
        network was taught to call one; ``calibration_error`` over all pixels and ``calibration_error_likely`` over
        those that the map gives a chance of at least 1 in 100.
    """
    scores: dict[str, NDArray[np.float64]] = {}
    for prefix, (cr, other) in sides_of(counts).items():
        scores[f"{prefix}average_precision"] = average_precision(*precision_recall(cr, other))
        read = completeness_at(cr, other, FALSE_POSITIVE_RATES)
        scores |= {f"{prefix}completeness_at_fpr_{r:g}": c for r, c in zip(FALSE_POSITIVE_RATES, read, strict=True)}
        scores |= {f"{prefix}{name}": value for name, value in mask_scores(cr, other, threshold).items()}
    for name, lowest in (("calibration_error", 0.0), ("calibration_error_likely", _LIKELY)):
        scores[name] = calibration_error(*labels_of(counts), lowest)
    return scores


def sides_of(counts: Mapping[str, NDArray]) -> dict[str, tuple[NDArray, NDArray]]:
    """CR pixels and others, shape (..., BINS), by the prefix of the scores that they give (`score`)."""
    return {
        "": (counts["cr"], counts["other"]),
        "strict_": (counts["cr"], np.asarray(counts["other"]) + counts["rim"]),
        "grown_": (counts["grown_cr"], counts["grown_other"]),
        "taught_": (counts["labelled"], counts["unlabelled"]),
    }


def labels_of(counts: Mapping[str, NDArray]) -> tuple[NDArray, NDArray]:
    """Histograms of all pixels by their label, rims included: what a probability is about, shape (..., BINS)."""
    return np.asarray(counts["labelled"]), np.asarray(counts["unlabelled"]) + counts["label_rim"]


def mask_scores(cr: NDArray, other: NDArray, threshold: float) -> dict[str, NDArray[np.float64]]:
    """Completeness, purity and false-positive rate of the mask above a threshold, from histograms (..., BINS)."""
    place = int(_places(np.float64(threshold)))
    # What lies in the threshold's own bin counts as above it by the share of the bin that is.
    found, false = (h[..., place + 1 :].sum(-1) + 0.5 * h[..., place] for h in (cr, other))
    return {
        "completeness": found / np.maximum(1, cr.sum(-1)),
        "purity": found / np.maximum(1e-9, found + false),
        "false_positive_rate": false / np.maximum(1, other.sum(-1)),
    }


def roc(cr: NDArray, other: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False-positive rate and completeness at every threshold, both ascending, shape (..., BINS)."""
    true, false = (np.cumsum(h[..., ::-1], -1) for h in (cr, other))
    return false / np.maximum(1, false[..., -1:]), true / np.maximum(1, true[..., -1:])


def completeness_at(cr: NDArray, other: NDArray, false_positive_rates: Sequence[float]) -> NDArray[np.float64]:
    """Completeness at n false-positive rates, between thresholds by interpolation, shape (n, ...)."""
    rates, completeness = (np.atleast_2d(values) for values in roc(cr, other))
    values = [np.interp(false_positive_rates, x, y) for x, y in zip(rates, completeness, strict=True)]
    return np.array(values).T.reshape(-1, *np.shape(cr)[:-1])


def precision_recall(cr: NDArray, other: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Completeness, ascending, and purity at every threshold, shape (..., BINS)."""
    true, false = (np.cumsum(h[..., ::-1], -1) for h in (cr, other))
    return true / np.maximum(1, true[..., -1:]), true / np.maximum(1, true + false)


def _places(probability: NDArray | np.floating) -> NDArray[np.int64]:
    p = np.clip(np.asarray(probability, np.float64), 1e-12, 1 - 1e-12)
    logit = np.log(p) - np.log1p(-p)
    return np.clip(((logit + LOGIT_RANGE) * (BINS / (2 * LOGIT_RANGE))).astype(np.int64), 0, BINS - 1)
