"""Does the map say how often it is right? Asked of images whose own cosmic rays nobody labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.training.calibration import label_shares
from deepcr_lightning.training.truth_free import bin_centres

_BINS = 20


@dataclass(frozen=True, eq=False)
class Reliability:
    """What a map says, and what is, in bins of the probability.

    Attributes
    ----------
    said : ndarray of float64, shape (20,)
        Mean probability in the bin; NaN without a pixel.
    seen : ndarray of float64, shape (20,)
        Share of CRs among the pixels of the bin, estimated; may exceed 1 by chance.
    error : ndarray of float64, shape (20,)
        Standard error of `seen`, from the number of labelled pixels.
    pixels : ndarray of float64, shape (20,)
    """

    said: NDArray[np.float64]
    seen: NDArray[np.float64]
    error: NDArray[np.float64]
    pixels: NDArray[np.float64]


def reliability(counts: Tensor, scale: float, shift: float) -> Reliability:
    """Compare the probabilities of a map with the labels, without truth.

    Parameters
    ----------
    counts : Tensor of float64, shape (SHARES, 2, BINS)
        From `training.calibration.count_labels`.
    scale, shift : float
        ``probability = sigmoid(scale * logit + shift)``.

    Returns
    -------
    Reliability

    Notes
    -----
    Of the CRs of an image the known share c is labelled. Among n pixels that the map gives q, ``c n q`` labels are
    expected; the labelled pixels of a bin over the sum of ``c`` of all its pixels estimate its share of CRs.
    """
    counts = counts.double().cpu()
    pixels = counts.sum(1)
    probability = torch.sigmoid(scale * bin_centres(counts.device) + shift)
    weight = label_shares(counts) * pixels
    place = (probability * _BINS).long().clamp(max=_BINS - 1)
    weights, chances, labelled, number = (
        torch.zeros(_BINS, dtype=torch.float64).index_add(0, place, values.sum(0)).numpy()
        for values in (weight, weight * probability, counts[:, 1], pixels)
    )
    weights = np.where(weights > 0, weights, np.nan)
    return Reliability(chances / weights, labelled / weights, np.sqrt(np.maximum(labelled, 1)) / weights, number)
