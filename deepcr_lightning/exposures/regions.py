"""Cosmic rays as region files of SAOImage DS9."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.exposures.cards import in_ascii
from deepcr_lightning.exposures.exposure import Chip, Exposure

_CORNERS = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
_SYSTEMS = {"ICRS": "icrs", "FK5": "fk5", "FK4": "fk4"}


def event_outlines(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """Draw a line around each group of connected pixels.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        Pixels that touch with a side or a corner are connected.

    Yields
    ------
    ndarray of float64, shape (K, 2)
        x and y of the corners of the smallest convex polygon around the pixels of a group, the centre of the first
        pixel at (0, 0).
    """
    groups, _ = ndimage.label(mask, np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        rows, columns = np.nonzero(groups[box] == number)
        centres = np.stack([columns + box[1].start, rows + box[0].start], axis=1)
        corners = (centres[:, None] + _CORNERS).reshape(-1, 2)
        yield corners[ConvexHull(corners).vertices]


def write_regions(path: Path, exposure: Exposure, masks: Sequence[NDArray[np.bool_]]) -> None:
    """Write a region file: a polygon an event, tagged with its chip.

    Parameters
    ----------
    path : Path
    exposure : Exposure
    masks : sequence of ndarray of bool, shape (H, W)
        One a chip.

    Raises
    ------
    InputError
        If the file cannot be written.

    Notes
    -----
    Where every chip has a celestial WCS the polygons are on the sky, so that one file suits each chip, a mosaic of
    them, and images made of them; otherwise they are in pixels of the chip. Look-up tables of distortions are not
    applied, as DS9 does not apply them either.
    """
    skies = [_sky(chip) for chip in exposure.chips]
    system = skies[0][1] if skies[0] is not None and all(skies) else "image"
    lines = [
        "# Region file format: DS9 version 4.1",
        f"# cosmic rays of {in_ascii(exposure.path.name)}",
        "global color=red",
    ]
    lines.append(system)
    for chip, mask, sky in zip(exposure.chips, masks, skies, strict=True):
        outlines = list(event_outlines(mask))
        places = np.concatenate([*outlines, np.zeros((0, 2))])
        places = places + 1 if system == "image" or sky is None else sky[0].all_pix2world(places, 0)
        digits = 2 if system == "image" else 8
        ends = np.cumsum([0, *map(len, outlines)])
        for start, stop in pairwise(ends):
            corners = ",".join(f"{value:.{digits}f}" for value in places[start:stop].ravel())
            lines.append(f"polygon({corners}) # tag={{SCI,{chip.extver}}}")
    write_atomically(path, lambda partial: partial.write_text("\n".join(lines) + "\n", encoding="utf-8"))


def _sky(chip: Chip) -> tuple[WCS, str] | None:
    if "CTYPE1" not in chip.wcs:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dates written in an old way
        try:
            wcs = WCS(chip.wcs)
        except Exception:  # wcslib raises a dozen kinds; a mask needs no WCS, and neither do its regions
            return None
    equatorial = _SYSTEMS.get(wcs.wcs.radesys.strip() or "ICRS")
    system = {"RA": equatorial, "GLON": "galactic"}.get(wcs.wcs.lngtyp.strip())
    return (wcs, system) if wcs.has_celestial and wcs.naxis == 2 and system else None
