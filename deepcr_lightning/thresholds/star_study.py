"""The report of a threshold study: plain values, a table and lines for the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from deepcr_lightning.photometry.star_lists import Stars
from deepcr_lightning.scores.intervals import interval, resampled
from deepcr_lightning.thresholds.recommend import Recommendation, recommend
from deepcr_lightning.thresholds.star_counts import ChipStars, Counts, chip_stars, count, in_box

FEWEST_IN_BOX = 50
"""Stars without a mask below which a box says little."""


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that was counted.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (T,)
    masked : ndarray of float64, shape (T,), or None
        Share of pixels that each masks; None where catalogues are all there is.
    chips : list of ChipStars
    total : Counts
    box : Counts or None
        In the box as it is given.
    dithered : list of Counts
        In the box, shifted.
    recommended : Recommendation
        By the box where there is one.
    classic : Counts or None
        What each mask adds to the stars under classic rejection and loses of them; None where no field has enough
        exposures for it.
    """

    thresholds: NDArray[np.float64]
    masked: NDArray[np.float64] | None
    chips: list[ChipStars]
    total: Counts
    box: Counts | None
    dithered: list[Counts]
    recommended: Recommendation
    classic: Counts | None = None


def make_study(
    thresholds: Sequence[float],
    masked: NDArray[np.float64] | None,
    chips: list[ChipStars],
    corners: Sequence[Sequence[float]] | None,
    shifts: NDArray[np.float64],
    most_lost: float,
) -> Study:
    """Count the stars, in total and in the box, and choose a threshold.

    Parameters
    ----------
    thresholds : sequence of float
        Ascending.
    masked : ndarray of float64, shape (T,), or None
    chips : list of ChipStars
        With at least one star without a mask.
    corners : sequence of (float, float), optional
        Corners of the box: colour and magnitude.
    shifts : ndarray of float64, shape (N, 2)
        Shifts of the box in colour and magnitude.
    most_lost : float
        Largest share of the stars without a mask that may be lost.

    Returns
    -------
    Study
    """
    levels = np.asarray(thresholds, np.float64)
    total = count(chips)
    box, dithered = None, []
    if corners is not None:
        box = count(chips, in_box(corners))
        dithered = [count(chips, in_box(corners, (float(c), float(m)))) for c, m in shifts]
    inside = box is not None and box.legacy.sum() > 0
    recommended = recommend(
        levels, box if box is not None and inside else total, most_lost, "in the box" if inside else "in all"
    )
    compared = [chip_stars(c.field, c.shape, c.classic, c.masked) for c in chips if c.classic is not None]
    classic = count(compared) if any(len(chip.legacy) for chip in compared) else None
    return Study(levels, masked, chips, total, box, dithered, recommended, classic)


def make_report(study: Study, with_truth: bool) -> dict[str, Any]:
    """Write a study as plain values.

    Parameters
    ----------
    study : Study
    with_truth : bool
        Whether the stars know if they are real.

    Returns
    -------
    dict
    """
    report: dict[str, Any] = {
        "recommended": study.recommended.record(),
        "thresholds": study.thresholds.tolist(),
        "masked_share": None if study.masked is None else study.masked.tolist(),
        "total": _plain(study.total),
    }
    if study.box is not None:
        report["box"] = _plain(study.box)
        report["dithered_boxes"] = [_plain(counts, intervals=False) for counts in study.dithered]
    if study.classic is not None:
        report["against_classic"] = _plain(study.classic)
        pairs = [(chip, chip.classic) for chip in study.chips if chip.classic is not None]
        matched = [chip_stars(chip.field, chip.shape, chip.legacy, [classic]) for chip, classic in pairs]
        report["classic_against_no_mask"] = _plain(count(matched))
    if with_truth:
        real, false = count(study.chips, is_real), count(study.chips, is_false)
        found = real.legacy.sum() - real.lost.sum(1) + real.added.sum(1)
        wrong = false.legacy.sum() - false.lost.sum(1) + false.added.sum(1)
        report["truth"] = {
            "real": _plain(real),
            "false": _plain(false),
            "cosmic_rays": _plain(count(study.chips, is_cosmic_ray)),
            "most_real_less_false_at": float(study.thresholds[np.argmax(found - wrong)]),
        }
    return report


def make_table(study: Study, with_truth: bool) -> Table:
    """Lay a study out as a table, a row a threshold.

    Parameters
    ----------
    study : Study
    with_truth : bool

    Returns
    -------
    astropy.table.Table
        ``threshold``, ``masked_share``, then the numbers of stars kept, added and lost: in all, in the box
        (``box_``), real, false, and false because of a CR (``cosmic_ray_``); and against classic rejection.
    """
    parts: dict[str, Counts] = {"": study.total}
    if study.box is not None:
        parts["box_"] = study.box
    if with_truth:
        parts |= {"real_": count(study.chips, is_real), "false_": count(study.chips, is_false)}
        parts["cosmic_ray_"] = count(study.chips, is_cosmic_ray)
    if study.classic is not None:
        parts["against_classic_"] = study.classic
    table = Table({"threshold": study.thresholds})
    if study.masked is not None:
        table["masked_share"] = study.masked
    for name, counts in parts.items():
        for kind in ("kept", "added", "lost"):
            table[f"{name}{kind}"] = getattr(counts, kind).sum(1).astype(np.int64)
        table.meta[f"{name}legacy"] = int(counts.legacy.sum())
    table.meta["recommended"] = study.recommended.threshold
    return table


def show_report(study: Study) -> str:
    """Say in a few lines what was found.

    Parameters
    ----------
    study : Study

    Returns
    -------
    str
    """
    counts, where = (study.total, "all") if study.box is None else (study.box, "in the box")
    lines = [f"Good stars ({where}) without a mask: {counts.legacy.sum():.0f}"]
    lines.append("threshold    added     lost      net   pixels masked")
    legacy = max(counts.legacy.sum(), 1)
    for n, level in enumerate(study.thresholds):
        added, lost = counts.added[n].sum() / legacy, counts.lost[n].sum() / legacy
        masked = "" if study.masked is None else f" {100 * study.masked[n]:13.2f}%"
        net = f"{100 * added:7.2f}% {100 * lost:7.2f}% {100 * (added - lost):+7.2f}%"
        lines.append(f"{level:9.3g} {net}{masked}")
    best = study.recommended
    low, high = best.interval
    lines.append(f"Recommended threshold: {best.threshold:g} ({low:g} to {high:g}): {best.reason}")
    if study.classic is not None:
        now = int(np.argmin(np.abs(study.thresholds - best.threshold)))
        change = (study.classic.added - study.classic.lost)[now].sum() / study.classic.legacy.sum()
        lines.append(f"There, {100 * change:+.2f}% good stars against classic rejection of several exposures")
    lines.append(f"As good within their uncertainty: {best.as_good[0]:g} to {best.as_good[1]:g}")
    return "\n".join(lines)


def is_real(stars: Stars) -> NDArray[np.bool_]:
    """Select the stars that the truth knows."""
    return stars.real


def is_false(stars: Stars) -> NDArray[np.bool_]:
    """Select the stars that it does not know."""
    return ~stars.real


def is_cosmic_ray(stars: Stars) -> NDArray[np.bool_]:
    """Select, of these, those on whose core a CR lies: CRs taken for stars, and stars that a CR made too bright."""
    return is_false(stars) if stars.struck is None else is_false(stars) & stars.struck


def _plain(counts: Counts, intervals: bool = True) -> dict[str, Any]:
    legacy, added, lost = counts.legacy.sum(), counts.added.sum(1), counts.lost.sum(1)
    plain: dict[str, Any] = {"legacy": int(legacy), "added": _whole(added), "lost": _whole(lost)}
    if intervals and legacy:
        weights = resampled(len(counts.legacy))
        net = (weights @ (counts.added - counts.lost).T) / np.maximum(weights @ counts.legacy, 1)[:, None]
        plain["net_share"] = ((added - lost) / legacy).tolist()
        plain["net_share_interval"] = [list(interval(column)) for column in net.T]
    return plain


def _whole(values: NDArray[np.float64]) -> list[int]:
    return [int(value) for value in values]
