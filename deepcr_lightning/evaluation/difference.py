"""The scores of one method less those of another, on the same draws of exposures."""

from __future__ import annotations

from deepcr_lightning.evaluation.score_summary import Scores, Summary, as_summary

COMPARED = ("average_precision", "completeness_at_fpr_0.0005", "completeness_at_fpr_0.005")
"""Scores of which differences are given."""


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
