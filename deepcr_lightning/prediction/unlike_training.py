"""Warnings about exposures that differ from the training data, each with a remedy."""

from __future__ import annotations

from deepcr_lightning.console.counts import counted
from deepcr_lightning.models.card import DataCard
from deepcr_lightning.prediction.expected_share import most_flagged
from deepcr_lightning.prediction.summary import Row
from deepcr_lightning.sights.sight import Sight
from deepcr_lightning.sights.star_widths import CHANCE, Stars

_LEEWAY = 1.1
_STARS_FLAGGED, _FEWEST_FLAGGED = 0.05, 3
_SOME = 0.01


def unlike_training(sight: Sight, row: Row, trained_on: DataCard) -> list[str]:
    """Say what in an exposure its network was not trained on, each with its cure.

    Parameters
    ----------
    sight : Sight
    row : Row
        Its row of the summary.
    trained_on : DataCard
        What its network was trained on.

    Returns
    -------
    list of str
        Empty if nothing is odd.
    """
    found = []
    if sight.spectrum and trained_on.spectra < _SOME:
        found.append("it is a spectrum (a model trained on such spectra may do better)")
    if sight.trailed and trained_on.trailed < _SOME:
        found.append("its stars are trailed (raise threshold= if they are flagged, or fine-tune with init=)")
    if sight.at_floor:
        found.append(
            "its noise is too small to measure, as with coarse integers or wrong units (check units= and gain=)"
        )
    return found + _of_stars(sight.stars, trained_on.star_widths) + _of_pixels(row)


def _of_stars(stars: Stars, widths: tuple[float, float] | None) -> list[str]:
    found = []
    if widths is not None and stars.count:
        low, high = widths
        kind = "sharper" if stars.width * _LEEWAY < low else "broader" if stars.width > _LEEWAY * high else ""
        if kind:
            found.append(
                f"its stars are {stars.width:.1f} pixels wide, {kind} than those of the training, {low:g} to {high:g} "
                "(fine-tune on such exposures, or take another model)"
            )
    # CRs that pass for stars are flagged, and rightly.
    if stars.flagged >= max(_FEWEST_FLAGGED, _STARS_FLAGGED * stars.count + CHANCE * stars.peaks):
        found.append(f"{stars.flagged} of {counted(stars.count, 'star')} are flagged (raise threshold=, or fine-tune)")
    return found


def _of_pixels(row: Row) -> list[str]:
    most = most_flagged(row.expected, row.cr_time)
    if not row.flagged > most:
        return []
    known = row.expected > 0
    beside = f"{100 * row.expected:.2g} % are expected" if known else f"at most {100 * most:.2g} % can be"
    return [
        f"{100 * row.flagged:.2g} % of its pixels are flagged where {beside} (raise threshold=, or take another model)"
    ]
