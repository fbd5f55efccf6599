"""What headers tell of an exposure before anybody reads its pixels."""

from __future__ import annotations

from pathlib import Path

from deepcr_lightning.exposures.cards import filter_of, sound
from deepcr_lightning.exposures.chips import find_chips
from deepcr_lightning.exposures.layout import open_fits


def filter_in(path: Path) -> str | None:
    """Read the filter of an exposure from its headers.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str or None
        As `exposure.Exposure.filter`; None of a file that cannot be read, which reading it will say.
    """
    try:
        with open_fits(path) as (hdus, _):
            headers = [hdus[0].header, hdus[find_chips(path, hdus)[0].image].header]
            return filter_of([sound(path.name, header)[0] for header in headers])
    except Exception:  # astropy raises a dozen kinds for damaged files; reading the file says what is wrong with it
        return None
