"""Where things stand in a FITS file: its chips, their DQ, and what its headers say."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits

GZIP_MAGIC = b"\x1f\x8b"
FITS_BLOCK = 2880


def opened(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if it is gzip by its first bytes.

    Parameters
    ----------
    path : Path

    Returns
    -------
    binary file
    """
    # What lies elsewhere comes over in one piece, not in many small ones.
    file = path.open("rb") if isinstance(path, Path) else io.BytesIO(path.read_bytes())
    if file.read(2) != GZIP_MAGIC:
        file.seek(0)
        return file
    with file:
        file.seek(0)
        return io.BytesIO(gzip.decompress(file.read()))


def check_whole(hdus: fits.HDUList, data: BinaryIO) -> None:
    """See that a file ends where its last extension does.

    Parameters
    ----------
    hdus : fits.HDUList
    data : binary file
        What they were read from.

    Raises
    ------
    OSError
        If it was cut, or something that is no extension follows.
    """
    # astropy stops at the first header that it cannot read: a file cut between its chips would pass for a
    # file of fewer chips, or of chips without DQ. NEXTEND is no help, archive files carry stale ones.
    last = hdus[len(hdus) - 1].fileinfo()
    end = last["datLoc"] + last["datSpan"]
    size = data.seek(0, io.SEEK_END)
    data.seek(end)
    # Some programs leave the last block unfilled, or add empty ones.
    # A file cut in the padding of an early extension looks like that, too, but its header promises more of them.
    promised = hdus[0].header.get("NEXTEND", 0)
    cut = size < end and isinstance(promised, int) and promised > len(hdus) - 1
    if cut or size <= end - FITS_BLOCK or data.read().strip(b"\0"):
        raise OSError(f"byte {size} is not the end of an extension")


def science_images(hdus: fits.HDUList) -> list[fits.ImageHDU]:
    """Find the image HDUs of an open file that hold its chips.

    Parameters
    ----------
    hdus : fits.HDUList

    Returns
    -------
    list of fits.ImageHDU
        All named SCI, else the first with two axes; empty where there is none.
    """
    flat = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2]
    return [hdu for hdu in flat if hdu.name == "SCI"] or flat[:1]


def dq_image(hdus: fits.HDUList, image: fits.ImageHDU) -> fits.ImageHDU | None:
    """Find the DQ HDU that belongs to a SCI HDU.

    Parameters
    ----------
    hdus : fits.HDUList
    image : fits.ImageHDU
        One of `science_images`.

    Returns
    -------
    fits.ImageHDU or None
        None where there is none or it is empty.
    """
    if image.name != "SCI" or ("DQ", image.ver) not in hdus:
        return None
    hdu = hdus["DQ", image.ver]
    return hdu if hdu.header.get("NAXIS") == 2 else None


def text(header: fits.Header, key: str) -> str:
    """Read a text card, upper case; ``"NONE"`` where the header is silent.

    Parameters
    ----------
    header : fits.Header
    key : str

    Returns
    -------
    str
    """
    value = header.get(key)
    return str(value).strip().upper() if isinstance(value, str) and value.strip() else "NONE"


def number(headers: Sequence[fits.Header], *keys: str) -> float:
    """Read the first finite number that any of some headers holds under any of some keys.

    Parameters
    ----------
    headers : sequence of fits.Header
    *keys : str
        The first key counts most.

    Returns
    -------
    float
        0 where there is none.
    """
    values = [header[key] for key in keys for header in headers if key in header]
    return next((float(v) for v in values if isinstance(v, int | float) and np.isfinite(v)), 0.0)


def binning_of(headers: Sequence[fits.Header]) -> str:
    """Read how many detector pixels make one of the image.

    Parameters
    ----------
    headers : sequence of fits.Header

    Returns
    -------
    str
        Such as ``"2x1"``, columns first, from BINAXIS1 and BINAXIS2, XBINNING and YBINNING, or CCDSUM; ``"1x1"``
        where there is none.
    """
    sums = next((str(header["CCDSUM"]).split() for header in headers if "CCDSUM" in header), [])
    if len(sums) == 2 and all(value.isdigit() for value in sums):
        return "x".join(sums)
    across, down = number(headers, "BINAXIS1", "XBINNING"), number(headers, "BINAXIS2", "YBINNING")
    return f"{across or 1:g}x{down or 1:g}"


def filter_of(header: fits.Header) -> str:
    """Read the filter: FILTER, or the one of FILTER1 and FILTER2 that is not clear.

    Parameters
    ----------
    header : fits.Header

    Returns
    -------
    str
        Upper case; ``"NONE"`` where there is none.
    """
    names = [text(header, key) for key in ("FILTER", "FILTER1", "FILTER2")]
    named = [name for name in names if name != "NONE" and not name.startswith("CLEAR")]
    return named[0] if named else "NONE"
