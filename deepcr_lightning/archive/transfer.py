"""One file from the archive: whole, checked, and gone on with where it was cut off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
from astropy.io import fits
from filelock import FileLock

from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.sources import BrokenError, Source, StoppedError
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.atomic import write_atomically
from deepcr_lightning.exposures.layout import FITS_BLOCK, check_whole

log = logging.getLogger(__name__)

_TRIES = 4
"""Times that a file is asked for without a byte more than the last time."""
_PAUSE = 1.0
"""Seconds before it is asked for again, then twice as long each time."""
_WORD = 2**32 - 1
"""Sums of the FITS standard are in ones' complement."""


def download(product: Product, path: Path, source: Source, arrived: Callable[[int], object], stop: Event) -> None:
    """Fetch a file, or the rest of it.

    What has come stands beside it as ``.NAME.part`` and becomes the file when it is whole. Processes that want the same
    file at once wait for one of them.

    Parameters
    ----------
    product : Product
    path : Path
        Where the file is to stand.
    source : Source
    arrived : callable
        Told how many bytes of the file there are.
    stop : Event
        Ends the download; what has come stays.

    Raises
    ------
    InputError
        If the source refuses it, the connection breaks again and again, what came is no whole FITS file, or it cannot
        be written.
    StoppedError
        If it was stopped.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if not path.exists():
                _fetch_whole(product, path, source, arrived, stop)
            # Whoever waited for it finds the file.
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); what came is kept") from error


def fault(path: Path) -> str:
    """Say what is wrong with a FITS file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        Empty if it ends where its last extension does and every extension with a DATASUM has the data that it sums.
    """
    try:
        # The archive fills the last block of its files, as the standard wants.
        if path.stat().st_size % FITS_BLOCK:
            return f"its {path.stat().st_size} bytes are no whole blocks of {FITS_BLOCK}"
        with path.open("rb") as data, fits.open(data, memmap=False, disable_image_compression=True) as hdus:
            check_whole(hdus, data)
            for number, hdu in enumerate(hdus):
                place = hdu.fileinfo()
                data.seek(place["datLoc"])
                said = str(hdu.header.get("DATASUM", "")).strip()
                if said.isdigit() and int(said) % _WORD != _sum(data.read(place["datSpan"])):
                    return f"the data of extension {number} are not those of its DATASUM"
    except Exception as error:  # astropy raises a dozen kinds for damaged files
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


def _sum(data: bytes) -> int:
    return int(np.frombuffer(data, ">u4").sum(dtype=np.uint64)) % _WORD


def _fetch_whole(
    product: Product, path: Path, source: Source, arrived: Callable[[int], object], stop: Event, again: bool = True
) -> None:
    part = path.with_name(f".{path.name}.part")
    version = path.with_name(f".{path.name}.version")
    resumed = _fetch(product, part, version, source, arrived, stop)
    reason = fault(part)
    size = part.stat().st_size
    if not reason:
        part.replace(path)
        version.unlink(missing_ok=True)
        if product.size > 0 and size != product.size:
            log.warning(
                "%s: has %d bytes, the archive's table says %d; it is a whole FITS file", path, size, product.size
            )
        return
    part.unlink()
    if not (resumed and again):
        raise InputError(f"{product.name}: what the archive sent is no whole FITS file ({reason}); try later")
    log.warning("%s: is no whole FITS file after going on with it (%s); fetching it anew", product.name, reason)
    _fetch_whole(product, path, source, arrived, stop, again=False)


def _fetch(
    product: Product, part: Path, version: Path, source: Source, arrived: Callable[[int], object], stop: Event
) -> bool:
    resumed, failures = False, 0
    while True:
        before = _size(part)
        try:
            return _receive(product, part, version, source, arrived, stop) or resumed
        except BrokenError as error:
            gained = _size(part) > before
            resumed, failures = resumed or gained, 0 if gained else failures + 1
            if failures >= _TRIES:
                raise InputError(
                    f"{product.name}: the connection broke {failures} times ({error}); try later"
                ) from error
            log.info("%s: the connection broke (%s); going on", product.name, error)
            if stop.wait(_PAUSE * 2**failures):
                raise StoppedError from None


def _receive(
    product: Product, part: Path, version: Path, source: Source, arrived: Callable[[int], object], stop: Event
) -> bool:
    known = version.read_text() if version.exists() else ""
    there = _size(part) if known else 0
    with source(product, there, known) as stream:
        if stream.start not in (0, there):
            raise BrokenError(f"asked for byte {there}, got byte {stream.start}")
        with part.open("ab" if stream.start else "wb") as file:
            if not stream.start:
                # After the bytes of another version are gone, before the first of this one.
                write_atomically(version, lambda partial: partial.write_text(stream.version))
            arrived(file.tell())
            for block in stream.blocks:
                if stop.is_set():
                    raise StoppedError
                file.write(block)
                arrived(file.tell())
        if stream.total is not None and _size(part) < stream.total:
            raise BrokenError(f"{_size(part)} of {stream.total} bytes came")
        return stream.start > 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
