"""A FITS file opened, unpacked if need be, and seen to be whole and no trap."""

from __future__ import annotations

import gzip
import io
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from astropy.io import fits

from deepcr_lightning.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
FITS_BLOCK = 2880
_EXTENSION = b"XTENSION="
_PACKED = ((1 << 28, 50), (1 << 30, 10))
"""Bytes from which on it is looked at how far a file is packed, and how far pixels of a camera are at most."""
_STEP = 1 << 24
_CARD = 80
_MOST_CARDS, _MOST_EXTENSIONS, _MOST_AXES = 100_000, 10_000, 999
_COUNTS = ("NAXIS", "ZNAXIS", "TFIELDS")
_STRUCTURE = (*_COUNTS, "BITPIX", "PCOUNT", "GCOUNT")
_SCALE = ("BZERO", "BSCALE")
"""What the numbers of a file are multiplied by, and what is added to them."""
_BYTES_A_PIXEL = 16
"""What a pixel takes in memory, at least, while its image is searched."""


def opened(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if it is gzip by its first bytes.

    Parameters
    ----------
    path : Path

    Returns
    -------
    binary file

    Raises
    ------
    InputError
        If it is no file, such as a pipe or a device, or unpacks to far more than a FITS file can.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is a folder, a pipe or a device, not a file; give a FITS file")
    # What lies elsewhere comes over in one piece, not in many small ones.
    file = path.open("rb") if isinstance(path, Path) else io.BytesIO(path.read_bytes())
    if file.read(2) != GZIP_MAGIC:
        file.seek(0)
        return file
    with file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        unpacked = io.BytesIO()
        with gzip.GzipFile(fileobj=file) as packed:
            while block := packed.read(_STEP):
                _refuse_bomb(path, unpacked.write(block) and unpacked.tell(), size)
        unpacked.seek(0)
        return unpacked


@contextmanager
def open_fits(path: Path, **settings: Any) -> Iterator[tuple[fits.HDUList, BinaryIO]]:
    """Open a FITS file that somebody else may have made.

    Headers that would keep astropy busy for ever are refused, and those that do not say what the numbers stand for.

    Parameters
    ----------
    path : Path
        The file, or its address.
    **settings
        Further ones of `astropy.io.fits.open`.

    Yields
    ------
    hdus : fits.HDUList
        Open while the block runs.
    data : binary file
        What they are read from.

    Raises
    ------
    InputError
        As `opened`; or if a header is longer, or has more axes or columns, than any of an exposure, there are too many
        of them, or BZERO or BSCALE is no number that makes sense.
    """
    with opened(path) as data:
        for number, (cards, numbers, unscaled, size) in enumerate(_headers(data)):
            most = max((numbers.get(key, 0) for key in _COUNTS), default=0)
            if number > _MOST_EXTENSIONS:
                raise InputError(
                    f"{path}: has more than {_MOST_EXTENSIONS} extensions; copy the image into a file of its own"
                )
            if cards > _MOST_CARDS or most > _MOST_AXES:
                what = f"{cards} cards" if cards > _MOST_CARDS else f"{most} axes or columns"
                raise InputError(f"{path}: the header of extension {number} has {what}; the file is damaged")
            if size < 0:  # astropy would go back by it, and read the same header for ever
                raise InputError(f"{path}: extension {number} has a size below 0; the file is damaged")
            if unscaled:  # astropy would leave it out without a word, or trip over it
                raise InputError(
                    f"{path}: {unscaled} of extension {number} is no number to scale pixels by, so that they have no "
                    "values; the file is damaged"
                )
        data.seek(0)
        with fits.open(data, memmap=False, **settings) as hdus:
            yield hdus, data


def primary_header(path: Path) -> fits.Header:
    """Read the primary header of a file; raises as `open_fits` and astropy do."""
    with open_fits(path) as (hdus, _):
        return hdus[0].header


def _headers(data: BinaryIO) -> Iterator[tuple[int, dict[str, int], str, int]]:
    """Go from header to header, up to one that is no header.

    Given of each are the number of its cards, its structural keywords, that of `_SCALE` which is no number, if any, and
    the bytes of what follows it.
    """
    place = 0
    while True:
        data.seek(place)
        cards, numbers, unscaled, ended = 0, dict[str, int](), "", False
        while not ended and cards <= _MOST_CARDS:
            block = data.read(FITS_BLOCK)
            if len(block) < FITS_BLOCK or (not cards and block[:8] not in (b"SIMPLE  ", b"XTENSION")):
                break
            for start in range(0, FITS_BLOCK, _CARD):
                card = block[start : start + _CARD]
                key = card[:8].rstrip().decode("latin1")
                ended = ended or key == "END"
                if key in _SCALE and not ended and not _scales(key, card):
                    unscaled = key
                if key in _STRUCTURE or key.startswith("NAXIS"):
                    with suppress(ValueError, OverflowError):
                        numbers[key] = int(float(card[10:].partition(b"/")[0]))
            cards += FITS_BLOCK // _CARD
        axes = [numbers.get(f"NAXIS{n + 1}", 0) for n in range(min(numbers.get("NAXIS", 0), _MOST_AXES))]
        pixels = math.prod(axes) if axes else 0
        size = abs(numbers.get("BITPIX", 8)) // 8 * numbers.get("GCOUNT", 1) * (numbers.get("PCOUNT", 0) + pixels)
        if cards:
            yield cards, numbers, unscaled, size
        if not ended or size < 0:
            return
        place = data.tell() + -(-size // FITS_BLOCK) * FITS_BLOCK


def _scales(key: str, card: bytes) -> bool:
    try:
        value = float(card[10:].partition(b"/")[0].replace(b"D", b"E").replace(b"d", b"e"))
    except ValueError:
        return False
    return card[8:10] == b"= " and math.isfinite(value) and (key == "BZERO" or value != 0)


def refuse_large(path: Path, data: BinaryIO, images: Iterable[fits.ImageHDU]) -> None:
    """Raise if the images of a file cannot be those of its bytes, or would not fit into the memory.

    Parameters
    ----------
    path : Path
        For messages.
    data : binary file
        What they are read from.
    images : iterable of fits.ImageHDU
        The images that are to be read; their headers alone are looked at.

    Raises
    ------
    InputError
        If they are too large.
    """
    pixels = size = 0
    for image in images:
        count = math.prod(map(int, image.shape))
        pixels += count
        size += count * abs(int(image.header.get("BITPIX", 8))) // 8
    _refuse_bomb(path, size, data.seek(0, io.SEEK_END))
    if not hasattr(os, "sysconf"):  # on Windows
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if pixels * _BYTES_A_PIXEL > memory:
        raise InputError(
            f"{path}: its {pixels / 1e6:.0f} million pixels need {pixels * _BYTES_A_PIXEL / 1e9:.0f} GB of memory, but "
            f"this machine has {memory / 1e9:.0f} GB; cut it, or choose some of its extensions with extensions="
        )


def _refuse_bomb(path: Path, size: int, packed: int) -> None:
    if any(size > large and size > times * packed for large, times in _PACKED):
        raise InputError(
            f"{path}: {packed / 1e6:.3g} MB that expand to {size / 1e6:.0f} MB or more, unlike any image; "
            "decompress it yourself if you trust its source"
        )


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
    if last is None:  # astropy 7.0 does not know where a tile-compressed image lies, but where its table does
        data.seek(0)
        tables = fits.open(data, memmap=False, disable_image_compression=True)
        last = tables[len(hdus) - 1].fileinfo()
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
