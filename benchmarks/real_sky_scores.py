"""Scores of a method on sets of real images, their intervals and their means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from real_sky_methods import Method
from real_sky_sets import REFERENCE, UVIS, UVIS_AS_IS, Picture

from deepcr_lightning.evaluation.exposure_scores import count_maps
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.scores.curves import average_precision
from deepcr_lightning.scores.intervals import DRAWS, interval, resampled
from deepcr_lightning.scores.reliability import calibration_error
from deepcr_lightning.scores.with_truth import (
    Counts,
    completeness_at,
    labels_of,
    mask_scores,
    precision_recall,
    sides_of,
)

MASK = ("completeness", "purity", "f1")
SHARES = ("flagged", "stars")
"""What controls have, too: shares of the pixels outside CRs, and of the star peaks, that the mask flags."""
MEASURES = (
    "average_precision",
    "strict_average_precision",
    "completeness_at_fpr_0.001",
    *MASK,
    "calibration_error_likely",
    "strict_calibration_error_likely",
    *SHARES,
)
LOWER = ("calibration_error_likely", "strict_calibration_error_likely", *SHARES)
"""Those of which less is better."""
MEAN, CONTROLS = "mean, sets with truth", "mean, controls and transplants"
_LIKELY = 0.01
_ASIDE = (*REFERENCE, UVIS, UVIS_AS_IS)

Maps = list[NDArray[np.float32]]
Draws = dict[str, NDArray[np.float64]]
"""By measure, shape (1 + DRAWS,): of the images as they are, then of drawings of them; NaN where there is nothing."""


@dataclass(frozen=True)
class Value:
    """A score and the middle 95 per cent of it over drawings of images; NaN where there is none."""

    value: float
    low: float
    high: float


Scores = dict[str, Value]
"""By `MEASURES`."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of one image.

    Attributes
    ----------
    counts : dict of str to ndarray
        Histograms against the truth (`scores.with_truth.Counts`).
    clear : ndarray of float64, shape (2,)
        Pixels that count and are no CR, and those of them that the mask flags.
    stars : ndarray of float64, shape (2,)
        Star peaks, and those that the mask flags.
    """

    counts: Counts
    clear: NDArray[np.float64]
    stars: NDArray[np.float64]


def score_sets(
    methods: Sequence[Method],
    sets: dict[str, list[Picture]],
    see: Callable[[str, list[Picture], list[Maps], float], None] | None = None,
) -> dict[str, Scores]:
    """Score a method on sets of real images.

    Parameters
    ----------
    methods : sequence of Method
        One; or one at several settings, of which each set takes the one of the highest F1, and sets without CRs the one
        of the highest mean of F1 over the others.
    sets : dict of str to list of Picture
        From `real_sky_sets.read_sets`.
    see : callable, optional
        Is shown each set: its name, pictures, maps and the threshold of the mask.

    Returns
    -------
    dict of str to dict of str to Value
        By set, and of two means. `MEAN` is over the sets with truth, apart from the catalogue that is only a reference
        and from the UVIS exposures, which have a section of their own in the docs; `CONTROLS` is over the sets all of
        whose images are controls or transplants. Images that are controls in a set with CRs count in the shares alone.
        Intervals of the means take sets of one image as they are.
    """
    draws: dict[str, list[Draws]] = {}
    for name, pictures in sets.items():
        draws[name] = []
        for method in methods:
            maps = [method.find(picture.exposure) for picture in pictures]
            tallies = [tally(picture, map_, method.threshold) for picture, map_ in zip(pictures, maps, strict=True)]
            draws[name].append(_draws(pictures, tallies, method, seed=len(draws)))
            if see is not None:
                see(name, pictures, maps, method.threshold)
    f1 = np.array([[drawn["f1"][0] for drawn in several] for several in draws.values()])
    usual = int(np.nan_to_num(f1).sum(0).argmax())
    best = [usual if np.isnan(row).any() else int(row.argmax()) for row in f1]
    chosen = {name: several[place] for (name, several), place in zip(draws.items(), best, strict=True)}
    kinds = {name: {picture.kind for picture in pictures} for name, pictures in sets.items()}
    true = [name for name, drawn in chosen.items() if name not in _ASIDE and np.isfinite(drawn["f1"][0])]
    clean = [name for name, found in kinds.items() if found <= {"control", "transplant"}]
    for mean, members in ((MEAN, true), (CONTROLS, clean)):
        chosen[mean] = {measure: _mean([chosen[name][measure] for name in members]) for measure in MEASURES}
    return {name: {measure: _value(values) for measure, values in drawn.items()} for name, drawn in chosen.items()}


def tally(picture: Picture, maps: Maps, threshold: float) -> Tally:
    """Count an image.

    Parameters
    ----------
    picture : Picture
    maps : list of ndarray of float32, shape (H, W)
        Maps of its chips.
    threshold : float
        Threshold of the mask.

    Returns
    -------
    Tally
    """
    clear, stars = np.zeros(2), np.zeros(2)
    for chip, map_, (rows, columns) in zip(picture.exposure.chips, maps, picture.stars, strict=True):
        mask, truth = threshold_mask(map_, threshold, ~chip.unusable), picture.truth[chip.extver]
        counted = truth.counted() & ~truth.cr & ~chip.unusable
        clear += counted.sum(), (mask & counted).sum()
        stars += rows.size, mask[rows, columns].sum()
    return Tally(count_maps(picture.exposure, maps, picture.truth, label_snr=1.0), clear, stars)


def _draws(pictures: list[Picture], tallies: list[Tally], method: Method, seed: int) -> Draws:
    drawn = np.ones((1 + DRAWS, len(tallies)))
    if len(tallies) > 1:
        drawn[1:] = resampled(len(tallies), seed)
    # A few images give few different drawings: each is scored once.
    weights, places = np.unique(drawn, axis=0, return_inverse=True)
    true = np.array([picture.kind != "control" for picture in pictures])
    counts = {kind: (weights * true) @ np.array([t.counts[kind] for t in tallies]) for kind in tallies[0].counts}
    sides, values = sides_of(counts), {}
    values["average_precision"], values["strict_average_precision"] = (
        average_precision(*precision_recall(*sides[s])) for s in ("", "strict_")
    )
    (values["completeness_at_fpr_0.001"],) = completeness_at(*sides[""], [1e-3])
    values |= mask_scores(*sides[""], method.threshold)
    both = values["completeness"] + values["purity"]
    values["f1"] = 2 * values["completeness"] * values["purity"] / np.maximum(both, 1e-9)
    for strict, histograms in (("", sides[""]), ("strict_", labels_of(counts))):
        values[f"{strict}calibration_error_likely"] = calibration_error(*histograms, _LIKELY)
    some = counts["cr"].sum(-1) > 0
    made = {}
    for measure in MEASURES:
        if measure in SHARES:
            pixels, flagged = (weights @ np.array([t.clear if measure == "flagged" else t.stars for t in tallies])).T
            made[measure] = np.where(pixels > 0, flagged / np.maximum(1, pixels), np.nan)[places]
        else:
            there = some & (method.graded or measure in MASK)
            made[measure] = np.where(there, values[measure], np.nan)[places]
    return made


def _mean(sets: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Average over the sets that have a value at all, each drawing by itself."""
    there = [values for values in sets if np.isfinite(values[0])]
    return np.nanmean(there, axis=0) if there else np.full(1 + DRAWS, np.nan)


def _value(values: NDArray[np.float64]) -> Value:
    finite = values[1:][np.isfinite(values[1:])]
    return Value(float(values[0]), *(interval(finite) if finite.size else (np.nan, np.nan)))
