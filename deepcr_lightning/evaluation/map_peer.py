"""A network beside the one under evaluation, and the curve of any map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from deepcr_lightning.evaluation.difference import difference
from deepcr_lightning.evaluation.exposure_scores import count_maps
from deepcr_lightning.evaluation.score_summary import Scores, Summary, as_summary, with_draws
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.models.model import Model, model_threshold
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.with_truth import Counts, mask_scores, roc, score, sides_of

LOWEST_RATE = 1e-3
"""Lowest false-positive rate that is shown, in per cent of the pixels."""


@dataclass(frozen=True, eq=False)
class MapPeer:
    """A network that is set beside the one under evaluation.

    Attributes
    ----------
    name : str
        Name in tables and figures.
    model : Model
        The network.
    predictor : ExposurePredictor
        What maps exposures with it.
    """

    name: str
    model: Model
    predictor: ExposurePredictor

    @property
    def about(self) -> Mapping[str, Any]:
        """File, SHA-256 and threshold of the network."""
        return {"checkpoint": str(self.model.path), "sha256": self.model.sha256, "threshold": self.threshold}

    @property
    def threshold(self) -> float:
        """Threshold of its mask, its own."""
        return model_threshold(self.model)

    def count(self, exposure: Exposure, truth: dict[int, ChipTruth], label_snr: float) -> Counts:
        """Count the pixels of its maps (`evaluation.exposure_scores.count_maps`)."""
        return count_maps(exposure, self.predictor.probabilities(exposure), truth, label_snr)

    def compare(self, counts: Sequence[Counts], ours: tuple[Scores, Scores | None]) -> dict[str, Summary]:
        """Score its maps and the mask at its own threshold."""
        theirs = with_draws(counts, partial(score, threshold=self.threshold))
        return {self.name: as_summary(*theirs) | {"difference": difference(theirs, ours)}}

    def points(self, counts: Counts) -> dict[str, Any]:
        """Give nothing: its curve follows from the scores."""
        del counts
        return {}

    def draw(self, cell: Axes, counts: Counts) -> list[Line2D]:
        """Draw its curve and its mask."""
        return draw_map(cell, counts, self.name, self.threshold)


def draw_map(cell: Axes, counts: Counts, label: str, threshold: float, **style: Any) -> list[Line2D]:
    """Draw completeness against false-positive rate of a map, and its mask as a point.

    Parameters
    ----------
    cell : Axes
        Where they are drawn.
    counts : dict of str to ndarray, shape (BINS,)
        Histograms of the logit, by `scores.with_truth.KINDS`.
    label : str
        Name in the legend.
    threshold : float
        Threshold of the mask.
    **style
        Properties of the line.

    Returns
    -------
    list of Line2D
        The line, for a legend.
    """
    cr, other = sides_of(counts)[""]
    rate, completeness = roc(cr, other)
    (line,) = cell.plot(shown(rate), 100 * completeness, label=label, **style)
    mask = mask_scores(cr, other, threshold)
    cell.plot(shown(mask["false_positive_rate"]), 100 * mask["completeness"], "o", color=line.get_color(), zorder=4)
    return [line]


def shown(rate: Any) -> Any:
    """Turn false-positive rates into per cent; a rate of 0, which has no logarithm, stands at the edge."""
    return np.maximum(100 * np.asarray(rate), LOWEST_RATE)
