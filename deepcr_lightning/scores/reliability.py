"""How often pixels are CRs, against the probability that a map gives them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.scores.bins import bin_centres
from deepcr_lightning.scores.calibration import label_shares

_BINS, _BINS_WITHOUT_TRUTH = 15, 20


class Reliability(NamedTuple):
    """Probability that a map gives and share of CRs, in equal bins of the probability.

    Attributes
    ----------
    said : ndarray of float64, shape (..., bins)
        Mean probability of the pixels in the bin; NaN without a pixel.
    seen : ndarray of float64, shape (..., bins)
        Share of CRs among them; NaN without a pixel. Estimated without truth it may exceed 1 by chance.
    pixels : ndarray of float64, shape (..., bins)
        Number of pixels in the bin.
    error : ndarray of float64, shape (..., bins)
        Standard error of `seen`, from the number of labelled pixels.
    """

    said: NDArray[np.float64]
    seen: NDArray[np.float64]
    pixels: NDArray[np.float64]
    error: NDArray[np.float64]


def reliability(
    labelled: NDArray,
    unlabelled: NDArray,
    lowest: float = 0.0,
    labelled_share: NDArray | float = 1.0,
    calibration: tuple[float, float] = (1.0, 0.0),
    bins: int = _BINS,
) -> Reliability:
    """Compare the probability that a map gives with how often it is right.

    Parameters
    ----------
    labelled, unlabelled : ndarray, shape (..., BINS)
        Histograms of the logit of pixels that are labelled as CRs, and of all others.
    lowest : float
        Pixels below this probability are left out.
    labelled_share : ndarray of float64, shape (..., BINS), or float
        Share of the CRs in each bin of the logit that is labelled: 1 where the truth is known.
    calibration : (float, float)
        Scale and shift of the logit: ``probability = sigmoid(scale * logit + shift)``.
    bins : int
        Number of equal bins of the probability.

    Returns
    -------
    Reliability
        In bins of the probability.

    Notes
    -----
    If the share c of the CRs is labelled, ``c n q`` labels are expected among n pixels of probability q: the labelled
    pixels of a bin over the sum of ``c`` of all its pixels estimate its share of CRs.
    """
    scale, shift = calibration
    probability = torch.sigmoid(scale * bin_centres(torch.device("cpu")) + shift).numpy()
    places = np.minimum((probability * bins).astype(int), bins - 1)
    chosen = np.eye(bins)[places] * (probability >= lowest)[:, None]
    pixels = labelled + unlabelled
    countable = labelled_share * pixels
    weight, seen = countable @ chosen, labelled @ chosen
    weight = np.where(weight > 0, weight, np.nan)
    error = np.sqrt(np.maximum(seen, 1)) / weight
    return Reliability((countable * probability) @ chosen / weight, seen / weight, pixels @ chosen, error)


def reliability_without_truth(counts: Tensor, scale: float, shift: float) -> Reliability:
    """Compare the probabilities of a map with the labels of added CRs (`reliability`).

    Parameters
    ----------
    counts : Tensor of float64, shape (SHARES, 2, BINS)
        Pixels by dark share, label and logit (`scores.calibration.count_labels`).
    scale, shift : float
        ``probability = sigmoid(scale * logit + shift)``.

    Returns
    -------
    Reliability
        In 20 bins of the probability.
    """
    counts = counts.double().cpu()
    unlabelled, labelled = (part.numpy() for part in counts.sum(0))
    pixels = labelled + unlabelled
    share = (label_shares(counts) * counts.sum(1)).sum(0).numpy() / np.maximum(1e-300, pixels)
    return reliability(labelled, unlabelled, labelled_share=share, calibration=(scale, shift), bins=_BINS_WITHOUT_TRUTH)


def calibration_error(labelled: NDArray, unlabelled: NDArray, lowest: float = 0.0) -> NDArray[np.float64]:
    """Average the distance of said and seen (`reliability`) over pixels: expected calibration error."""
    found = reliability(labelled, unlabelled, lowest)
    distance = np.where(found.pixels > 0, np.abs(found.said - found.seen), 0)
    return np.sum(distance * found.pixels, -1) / np.maximum(1, found.pixels.sum(-1))
