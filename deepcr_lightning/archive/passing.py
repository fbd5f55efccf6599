"""Exposures of the archive that come when their turn is near, and go when they are done with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

from deepcr_lightning.archive.address import read_address
from deepcr_lightning.archive.download_record import Downloads
from deepcr_lightning.archive.download_selection import in_all, remembered, require_room
from deepcr_lightning.archive.fetch import fetch_one, place_of
from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.server import Archive
from deepcr_lightning.archive.sources import Source, source_of
from deepcr_lightning.atomic import remove_partials

log = logging.getLogger(__name__)

_AT_ONCE = 4
_PASSING = "passing"


class PassingExposures:
    """Exposures that addresses name, of which a few are on the disk at a time.

    Parameters
    ----------
    addresses : sequence of str
        As `archive.address.read_address` reads them.
    folder : Path
        For selections, files and ``download.csv``, shared by all runs.
    keep : bool
        Leave files where they are; files that were there before stay in any case.

    Raises
    ------
    InputError
        If there are none; the message names what there is.
    """

    def __init__(self, addresses: Sequence[str], folder: Path, keep: bool) -> None:
        self._stop, self._lock = Event(), Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="download")
        self._coming: dict[Path, Future[None]] = {}
        self._known: dict[Path, tuple[Product, Downloads, Source]] = {}
        archive, downloads = Archive(), Downloads(folder)
        remove_partials(folder)
        names: set[str] = set()
        for text in addresses:
            address = read_address(text)
            number, of = address.share
            products = remembered(archive, folder, address.wanted, None)[number - 1 :: of]
            log.info("%s: %s", text, in_all(products))
            source = source_of(archive, address.cloud)
            for product in products:
                if product.name in names:
                    continue
                names.add(product.name)
                kept = place_of(product, folder)
                path = kept if keep or kept.exists() else folder / _PASSING / product.name
                self._known[path] = (product, downloads, source)

    @property
    def places(self) -> dict[Path, Path]:
        """Where each exposure will stand, and its place below an output directory, as `find_exposures` has it."""
        return {path: Path(path.name) for path in sorted(self._known, key=str)}

    def fetch(self, path: Path, following: Sequence[Path] = ()) -> None:
        """Wait until a file is there, and begin with those that follow.

        Parameters
        ----------
        path : Path
            One of `places`.
        following : sequence of Path

        Raises
        ------
        InputError
            If it does not come.
        """
        with self._lock:
            for one in (path, *following[: _AT_ONCE - 1]):
                if one not in self._coming and not one.exists():
                    self._coming[one] = self._pool.submit(self._bring, one)
            coming = self._coming.pop(path, None)
        if coming is not None:
            coming.result()

    def drop(self, path: Path) -> None:
        """Remove a file that is done with, unless it is to stay."""
        if path.parent.name == _PASSING:
            path.unlink(missing_ok=True)

    def drop_all_but(self, paths: Sequence[Path]) -> None:
        """Remove what a run that was killed has left and nobody wants any more."""
        for path in set(self._known) - set(paths):
            self.drop(path)

    def __enter__(self) -> PassingExposures:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End what is still coming if the work ended early; what has come of it stays for the next time."""
        if kind is not None:
            self._stop.set()
            self._pool.shutdown(cancel_futures=True)

    def _bring(self, path: Path) -> None:
        product, downloads, source = self._known[path]
        require_room(path.parent, max(product.size, 0))
        fetch_one(product, path, downloads, source, self._stop)
