"""Uncertainty of scores by resampling the exposures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 500
LEVEL = 0.95
"""Two sigma."""


def resampled(exposures: int, seed: int = 1) -> NDArray[np.float64]:
    """Draw exposures with replacement, as weights.

    Parameters
    ----------
    exposures : int
        At least 1. One alone is in every draw, and the interval has no width.
    seed : int

    Returns
    -------
    ndarray of float64, shape (DRAWS, exposures)
        How often each exposure is in each draw.

    References
    ----------
    Efron 1979, Annals of Statistics 7, 1.
    """
    return np.random.default_rng(seed).multinomial(exposures, np.full(exposures, 1 / exposures), DRAWS).astype(float)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Middle 95 per cent of resampled scores, shape (DRAWS,)."""
    low, high = np.quantile(values, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return float(low), float(high)
