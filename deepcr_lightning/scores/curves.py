"""Curves of completeness, purity and false-positive rate over the threshold, and what is read off them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_KEPT = 400


def average_precision(completeness: NDArray[np.float64], purity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate purity over completeness, as a step function.

    Parameters
    ----------
    completeness, purity : ndarray of float64, shape (..., n)
        Values for falling thresholds, so that the completeness ascends.

    Returns
    -------
    ndarray of float64, shape (...)
        Average precision, 0 to 1; 0 without a single CR.
    """
    return np.sum(np.diff(completeness, axis=-1, prepend=0) * purity, -1)


def average_precision_of(curves: Mapping[str, Tensor]) -> float:
    """Integrate purity over completeness (`average_precision`) for curves of `scores.truth_free.curves_of`."""
    completeness, purity = (curves[name].flip(-1).numpy() for name in ("completeness", "purity"))
    return float(average_precision(completeness, purity))


def at_threshold(curves: Mapping[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """Read curves at one threshold.

    Parameters
    ----------
    curves : mapping of str to Tensor
        Curves of `scores.truth_free.curves_of`.
    threshold : float
        Threshold on the probability.

    Returns
    -------
    dict of Tensor, scalar
        The values at the threshold, by the same names.
    """
    place = int(torch.searchsorted(curves["threshold"], threshold).clamp(max=len(curves["threshold"]) - 1))
    return {name: values[place] for name, values in curves.items()}


def kept_curves(curves: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Thin curves to what a checkpoint keeps: 400 thresholds, even in their logit, as plain numbers.

    Parameters
    ----------
    curves : mapping of str to Tensor
        Curves of `scores.truth_free.curves_of`.

    Returns
    -------
    dict of str to list of float
        The thinned curves, six digits a value.
    """
    count = len(curves["threshold"])
    # The outer parts, beyond one in 10^5, say nothing more.
    places = np.linspace(0.2 * count, 0.8 * count, _KEPT).astype(int)
    return {name: [float(f"{value:.6g}") for value in values[places].tolist()] for name, values in curves.items()}
