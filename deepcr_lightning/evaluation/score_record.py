"""The report of an evaluation: plain values, a table and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcr_lightning.evaluation.exposure_scores import ExposureScores, group, summed
from deepcr_lightning.evaluation.score_figures import plot_curves, plot_events, plot_reliability, plot_without_truth
from deepcr_lightning.evaluation.score_summary import (
    curves_without_truth,
    summarise_added,
    summarise_events,
    summarise_truth,
)

_DRAWN = 60
COLUMNS = {
    "average_precision": "AP",
    "completeness_at_fpr_0.0001": "at 0.01%",
    "completeness_at_fpr_0.0005": "at 0.05%",
    "completeness_at_fpr_0.001": "at 0.1%",
    "completeness_at_fpr_0.005": "at 0.5%",
    "completeness": "complete",
    "purity": "purity",
    "false_positive_rate": "FPR",
}
"""Titles of the scores in tables, by their names."""


def make_report(scored: Sequence[ExposureScores], threshold: float) -> dict[str, Any]:
    """Summarise all exposures and their groups.

    Parameters
    ----------
    scored : sequence of ExposureScores
    threshold : float
        Threshold of the mask on the probability.

    Returns
    -------
    dict
        Plain values: ``threshold``, ``exposures``, and, for what there is, ``with_truth`` and ``without_truth``, by
        group, and ``events``.
    """
    report: dict[str, Any] = {"threshold": threshold, "exposures": [s.root for s in scored]}
    known, added = [s for s in scored if s.counts], [s for s in scored if s.added]
    if known:
        report["with_truth"] = {
            name: {"exposures": len(members), **summarise_truth(members, threshold)}
            for name, members in _groups_and_each(known).items()
        }
        report["events"] = {name: summarise_events(members) for name, members in group(known).items()}
    if added:
        report["without_truth"] = {
            name: {"exposures": len(members), **summarise_added(members, threshold)}
            for name, members in group(added).items()
        }
    return report


def _groups_and_each(scored: Sequence[ExposureScores]) -> dict[str, list[ExposureScores]]:
    return group(scored) | {s.root: [s] for s in scored}


def show_report(report: Mapping[str, Any]) -> str:
    """Lay the scores of the groups out as a table, with half of each interval behind its value.

    Parameters
    ----------
    report : mapping
        From `make_report`.

    Returns
    -------
    str
    """
    lines: list[str] = []
    roots = set(report["exposures"])
    for part, title in (("with_truth", "Against the truth"), ("without_truth", "Without truth")):
        rows = {name: row for name, row in report.get(part, {}).items() if name not in roots}
        if not rows:
            continue
        extra = {"calibration_error_likely": "ECE"} if part == "with_truth" else {"own_rate": "CR rate"}
        columns = COLUMNS | extra
        width = max(len(name) for name in rows)
        lines += [
            f"{title}: completeness at false-positive rates, and of the mask above {report['threshold']:.3g}",
            f"{'':{width}} {'n':>4}  " + "".join(f"{text:>14}" for text in columns.values()),
        ]
        for name, row in rows.items():
            cells = "".join(f"{score_cell(key, row[key]):>14}" for key in columns)
            lines.append(f"{name:{width}} {row['exposures']:>4}  {cells}")
        lines.append("")
    if len(roots) < 2:
        lines += ["A single exposure: no intervals", ""]
    return "\n".join(lines[:-1])


def score_cell(key: str, entry: Mapping[str, Any]) -> str:
    """Write a value of a `Summary`, in per cent where it is a share, with half of its interval behind it."""
    value, interval = entry["value"], entry["interval"]
    if value is None:
        return "-"
    plain = key in ("average_precision", "calibration_error_likely", "own_rate")
    factor, digits = (1, 3) if plain else (100, 3 if key == "false_positive_rate" else 1)
    digits += key == "average_precision"
    text = f"{factor * value:.{digits}f}"
    if interval is None or None in interval:
        return text
    return f"{text}\u00b1{factor * (interval[1] - interval[0]) / 2:.{digits}f}"


def draw_report(folder: Path, report: Mapping[str, Any], scored: Sequence[ExposureScores]) -> None:
    """Draw the figures of a report.

    Parameters
    ----------
    folder : Path
        Where ``curves.png``, ``reliability.png``, ``events.png`` and ``without_truth.png`` go.
    report : mapping
        From `make_report`.
    scored : sequence of ExposureScores
    """
    known, added = [s for s in scored if s.counts], [s for s in scored if s.added]
    truth = None
    if known:
        # Filters and field types; both at once would be too many lines.
        groups = {name: members for name, members in group(known).items() if " " not in name}
        counts = {name: summed(members) for name, members in groups.items()}
        truth = counts["all"]
        rows = report["with_truth"]
        marks = {name: {key: rows[name][key]["value"] for key in COLUMNS} for name in groups}
        plot_curves(folder / "curves.png", counts, marks)
        errors = {name: rows[name]["calibration_error_likely"]["value"] for name in groups}
        plot_reliability(folder / "reliability.png", counts, errors)
        plot_events(folder / "events.png", report["events"]["all"])
    if added:
        (_, curves), *drawn = curves_without_truth(added, _DRAWN)
        draws = [curves for _, curves in drawn]
        plot_without_truth(folder / "without_truth.png", curves, draws, truth if len(known) == len(added) else None)
