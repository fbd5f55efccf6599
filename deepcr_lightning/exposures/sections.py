"""Overscan: the part of a raw image that saw no light, by the sections that its header names."""

from __future__ import annotations

import re

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.remarks import remark

_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")
LIGHT, DARK = ("DATASEC", "TRIMSEC"), ("BIASSEC",)


def overscan(where: str, header: fits.Header, shape: tuple[int, int], trim: bool) -> NDArray[np.bool_]:
    """Find the pixels that saw no light.

    Parameters
    ----------
    where : str
        File and extension, for messages.
    header : fits.Header
        Header of the image: DATASEC or else TRIMSEC is the part that saw light, BIASSEC one that did not, as
        ``[first column:last column,first row:last row]`` from 1.
    shape : (int, int)
        Rows and columns of the image.
    trim : bool
        Whether the user wants them left out. Where not, a remark says that they are there.

    Returns
    -------
    ndarray of bool, shape (H, W)
        None at all if `trim` is false.

    Raises
    ------
    InputError
        If they are to be left out and no section says where they are, or one lies outside the image.
    """
    dark = np.zeros(shape, bool)
    sections = {key: _SECTION.fullmatch(str(header.get(key, "")).strip()) for key in (*LIGHT, *DARK)}
    light = next((key for key in LIGHT if sections[key]), None)
    told = [key for key in (light, *DARK) if key and sections[key]]
    if trim and not told:
        raise InputError(f"{where}: has no DATASEC, TRIMSEC or BIASSEC to trim by; omit trim=")
    for key in told:
        match = sections[key]
        assert match is not None
        x1, x2, y1, y2 = (int(value) for value in match.groups())
        (left, right), (bottom, top) = sorted((x1, x2)), sorted((y1, y2))
        if min(left, bottom) < 1 or right > shape[1] or top > shape[0]:
            if not trim:
                continue  # of the raw image, of which this one is a part
            raise InputError(f"{where}: {key} {match[0]} lies outside its {shape[1]} x {shape[0]} pixels")
        inside = np.zeros(shape, bool)
        inside[bottom - 1 : top, left - 1 : right] = True
        dark |= ~inside if key in LIGHT else inside
    if trim:
        return dark
    if dark.any():
        remark(
            where,
            f"overscan ({' and '.join(told)}) is searched like the rest; exclude it with trim=true",
        )
    return np.zeros(shape, bool)
