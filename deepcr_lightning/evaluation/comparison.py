"""A network and its peers side by side, with intervals of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from deepcr_lightning.evaluation.exposure_scores import ExposureScores, group, summed
from deepcr_lightning.evaluation.lacosmic import GRID, USUAL, best_at, grid_scores
from deepcr_lightning.evaluation.peers import LACOSMIC, Peers
from deepcr_lightning.evaluation.score_summary import Scores, Summary, as_summary, finite, with_draws
from deepcr_lightning.scores.with_truth import FALSE_POSITIVE_RATES, score, sides_of

BEST = f"{LACOSMIC}, best of the grid"
"""Chosen with the truth, anew for every rate and every draw of exposures: what the method can do at most."""
USUALLY = f"{LACOSMIC}, usual settings"
COMPARED = ("average_precision", "completeness_at_fpr_0.0005", "completeness_at_fpr_0.005")
"""Scores of which differences are given."""


def compare(scored: Sequence[ExposureScores], peers: Peers, threshold: float) -> dict[str, Any]:
    """Score a network and its peers on the exposures that have truth.

    Parameters
    ----------
    scored : sequence of ExposureScores
        Those without counts of peers are left out.
    peers : Peers
    threshold : float
        Of the network's mask.

    Returns
    -------
    dict
        Plain values. ``reference``, the name of the network; ``methods``, file, SHA-256 and threshold of each peer;
        ``groups``, by group of exposures and by method a `Summary`, of peers with another one,
        ``difference``, of peer minus network on the same draws of exposures; ``lacosmic_grid``, by group.
    """
    groups = group([s for s in scored if s.counts and s.peers])
    report: dict[str, Any] = {
        "reference": peers.reference,
        "methods": {
            peer.name: {
                "checkpoint": str(peer.model.path),
                "sha256": peer.model.sha256,
                "threshold": peer.threshold,
            }
            for peer in peers.networks
        },
        "groups": {name: _compare_group(members, peers, threshold) for name, members in groups.items()},
    }
    if peers.lacosmic:
        report["lacosmic_grid"] = {
            name: _grid_points(*sides_of(summed(members, LACOSMIC))[""]) for name, members in groups.items()
        }
    return report


def _compare_group(members: Sequence[ExposureScores], peers: Peers, threshold: float) -> dict[str, Summary]:
    ours = with_draws([m.counts for m in members if m.counts], partial(score, threshold=threshold))
    rows = {peers.reference: as_summary(*ours)}
    for peer in peers.networks:
        theirs = with_draws([m.peers[peer.name] for m in members], partial(score, threshold=peer.threshold))
        rows[peer.name] = as_summary(*theirs) | {"difference": difference(theirs, ours)}
    if peers.lacosmic:
        masks = [m.peers[LACOSMIC] for m in members]
        best = with_draws(masks, score_best)
        rows[BEST] = as_summary(*best) | {"difference": difference(best, ours)}
        rows[USUALLY] = as_summary(*with_draws(masks, _score_usual))
    return rows


def difference(theirs: tuple[Scores, Scores | None], ours: tuple[Scores, Scores | None]) -> Summary:
    """Subtract the scores of one method from those of another, draw by draw of the exposures.

    Parameters
    ----------
    theirs, ours : (dict, dict or None)
        Values and draws, from `evaluation.score_summary.with_draws`.

    Returns
    -------
    dict
        `Summary` of those of `COMPARED` that both have. An interval without 0 says that the one is better.
    """
    names = [name for name in COMPARED if name in theirs[0] and name in ours[0]]
    values = {name: theirs[0][name] - ours[0][name] for name in names}
    if theirs[1] is None or ours[1] is None:
        return as_summary(values, None)
    return as_summary(values, {name: theirs[1][name] - ours[1][name] for name in names})


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


def _grid_points(cr: NDArray, other: NDArray) -> list[dict[str, float | None]]:
    scores = grid_scores(cr, other)
    return [
        {"sigclip": sigclip, "objlim": objlim, **{name: finite(values[place]) for name, values in scores.items()}}
        for place, (sigclip, objlim) in enumerate(GRID)
    ]
