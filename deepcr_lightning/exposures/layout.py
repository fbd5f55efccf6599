"""A FITS file opened, unpacked if need be, and seen to be whole."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import BinaryIO

from astropy.io import fits

GZIP_MAGIC = b"\x1f\x8b"
FITS_BLOCK = 2880
_EXTENSION = b"XTENSION="


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


def check_whole(hdus: fits.HDUList, data: BinaryIO) -> int:
    """See that a file is not cut.

    Parameters
    ----------
    hdus : fits.HDUList
    data : binary file
        What they were read from.

    Returns
    -------
    int
        Number of bytes after its last extension, 0 if they are all zero: no part of a FITS file, and none is missing.

    Raises
    ------
    OSError
        If it was cut, or what follows is an extension that cannot be read.
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
    short = isinstance(promised, int) and promised > len(hdus) - 1
    rest = data.read().strip(b"\0")
    # An extension whose header was cut or damaged stands here, or before others that stand here.
    extension = _EXTENSION in rest or (bool(rest) and _EXTENSION.startswith(rest[: len(_EXTENSION)]))
    if size <= end - FITS_BLOCK or (size < end and short) or (rest and (short or extension)):
        raise OSError(f"byte {size} is not the end of an extension")
    return size - end if rest else 0
