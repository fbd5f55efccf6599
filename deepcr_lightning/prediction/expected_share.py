"""What share of an exposure cosmic rays are expected to cover, and what share is too much for any."""

from __future__ import annotations

import math

from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.observatory import in_space

SPACE_RATE = 3.5e-5
"""Share of the pixels that CRs take in a second on HST: more than on any camera on the ground."""
_GROUND_RATE = 1e-5
_FACTOR, _LEAST, _ABSURD = 2.0, 0.01, 0.1


def expected_share(exposure: Exposure, rate: float) -> float:
    """Find the share of the pixels that cosmic rays are expected to cover.

    Parameters
    ----------
    exposure : Exposure
    rate : float
        Share that CRs of the darks which trained the network take in a second; NaN if it is not known.

    Returns
    -------
    float
        NaN where it is not known: without a rate or an exposure time, and for exposures on the ground where the rate
        is that of space.
    """
    if rate > _GROUND_RATE and not in_space(exposure.header):
        return math.nan
    return rate * exposure.cr_time


def most_flagged(expected: float, cr_time: float) -> float:
    """Find the share of flagged pixels above which a mask cannot be right.

    Parameters
    ----------
    expected : float
        As from `expected_share`.
    cr_time : float
        Seconds during which the pixels collected cosmic rays; NaN if they are not known.

    Returns
    -------
    float
        Twice the expected share; where that is not known twice what HST would collect, between 1 and 10 %.
    """
    if expected > 0:
        return _FACTOR * expected
    return min(max(_FACTOR * SPACE_RATE * cr_time, _LEAST), _ABSURD) if cr_time > 0 else _ABSURD
