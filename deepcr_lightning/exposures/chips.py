"""Which extensions of a FITS file are its chips, and which DQ belongs to each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import as_number
from deepcr_lightning.exposures.remarks import remark

_COMPANION = re.compile(
    r"(.*[_. -])?(MASK|BPM|WEIGHT|WHT|WT|IN?V(VAR)?|IVAR|DQ|FLAGS?|QUALITY|VAR(IANCE)?|ERR(OR)?|UNCERT(AINTY)?|RMS|"
    r"SIGMA|STD(DEV)?|CTX|CON|COVERAGE|EXPMAP|BKG|BACKGROUND|PSF|SEG(MENTATION|MAP)?|CRMASK|CRPROB|CRTRUTH|IGNORE|"
    r"CRCHARGE)([_. -]?\d+)?"
)
_NUMBERED = re.compile(r".*\d+\D?")


@dataclass(frozen=True)
class ChipPlace:
    """Where a chip stands in its file.

    Attributes
    ----------
    image : int
        Number of the HDU of its image, from 0.
    dq : int or None
        Number of the HDU of its DQ.
    extver : int
        Its EXTVER, or its place among the chips of a file whose extensions have none of their own.
    """

    image: int
    dq: int | None
    extver: int


def find_chips(path: Path, hdus: fits.HDUList, wanted: Sequence[str | int] | None = None) -> list[ChipPlace]:
    """Find the chips of an open file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    hdus : fits.HDUList
    wanted : sequence of str or int, optional
        Names or numbers (from 0, the primary one) of the extensions to take.

    Returns
    -------
    list of ChipPlace
        All extensions named SCI, with the DQ of the same EXTVER. In other files the first image that is none of masks,
        weights, errors and the like, and if it is one of several chips (without a name, with a number in its
        name, or with a name that others have too) these as well; what is left is named in a remark. Empty where there
        is none.

    Raises
    ------
    InputError
        If an extension that is wanted is not there or is no image.
    """
    flat = [number for number, hdu in enumerate(hdus) if is_flat(hdu)]
    if wanted is not None:
        images = _wanted(path, hdus, flat, wanted)
    else:
        images = [number for number in flat if hdus[number].name == "SCI"] or _mosaic(hdus, flat)
        _say_unread(path, hdus, flat, images)
    versions = [int(hdus[number].ver) for number in images]
    distinct = len(set(versions)) == len(versions)
    places = []
    quality = [number for number, hdu in enumerate(hdus) if hdu.name == "DQ" and (is_flat(hdu) or is_null(hdu))]
    for order, number in enumerate(images):
        dq = None
        if hdus[number].name == "SCI" and distinct:
            dq = next((place for place in quality if hdus[place].ver == hdus[number].ver), None)
        elif hdus[number].name == "SCI" and len(quality) == len(images):
            dq = quality[order]
        places.append(ChipPlace(number, dq, versions[order] if distinct and min(versions) > 0 else order + 1))
    lone = [label(hdus[place.image], place.image) for place in places if place.dq is None]
    if lone and any(hdu.name == "DQ" for hdu in hdus):
        remark(path.name, f"{', '.join(lone)} has no DQ array with its EXTVER, so its bad pixels are unknown")
    return places


def cubes_of(hdus: fits.HDUList) -> list[int]:
    """List the HDUs that are images with more than two axes, so that they are not read, by number."""
    images = (number for number, hdu in enumerate(hdus) if hdu.is_image and not is_flat(hdu))
    return [number for number in images if hdus[number].header.get("NAXIS", 0) > 2]


def is_flat(hdu: fits.ImageHDU) -> bool:
    """Tell whether an HDU is an image with two axes, or with more of which only two are longer than 1."""
    if not hdu.is_image:
        return False
    # Asking the header would make astropy understand all its cards, in each of a dozen extensions.
    axes = hdu.shape
    return len(axes) >= 2 and min(axes[-2:]) > 0 and all(length == 1 for length in axes[:-2])


def is_null(hdu: fits.ImageHDU) -> bool:
    """Tell whether an HDU is a null array of HST, which stands for an image of one value (PIXVALUE)."""
    return bool(hdu.is_image and hdu.header.get("NAXIS") == 0)


def plane(hdu: fits.ImageHDU) -> NDArray:
    """Give the image of an HDU with its two axes, as a view."""
    return hdu.data.reshape(hdu.data.shape[-2:])


def dq_plane(where: str, hdu: fits.ImageHDU, shape: tuple[int, int]) -> NDArray:
    """Give the DQ of a chip, which may be a null array.

    Parameters
    ----------
    where : str
        File and extension, for messages.
    hdu : fits.ImageHDU
    shape : (int, int)
        That of its image.

    Returns
    -------
    ndarray of int, shape (H, W)

    Raises
    ------
    InputError
        If it is of another shape.
    """
    if is_null(hdu):
        rows, columns = (as_number(hdu.header.get(f"NPIX{2 - axis}", length)) for axis, length in enumerate(shape))
        value = int(as_number(hdu.header.get("PIXVALUE")) or 0)
        values = np.full(shape, value, np.promote_types(np.int16, np.min_scalar_type(value)))
        found = (int(rows or 0), int(columns or 0))
    else:
        values = plane(hdu)
        found = values.shape
    if found != shape:
        raise InputError(f"{where}: DQ has shape {found} and its image {shape}; the file is damaged")
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        raise InputError(
            f"{where}: DQ contains NaN or fractions, which are not bits; remove it or convert it to integers"
        )
    return values


def label(hdu: fits.ImageHDU, number: int) -> str:
    """Name an extension for a message: by its EXTNAME, or by its number."""
    return f"{hdu.name},{hdu.ver}" if int(hdu.ver) > 1 and hdu.name else hdu.name or f"extension {number}"


def _say_unread(path: Path, hdus: fits.HDUList, flat: Sequence[int], images: Sequence[int]) -> None:
    """Name the images of a file that are none of its chips; those of files with SCI belong to these, but for cubes."""
    if not images:
        return
    others = [number for number in flat if number not in images] if hdus[images[0]].name != "SCI" else []
    read = ", ".join(label(hdus[number], number) for number in images)
    if others:
        unread = ", ".join(label(hdus[number], number) for number in others)
        remark(path.name, f"{read} is read, {unread} is not; choose others with extensions=")
    cubes = [label(hdus[number], number) for number in cubes_of(hdus) if not _COMPANION.fullmatch(hdus[number].name)]
    if cubes:
        remark(path.name, f"{read} is read, {', '.join(cubes)} is not, because it has more than two axes")


def _mosaic(hdus: fits.HDUList, flat: Sequence[int]) -> list[int]:
    images = [number for number in flat if not _COMPANION.fullmatch(hdus[number].name)]
    if not images or hdus[images[0]].name == "PRIMARY":
        return images[:1]
    first = hdus[images[0]].name
    if first and not _NUMBERED.fullmatch(first):
        return [number for number in images if hdus[number].name == first]
    return [number for number in images if not hdus[number].name or _NUMBERED.fullmatch(hdus[number].name)]


def _wanted(path: Path, hdus: fits.HDUList, flat: Sequence[int], wanted: Sequence[str | int]) -> list[int]:
    chosen: list[int] = []
    for name in wanted:
        plain = str(name).strip()
        digits = plain.isdigit()
        found = [n for n, hdu in enumerate(hdus) if (n == int(plain) if digits else hdu.name == plain.upper())]
        images = [number for number in found if number in flat]
        if not images:
            what = "is no 2-D image" if found else "is not there"
            there = ", ".join(label(hdus[number], number) for number in flat) or "none"
            raise InputError(f"{path}: extension {plain} {what}; extensions= takes names or numbers, here {there}")
        chosen += [number for number in images if number not in chosen]
    return chosen
