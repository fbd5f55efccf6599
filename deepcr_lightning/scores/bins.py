"""Bins of the logit of a map: histograms over them add up over tiles, exposures and processes."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 4000
"""Bins of every histogram of logits."""
LOGIT_RANGE = 20.0
"""The bins reach from minus this logit to plus this logit; what lies beyond counts in the outermost ones."""


def bin_centres(device: torch.device) -> Tensor:
    """Logits in the middle of the bins, float64, shape (BINS,)."""
    return torch.linspace(-LOGIT_RANGE, LOGIT_RANGE, 2 * BINS + 1, dtype=torch.float64, device=device)[1::2]


def logit_bins(logits: Tensor) -> Tensor:
    """Find the bin of each logit, int64, of the same shape."""
    return ((logits.detach().float() + LOGIT_RANGE) * (BINS / (2 * LOGIT_RANGE))).long().clamp(0, BINS - 1)


def above(counts: Tensor) -> Tensor:
    """Sum histograms from each bin to the last.

    Parameters
    ----------
    counts : Tensor, shape (..., BINS)
        Histograms over the bins.

    Returns
    -------
    Tensor, shape (..., BINS)
        What lies in each bin or above it.
    """
    return counts.flip(-1).cumsum(-1).flip(-1)
