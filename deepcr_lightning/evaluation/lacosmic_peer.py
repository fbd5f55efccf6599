"""L.A.Cosmic beside a network: the best of its grid, and its usual settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from deepcr_lightning.evaluation.difference import difference
from deepcr_lightning.evaluation.lacosmic import GRID, USUAL, best_at, count_grid, envelope, grid_scores
from deepcr_lightning.evaluation.map_peer import shown
from deepcr_lightning.evaluation.score_summary import Scores, Summary, as_summary, finite, with_draws
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.scores.with_truth import FALSE_POSITIVE_RATES, Counts, sides_of

LACOSMIC = "L.A.Cosmic"
BEST = f"{LACOSMIC}, best of the grid"
"""Chosen with the truth, anew for every rate and every draw of exposures: what the method can do at most."""
USUALLY = f"{LACOSMIC}, usual settings"
_GREY = "#7f7f7f"


class LACosmicPeer:
    """L.A.Cosmic over a grid of its settings."""

    name = LACOSMIC
    about: Mapping[str, Any] | None = None

    def count(self, exposure: Exposure, truth: dict[int, ChipTruth], label_snr: float) -> Counts:
        """Count the masks of the grid (`evaluation.lacosmic.count_grid`)."""
        return count_grid(exposure, truth, label_snr)

    def compare(self, counts: Sequence[Counts], ours: tuple[Scores, Scores | None]) -> dict[str, Summary]:
        """Score the best of the grid and the usual settings."""
        best = with_draws(counts, score_best)
        return {
            BEST: as_summary(*best) | {"difference": difference(best, ours)},
            USUALLY: as_summary(*with_draws(counts, _score_usual)),
        }

    def points(self, counts: Counts) -> dict[str, Any]:
        """Give the scores of every point of the grid, as plain values."""
        scores = grid_scores(*sides_of(counts)[""])
        rows = [
            {"sigclip": sigclip, "objlim": objlim, **{name: finite(values[place]) for name, values in scores.items()}}
            for place, (sigclip, objlim) in enumerate(GRID)
        ]
        return {"lacosmic_grid": rows}

    def draw(self, cell: Axes, counts: Counts) -> list[Line2D]:
        """Draw the grid, its envelope and the usual settings."""
        points = grid_scores(*sides_of(counts)[""])
        rates, completeness = shown(points["false_positive_rate"]), 100 * points["completeness"]
        best_rates, best = envelope(points)
        return [
            *cell.plot(rates, completeness, ".", color=_GREY, label="L.A.Cosmic, its grid"),
            *cell.plot(
                shown(np.append(best_rates, 1)),
                100 * np.append(best, best[-1]),
                color=_GREY,
                linestyle="--",
                drawstyle="steps-post",
                label="L.A.Cosmic, best of the grid, chosen with the truth",
            ),
            *cell.plot(
                rates[USUAL],
                completeness[USUAL],
                "*",
                color="#d62728",
                markersize=12,
                zorder=4,
                clip_on=False,
                label="L.A.Cosmic, usual settings",
            ),
        ]


def score_best(counts: Mapping[str, NDArray]) -> Scores:
    """Score the upper envelope of L.A.Cosmic's grid.

    Parameters
    ----------
    counts : mapping of str to ndarray, shape (..., len(GRID), 2)
        From `evaluation.lacosmic.count_grid`.

    Returns
    -------
    dict of str to ndarray of float64, shape (...)
        ``completeness_at_fpr_*``, as in `scores.with_truth.score` with all its prefixes.
    """
    scores = {prefix: grid_scores(*side) for prefix, side in sides_of(counts).items()}
    return {
        f"{prefix}completeness_at_fpr_{rate:g}": best_at(points, rate)
        for prefix, points in scores.items()
        for rate in FALSE_POSITIVE_RATES
    }


def _score_usual(counts: Mapping[str, NDArray]) -> Scores:
    return {
        f"{prefix}{name}": values[..., USUAL]
        for prefix, side in sides_of(counts).items()
        for name, values in grid_scores(*side).items()
    }
