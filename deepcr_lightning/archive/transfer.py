"""One file from the archive: whole, checked, and gone on with where it was cut off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import numpy as np
from filelock import FileLock

from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.sources import BrokenError, Source, StoppedError
from deepcr_lightning.atomic import sync, sync_name, write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.layout import FITS_BLOCK, check_whole, open_fits

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
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); the part received is kept") from error


def take_place(fresh: Path, path: Path) -> None:
    """Move a file that came whole over an old one.

    Parameters
    ----------
    fresh : Path
        The new file, beside the old one.
    path : Path
        The old file.

    Raises
    ------
    InputError
        If it cannot be moved.
    """
    try:
        fresh.replace(path)
        sync_name(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); {fresh} is whole") from error


def tidy_up(path: Path) -> None:
    """Remove what a process that was killed has left beside a file that came whole."""
    with suppress(OSError):  # a disk that lets nothing be removed; the file is there
        for ending in ("part", "version", "lock"):
            path.with_name(f".{path.name}.{ending}").unlink(missing_ok=True)


def fault(path: Path, summed: bool = False) -> str:
    """Say what is wrong with a FITS file.

    Parameters
    ----------
    path : Path
    summed : bool
        Whether it is wrong that an extension with data has no DATASUM.

    Returns
    -------
    str
        Empty if it ends where its last extension does and every extension with a DATASUM has the data that it sums.
    """
    try:
        # The archive fills the last block of its files, as the standard wants.
        if path.stat().st_size % FITS_BLOCK:
            return f"its {path.stat().st_size} bytes are not a multiple of {FITS_BLOCK}"
        with open_fits(path, disable_image_compression=True) as (hdus, data):
            check_whole(hdus, data)
            for number, hdu in enumerate(hdus):
                place = hdu.fileinfo()
                data.seek(place["datLoc"])
                said = str(hdu.header.get("DATASUM", "")).strip()
                if summed and place["datSpan"] and not said.isdigit():
                    return f"extension {number} has no DATASUM"
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
    part = _Part(path)
    resumed = _fetch(product, part, source, arrived, stop)
    size = part.size()
    # Of a file without a version only its sums can tell that both parts are of one and the same.
    reason = fault(part.data, summed=resumed and not part.version()[1])
    if not reason:
        part.become(path)
        if product.size > 0 and size != product.size:
            log.warning(
                "%s: has %d bytes, but the archive lists %d; it is a complete FITS file", path, size, product.size
            )
        return
    part.data.unlink()
    if not (resumed and again):
        raise InputError(f"{product.name}: the archive sent a damaged FITS file ({reason}); try again later")
    log.warning("%s: is not a complete FITS file after resuming (%s); fetching it again", product.name, reason)
    _fetch_whole(product, path, source, arrived, stop, again=False)


def _fetch(product: Product, part: _Part, source: Source, arrived: Callable[[int], object], stop: Event) -> bool:
    resumed, failures = False, 0
    while True:
        before = part.size()
        try:
            return _receive(product, part, source, arrived, stop) or resumed
        except BrokenError as error:
            gained = part.size() > before
            resumed, failures = resumed or gained, 0 if gained else failures + 1
            if failures >= _TRIES:
                broke = f"{product.name}: the connection was lost {failures} times ({error})"
                raise InputError(f"{broke}; run the same command again to resume") from error
            log.info("%s: the connection was lost (%s); resuming", product.name, error)
            if stop.wait(_PAUSE * 2**failures):
                raise StoppedError from None


def _receive(product: Product, part: _Part, source: Source, arrived: Callable[[int], object], stop: Event) -> bool:
    total, version = part.version()
    there = part.size() if total is not None else 0
    with source(product, there, version) as stream:
        if stream.start not in (0, there) or (stream.start and stream.total != total):
            part.data.unlink()
            raise BrokenError("the archive now has another version")
        with part.data.open("ab" if stream.start else "wb") as file:
            if not stream.start:
                # After the bytes of another version are gone, before the first of this one.
                part.note(stream.total, stream.version)
            arrived(file.tell())
            for block in stream.blocks:
                if stop.is_set():
                    raise StoppedError
                file.write(block)
                arrived(file.tell())
        if stream.total is not None and part.size() < stream.total:
            raise BrokenError(f"{part.size()} of {stream.total} bytes came")
        return stream.start > 0


class _Part:
    """What has come of a file, and of which version of it."""

    def __init__(self, path: Path) -> None:
        self.data, self._note = (path.with_name(f".{path.name}.{ending}") for ending in ("part", "version"))

    def size(self) -> int:
        return self.data.stat().st_size if self.data.exists() else 0

    def version(self) -> tuple[int | None, str]:
        """Bytes of the whole file, None if not known or nothing has come, and the source's name for its version."""
        total, _, version = self._note.read_text().partition("\n") if self._note.exists() else ("", "", "")
        return int(total) if total.isdigit() else None, version

    def note(self, total: int | None, version: str) -> None:
        text = f"{'' if total is None else total}\n{version}"
        write_atomically(self._note, lambda partial: partial.write_text(text))

    def become(self, path: Path) -> None:
        sync(self.data)
        self.data.replace(path)
        sync_name(path)
        self._note.unlink(missing_ok=True)
