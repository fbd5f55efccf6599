"""What in an exposure a network was not trained on, in words, with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepcr_lightning.console.counts import counted
from deepcr_lightning.exposures.sight import Sight
from deepcr_lightning.exposures.star_widths import CHANCE, Stars
from deepcr_lightning.prediction.expected_share import most_flagged
from deepcr_lightning.prediction.summary import Row

_LEEWAY = 1.1
_STARS_FLAGGED, _FEWEST_FLAGGED = 0.05, 3
_SOME = 0.01


@dataclass(frozen=True)
class Seen:
    """What the exposures looked like that a network was trained on.

    Attributes
    ----------
    star_widths : (float, float) or None
        FWHM in pixels of the narrowest and the widest stars; None where nobody measured them.
    spectra, trailed : float
        Share of the exposures that were spectra, and images of trailed stars.
    """

    star_widths: tuple[float, float] | None = None
    spectra: float = 0.0
    trailed: float = 0.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Seen:
        """Read it from what a checkpoint keeps of its data; older ones say nothing of it."""
        widths = data.get("star_widths")
        return cls(widths and (widths[0], widths[1]), data.get("spectra", 0.0), data.get("trailed", 0.0))


def unlike_training(sight: Sight, row: Row, seen: Seen) -> list[str]:
    """Say what in an exposure its network was not trained on, each with its cure.

    Parameters
    ----------
    sight : Sight
    row : Row
        Its row of the summary.
    seen : Seen

    Returns
    -------
    list of str
        Empty if nothing is odd.
    """
    found = []
    if sight.spectrum and seen.spectra < _SOME:
        found.append("it is a spectrum (look at its mask; a model trained on such spectra may do better)")
    if sight.trailed and seen.trailed < _SOME:
        found.append(
            "its stars are trailed (look at its mask; raise threshold= if they are flagged, or fine-tune with init=)"
        )
    if sight.at_floor:
        found.append(
            "its noise is too small to measure, as of coarse integers or of wrong units (look at its mask; check "
            "units= and gain=)"
        )
    return found + _of_stars(sight.stars, seen.star_widths) + _of_pixels(row)


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
