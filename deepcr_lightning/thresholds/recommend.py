"""The recommended threshold, the reason, and its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.scores.intervals import interval, resampled
from deepcr_lightning.thresholds.star_counts import Counts


def check_thresholds(values: Sequence[Any] | None) -> list[float]:
    """Raise if thresholds do not ascend within (0, 1).

    Parameters
    ----------
    values : sequence
        Thresholds as the user gives them.

    Returns
    -------
    list of float

    Raises
    ------
    InputError
        If they do not, or there is none.
    """
    try:
        levels = [float(value) for value in values or ()]
    except (TypeError, ValueError):
        levels = []
    ascending = all(low < high for low, high in pairwise(levels))
    if not levels or not ascending or not (levels[0] > 0 and levels[-1] < 1):
        raise InputError(f"thresholds={values}: give numbers between 0 and 1 in ascending order, each once")
    return levels


@dataclass(frozen=True)
class Recommendation:
    """A threshold and what speaks for it.

    Attributes
    ----------
    threshold : float
    interval : (float, float)
        Middle 95 per cent of the thresholds that resampled blocks recommend.
    as_good : (float, float)
        Lowest and highest threshold whose net gain is less than a standard deviation, of the difference, below it.
    reason : str
        In words.
    """

    threshold: float
    interval: tuple[float, float]
    as_good: tuple[float, float]
    reason: str

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "threshold": self.threshold,
            "interval": list(self.interval),
            "as_good": list(self.as_good),
            "reason": self.reason,
        }


def recommend(thresholds: NDArray[np.float64], counts: Counts, most_lost: float, where: str) -> Recommendation:
    """Choose the threshold of the largest net gain among those that lose few stars.

    Parameters
    ----------
    thresholds : ndarray of float64, shape (T,)
        Ascending.
    counts : Counts
        With at least one star in `legacy`.
    most_lost : float
        Largest share of the stars without a mask that may be lost.
    where : str
        What was counted, for the reason.

    Returns
    -------
    Recommendation
    """
    legacy, added, lost = counts.legacy.sum(), counts.added.sum(1), counts.lost.sum(1)
    best = int(_choices(added[None], lost[None], np.array([legacy]), most_lost)[0])
    weights = resampled(len(counts.legacy))
    drawn_added, drawn_lost = weights @ counts.added.T, weights @ counts.lost.T
    chosen = thresholds[_choices(drawn_added, drawn_lost, weights @ counts.legacy, most_lost)]
    net = drawn_added - drawn_lost
    short = (added - lost)[best] - (added - lost) <= (net[:, [best]] - net).std(0)
    short &= (lost <= most_lost * legacy) | (np.arange(len(short)) == best)
    few = f"{100 * lost[best] / legacy:.1f} % of {legacy:.0f} stars {where} are lost"
    reason = f"largest net gain, {100 * (added - lost)[best] / legacy:+.1f} %, while {few}"
    if lost[best] > most_lost * legacy:
        reason = f"every threshold loses more than {100 * most_lost:g} % of the stars {where}; here {few}, the fewest"
    if len(thresholds) > 1 and best in (0, len(thresholds) - 1):
        reason += f"; it is the {'highest' if best else 'lowest'} of thresholds=, so try others beyond it"
    as_good = thresholds[short]
    return Recommendation(
        float(thresholds[best]), interval(chosen), (float(as_good.min()), float(as_good.max())), reason
    )


def _choices(
    added: NDArray[np.float64], lost: NDArray[np.float64], legacy: NDArray[np.float64], most_lost: float
) -> NDArray[np.int64]:
    """Index of the best threshold in each draw, shape (draws,)."""
    allowed = lost <= most_lost * legacy[:, None]
    net = np.where(allowed, added - lost, -np.inf)
    return np.where(allowed.any(1), net.argmax(1), lost.argmin(1))
