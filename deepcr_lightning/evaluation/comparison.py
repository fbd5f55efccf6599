"""A network and its peers side by side, with intervals of their differences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from deepcr_lightning.evaluation.exposure_scores import ExposureScores, group, summed
from deepcr_lightning.evaluation.peers import Peers
from deepcr_lightning.evaluation.score_summary import Summary, as_summary, with_draws
from deepcr_lightning.scores.with_truth import score


def compare(scored: Sequence[ExposureScores], peers: Peers, threshold: float) -> dict[str, Any]:
    """Score a network and its peers on the exposures that have truth.

    Parameters
    ----------
    scored : sequence of ExposureScores
        Scores of exposures; those without counts of peers are left out.
    peers : Peers
        The methods that the network is compared with.
    threshold : float
        Threshold of the network's mask.

    Returns
    -------
    dict
        Plain values. ``reference``, the name of the network; ``methods``, file, SHA-256 and threshold of each peer
        that is a network; ``groups``, by group of exposures and by method a `Summary`, of peers with another one,
        ``difference``, of peer minus network on the same draws of exposures; ``lacosmic_grid``, by group, if
        L.A.Cosmic is a peer.
    """
    groups = group([s for s in scored if s.counts and s.peers])
    report: dict[str, Any] = {
        "reference": peers.reference,
        "methods": {peer.name: dict(peer.about) for peer in peers.methods if peer.about},
        "groups": {name: _compare_group(members, peers, threshold) for name, members in groups.items()},
    }
    for name, members in groups.items():
        for peer in peers.methods:
            for key, points in peer.points(summed(members, peer.name)).items():
                report.setdefault(key, {})[name] = points
    return report


def _compare_group(members: Sequence[ExposureScores], peers: Peers, threshold: float) -> dict[str, Summary]:
    ours = with_draws([m.counts for m in members if m.counts], partial(score, threshold=threshold))
    rows = {peers.reference: as_summary(*ours)}
    for peer in peers.methods:
        rows |= peer.compare([m.peers[peer.name] for m in members], ours)
    return rows
