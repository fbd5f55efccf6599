"""How good a mask and a probability map are, pixel by pixel, against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.evaluation.truth import ChipTruth

BINS = 8000
_LOGIT_RANGE = 16.0


@dataclass(frozen=True, eq=False)
class PixelScores:
    """Counts of a mask and, where there is one, histograms of a probability map; they add up.

    Attributes
    ----------
    found, missed, false, right : int
        Pixels: true CRs in and out of the mask, others in and out of it.
    cr_scores, other_scores : ndarray of int, shape (BINS,)
        Histograms of the logit of the probability, of true CR pixels and of the others.
    """

    found: int
    missed: int
    false: int
    right: int
    cr_scores: NDArray[np.int64]
    other_scores: NDArray[np.int64]

    def __add__(self, other: PixelScores) -> PixelScores:
        return PixelScores(
            self.found + other.found,
            self.missed + other.missed,
            self.false + other.false,
            self.right + other.right,
            self.cr_scores + other.cr_scores,
            self.other_scores + other.other_scores,
        )

    @property
    def completeness(self) -> float:
        """Share of true CR pixels in the mask."""
        return self.found / max(1, self.found + self.missed)

    @property
    def purity(self) -> float:
        """Share of the mask that is true."""
        return self.found / max(1, self.found + self.false)

    @property
    def false_positive_rate(self) -> float:
        """Share of the pixels without a CR that is in the mask."""
        return self.false / max(1, self.false + self.right)

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False-positive rate and completeness at every threshold, both ascending."""
        true, false = (np.cumsum(h[::-1]) for h in (self.cr_scores, self.other_scores))
        return false / max(1, false[-1]), true / max(1, true[-1])

    def completeness_at(self, false_positive_rate: float) -> float:
        """Completeness of the map at a false-positive rate, between thresholds by interpolation."""
        return float(np.interp(false_positive_rate, *self.roc()))

    def average_precision(self) -> float:
        """Area under purity against completeness, as a step function."""
        true, false = (np.cumsum(h[::-1]) for h in (self.cr_scores, self.other_scores))
        purity = true / np.maximum(1, true + false)
        return float(np.sum(self.cr_scores[::-1] * purity) / max(1, true[-1]))


def score_chip(
    mask: NDArray[np.bool_], truth: ChipTruth, probability: NDArray[np.float32] | None = None
) -> PixelScores:
    """Compare the mask of a chip, and its probability map if given, with the truth.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    truth : ChipTruth
    probability : ndarray of float32, shape (H, W), optional

    Returns
    -------
    PixelScores
        Over the pixels that count (`ChipTruth.counted`).
    """
    counted = truth.counted()
    cr, other = counted & truth.cr, counted & ~truth.cr
    histograms = [np.zeros(BINS, np.int64)] * 2
    if probability is not None:
        histograms = [_logit_histogram(probability[pixels]) for pixels in (cr, other)]
    return PixelScores(
        found=int((mask & cr).sum()),
        missed=int((~mask & cr).sum()),
        false=int((mask & other).sum()),
        right=int((~mask & other).sum()),
        cr_scores=histograms[0],
        other_scores=histograms[1],
    )


def _logit_histogram(probability: NDArray[np.float32]) -> NDArray[np.int64]:
    p = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-12)
    logit = np.clip(np.log(p) - np.log1p(-p), -_LOGIT_RANGE, _LOGIT_RANGE)
    return np.histogram(logit, bins=BINS, range=(-_LOGIT_RANGE, _LOGIT_RANGE))[0].astype(np.int64)
