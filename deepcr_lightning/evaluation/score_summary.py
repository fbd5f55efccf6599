"""Scores of groups of exposures, with intervals, as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.evaluation.events import CHARGE_EDGES, DISTANCE_EDGES, LENGTH_EDGES
from deepcr_lightning.evaluation.exposure_scores import ExposureScores
from deepcr_lightning.scores.curves import at_threshold, average_precision_of
from deepcr_lightning.scores.intervals import DRAWS, interval, resampled
from deepcr_lightning.scores.truth_free import AddedCounts, curves_of, own_rate
from deepcr_lightning.scores.with_truth import FALSE_POSITIVE_RATES, KINDS, Counts, score

ADDED_STANDS_FOR_OWN = 0.04
"""Relative error of what is expected of own CRs from added ones, beyond chance (docs/studies/results.md)."""
EDGES = {"charge": CHARGE_EDGES, "length": LENGTH_EDGES, "distance": DISTANCE_EDGES}

Summary = dict[str, Any]
"""By the name of a score: ``value`` and ``interval``, two numbers or None."""


def summarise_truth(members: Sequence[ExposureScores], threshold: float) -> Summary:
    """Score a group of exposures against truth.

    Parameters
    ----------
    members : sequence of ExposureScores
        With counts.
    threshold : float

    Returns
    -------
    dict
        `Summary` of the names of `scores.with_truth.score`. Fewer than two exposures give no interval.
    """
    return as_summary(*with_draws([m.counts for m in members if m.counts], partial(score, threshold=threshold)))


Scores = dict[str, NDArray[np.float64]]
Scorer = Callable[[Mapping[str, NDArray]], Scores]


def with_draws(counts: Sequence[Counts], scorer: Scorer) -> tuple[Scores, Scores | None]:
    """Score counts of exposures together, and what the scores might have been.

    Parameters
    ----------
    counts : sequence of dict of str to ndarray
        Counts of each exposure, by `scores.with_truth.KINDS`.
    scorer : callable
        Takes counts with any number of leading axes, as `scores.with_truth.score`.

    Returns
    -------
    values : dict of str to ndarray of float64, shape ()
    draws : dict of str to ndarray of float64, shape (DRAWS,), or None
        The draws are the same for the same number of exposures, so that those of two methods are pairs. None of
        fewer than two exposures.
    """
    stacks = {kind: np.stack([c[kind] for c in counts]).astype(float) for kind in KINDS}
    values = scorer({kind: stack.sum(0) for kind, stack in stacks.items()})
    if len(counts) < 2:
        return values, None
    weights = resampled(len(counts))
    return values, scorer({kind: np.tensordot(weights, stack, 1) for kind, stack in stacks.items()})


def summarise_events(members: Sequence[ExposureScores]) -> dict[str, dict[str, list[Any]]]:
    """Add up what was found by charge, length and distance.

    Parameters
    ----------
    members : sequence of ExposureScores
        With events.

    Returns
    -------
    dict
        By quantity: ``edges`` of the bins, the last None; ``completeness``, None where a bin is empty; ``total``.
    """
    summary = {}
    for name, edges in EDGES.items():
        found, total = (
            np.sum([getattr(m.events[name], part) for m in members if m.events], 0) for part in ("found", "total")
        )
        completeness = np.where(total > 0, found / np.maximum(1, total), np.nan)
        summary[name] = {
            "edges": [finite(edge) for edge in edges],
            "completeness": [finite(value) for value in completeness],
            "total": total.tolist(),
        }
    return summary


def summarise_added(members: Sequence[ExposureScores], threshold: float) -> Summary:
    """Score a group of exposures without truth.

    Parameters
    ----------
    members : sequence of ExposureScores
        With added CRs.
    threshold : float

    Returns
    -------
    dict
        `Summary` of ``average_precision``, ``completeness_at_fpr_*``, ``completeness``, ``purity`` and
        ``false_positive_rate`` at the threshold, and ``own_rate``.
    """
    (rate, curves), *draws = curves_without_truth(members)
    values = _truth_free(rate, curves, threshold)
    if not draws:
        return as_summary(values, None)
    drawn = [_truth_free(rate, curves, threshold) for rate, curves in draws]
    return as_summary(values, {name: np.array([draw[name] for draw in drawn]) for name in values})


def curves_without_truth(
    members: Sequence[ExposureScores], draws: int = DRAWS
) -> list[tuple[float, dict[str, Tensor]]]:
    """Find the curves of a group of exposures, and what they might have been.

    Parameters
    ----------
    members : sequence of ExposureScores
        With added CRs.
    draws : int
        At most `DRAWS`.

    Returns
    -------
    list of (float, dict of str to Tensor)
        CR rate and curves (`scores.truth_free`): as measured, then drawn within their uncertainty; none drawn
        of fewer than two exposures.
    """
    parts = [m.added for m in members if m.added is not None]
    stacks = {f.name: torch.stack([getattr(p, f.name) for p in parts]) for f in fields(AddedCounts)}
    weights, offs = torch.ones(1, len(parts), dtype=torch.float64), np.zeros(1)
    if len(parts) > 1:
        weights = torch.cat([weights, torch.from_numpy(resampled(len(parts))[:draws])])
        offs = np.append(offs, ADDED_STANDS_FOR_OWN * np.random.default_rng(2).normal(size=draws))
    drawn = []
    for weight, off in zip(weights, offs.tolist(), strict=True):
        counts = AddedCounts(**{name: torch.tensordot(weight, stack, 1) for name, stack in stacks.items()})
        rate = float(own_rate(counts)) * (1 + off)
        drawn.append((rate, curves_of(counts, rate)))
    return drawn


def _truth_free(rate: float, curves: dict[str, Tensor], threshold: float) -> dict[str, float]:
    rates, completeness = (curves[name].numpy()[::-1] for name in ("false_positive_rate", "completeness"))
    here = at_threshold(curves, threshold)
    return {
        "average_precision": average_precision_of(curves),
        **{f"completeness_at_fpr_{r:g}": float(np.interp(r, rates, completeness)) for r in FALSE_POSITIVE_RATES},
        **{name: float(here[name]) for name in ("completeness", "purity", "false_positive_rate")},
        "own_rate": rate,
    }


def as_summary(values: Mapping[str, Any], draws: Mapping[str, NDArray] | None) -> Summary:
    """Put scores and the intervals of their draws side by side, as plain values."""
    return {
        name: {
            "value": finite(value),
            "interval": None if draws is None else [finite(v) for v in interval(draws[name])],
        }
        for name, value in values.items()
    }


def finite(value: float) -> float | None:
    """Put None, which JSON knows, in the place of NaN and infinity."""
    return float(value) if math.isfinite(value) else None
