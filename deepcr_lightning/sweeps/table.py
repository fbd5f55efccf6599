"""The table of a sweep: one row a job, whatever became of it."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.sweeps.result import SCORE, Result, best_of, swept_options

_SHOWN = {
    SCORE: "average precision",
    "val/completeness": "completeness",
    "val/purity": "purity",
    "test/average_precision": "test average precision",
}


def write_table(path: Path, results: Sequence[Result]) -> None:
    """Write the table as CSV, whole or not at all.

    Parameters
    ----------
    path : Path
    results : sequence of Result
        A column for each option in which they differ, and for each score that any has; what a job has not is empty.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    options, names = swept_options(results), sorted({name for result in results for name in result.scores})
    header = ["job", "status", *options, *names, "seconds", "checkpoint", "reason"]
    rows = [
        [result.job, result.status]
        + [result.options.get(option, "") for option in options]
        + [f"{result.scores[name]:.6g}" if name in result.scores else "" for name in names]
        + ["" if result.seconds is None else f"{result.seconds:.1f}", result.checkpoint, result.reason]
        for result in results
    ]

    def write(partial: Path) -> None:
        with partial.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    write_atomically(path, write)


def show_table(results: Sequence[Result]) -> str:
    """Lay the table out for a terminal, with the best job below it.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    str
        Lines.
    """
    options, best = swept_options(results), best_of(results)
    names = [name for name in _SHOWN if any(name in result.scores for result in results)]
    lines = [["job", *options, *(_SHOWN[name] for name in names), "seconds", "status"]]
    for result in results:
        scores = [f"{result.scores[name]:.4f}" if name in result.scores else "" for name in names]
        seconds = "" if result.seconds is None else f"{result.seconds:.0f}"
        values = [short(result.options.get(option, "")) for option in options]
        status = f"{result.status}: {result.reason}" if result.reason else result.status
        lines.append([result.job, *values, *scores, seconds, status])
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    if best is None:
        return "\n".join([*texts, "Best checkpoint: none, no job has a score"])
    place = os.path.relpath(best.checkpoint) if Path(best.checkpoint).is_relative_to(Path.cwd()) else best.checkpoint
    return "\n".join([*texts, f"Best: job {best.job}, average precision {best.score:.4f}", f"Best checkpoint: {place}"])


def short(value: str) -> str:
    """Shorten a number that was drawn from an interval to four digits; other values stay as they are."""
    try:
        number = float(value)
    except ValueError:
        return value
    return min(value, f"{number:.4g}", key=len)
