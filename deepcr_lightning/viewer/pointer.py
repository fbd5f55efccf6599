"""What is under the pointer, in words."""

from __future__ import annotations

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs.utils import pixel_to_skycoord

from deepcr_lightning.viewer.opened import OpenExposure

NOTHING = "&nbsp;"


def pixel_at(opened: OpenExposure, chip: int, x: float | None, y: float | None) -> tuple[int, int] | None:
    """Find the row and the column of a place.

    Parameters
    ----------
    opened : OpenExposure
    chip : int
        Place of the chip.
    x, y : float or None
        In pixels, the centre of the first one at 1.

    Returns
    -------
    (int, int) or None
        None outside the chip.
    """
    if x is None or y is None:
        return None
    rows, columns = opened.exposure.chips[chip].electrons.shape
    row, column = round(y) - 1, round(x) - 1
    return (row, column) if 0 <= row < rows and 0 <= column < columns else None


def readout(opened: OpenExposure, chip: int, x: float | None, y: float | None) -> str:
    """Say what is under the pointer.

    Parameters
    ----------
    opened, chip, x, y
        As in `pixel_at`.

    Returns
    -------
    str
        HTML: pixel, electrons, probability, whether it is flagged, DQ where it makes the pixel unusable, and
        coordinates on the sky where there is a WCS.
    """
    place = pixel_at(opened, chip, x, y)
    if place is None:
        return NOTHING
    row, column = place
    of = opened.exposure.chips[chip]
    parts = [f"x {column + 1}, y {row + 1}", f"{of.electrons[row, column]:.1f} e"]
    if opened.maps is not None:
        parts.append(f"probability {opened.maps[chip][row, column]:.4f}")
    parts.append("flagged" if opened.flags(chip, row, column) else "not flagged")
    if of.unusable[row, column]:
        parts.append(f"unusable, DQ {of.dq[row, column]}")
    if of.extver in opened.pointings:
        sky: SkyCoord = pixel_to_skycoord(column, row, opened.pointings[of.extver])
        longitude, latitude = sky.spherical.lon.to_value(u.deg), sky.spherical.lat.to_value(u.deg)
        parts.append(f"{longitude:.6f} {latitude:+.6f} {sky.frame.name}")
    return " &nbsp; ".join(parts)
