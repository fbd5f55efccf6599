"""Scores of a network on one exposure, with truth and without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.evaluation.events import FoundBy, count_events
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.scores.truth_free import AddedCounts
from deepcr_lightning.scores.with_truth import Counts, count_chip, label_pixels


@dataclass(frozen=True, eq=False)
class ExposureScores:
    """Counts of one exposure.

    Attributes
    ----------
    root, filter, field : str
        The field type is that of the truth file, ``"unknown"`` where it does not say.
    counts : dict of str to ndarray, or None
        `scores.with_truth.Counts` against truth.
    events : dict of str to FoundBy, or None
        `evaluation.events.count_events`.
    added : AddedCounts or None
        Counts of the exposure with CRs of a dark added.
    peers : mapping of str to dict of str to ndarray
        Counts against truth of other methods (`evaluation.peers.Peers.count`), by name.
    """

    root: str
    filter: str
    field: str
    counts: Counts | None = None
    events: dict[str, FoundBy] | None = None
    added: AddedCounts | None = None
    peers: Mapping[str, Counts] = dataclass_field(default_factory=dict)


def score_against_truth(
    exposure: Exposure,
    maps: Sequence[NDArray[np.float32]],
    truth: dict[int, ChipTruth],
    threshold: float,
    label_snr: float,
) -> tuple[Counts, dict[str, FoundBy]]:
    """Count the maps of an exposure against its truth.

    Parameters
    ----------
    exposure : Exposure
    maps : sequence of ndarray of float32, shape (H, W)
        Probability on each chip.
    truth : dict of int to ChipTruth
        By EXTVER.
    threshold : float
        Threshold of the mask in which events are looked for.
    label_snr : float
        What the network was taught to call a CR.

    Returns
    -------
    counts : dict of str to ndarray
    events : dict of str to FoundBy
    """
    all_events: list[dict[str, FoundBy]] = []
    for chip, probability in zip(exposure.chips, maps, strict=True):
        known, usable = truth[chip.extver], ~chip.unusable
        sky, noise = sky_and_noise(chip.electrons, usable)
        mask = threshold_mask(probability, threshold, usable)
        seen = ChipTruth(known.cr, known.ignore | chip.unusable, known.charge)
        all_events.append(count_events(mask, seen, chip.electrons, sky, noise))
    return (
        count_maps(exposure, maps, truth, label_snr),
        {name: reduce(add, (e[name] for e in all_events)) for name in all_events[0]},
    )


def count_maps(
    exposure: Exposure, maps: Iterable[NDArray[np.float32]], truth: dict[int, ChipTruth], label_snr: float
) -> Counts:
    """Count the pixels of the maps of an exposure by what they are.

    Parameters
    ----------
    exposure : Exposure
    maps : iterable of ndarray of float32, shape (H, W)
        Probability on each chip.
    truth : dict of int to ChipTruth
        By EXTVER.
    label_snr : float
        What a network was taught to call a CR.

    Returns
    -------
    dict of str to ndarray of int64, shape (BINS,)
        `scores.with_truth.count_chip`, of all chips.
    """
    chips: list[Counts] = []
    for chip, probability in zip(exposure.chips, maps, strict=True):
        known, usable = truth[chip.extver], ~chip.unusable
        labels = label_pixels(chip.electrons, known, *sky_and_noise(chip.electrons, usable), label_snr)
        chips.append(count_chip(probability, known, labels, usable))
    return {kind: np.sum([counts[kind] for counts in chips], 0) for kind in chips[0]}


def summed(members: Sequence[ExposureScores], peer: str | None = None) -> Counts:
    """Add up the counts of exposures.

    Parameters
    ----------
    members : sequence of ExposureScores
    peer : str, optional
        Name of a peer; the network's own counts by default.

    Returns
    -------
    dict of str to ndarray
    """
    counts = [m.counts if peer is None else m.peers[peer] for m in members]
    there = [c for c in counts if c is not None]
    return {kind: np.sum([c[kind] for c in there], 0) for kind in there[0]}


def group(scores: Sequence[ExposureScores]) -> dict[str, list[ExposureScores]]:
    """Sort exposures by what they have in common.

    Parameters
    ----------
    scores : sequence of ExposureScores

    Returns
    -------
    dict of str to list of ExposureScores
        All together; by filter, by field type and by both, where there are several.
    """
    groups: dict[str, list[ExposureScores]] = {"all": list(scores)}
    kinds = (lambda s: s.filter, lambda s: s.field, lambda s: f"{s.filter} {s.field}")
    sizes = [len({kind(s) for s in scores}) for kind in kinds]
    for kind, several in zip(kinds, (sizes[0] > 1, sizes[1] > 1, min(sizes[:2]) > 1), strict=True):
        if several:
            for name in sorted({kind(s) for s in scores}):
                groups[name] = [s for s in scores if kind(s) == name]
    return groups
