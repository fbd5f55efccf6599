"""Many files from the archive, several at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from tqdm import tqdm

from deepcr_lightning.archive.download_record import Downloads, Row
from deepcr_lightning.archive.download_selection import total_bytes
from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.sources import Source, StoppedError
from deepcr_lightning.archive.transfer import download, fault, take_place, tidy_up
from deepcr_lightning.atomic import remove_partials
from deepcr_lightning.errors import InputError

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What became of the files of a download.

    Attributes
    ----------
    came, kept : list of Path
        That came now, and that were there before.
    failures : list of str
        Why others did not come.
    """

    came: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def place_of(product: Product, folder: Path) -> Path:
    """Where a product goes: below ``science`` or ``darks`` of a folder."""
    return folder / product.kind / product.name


def to_fetch(products: Sequence[Product], folder: Path, overwrite: bool = False) -> list[Product]:
    """Leave out what is there already."""
    return [one for one in products if overwrite or not place_of(one, folder).exists()]


def fetch(
    products: Sequence[Product], folder: Path, source: Source, workers: int = 4, overwrite: bool = False
) -> Outcome:
    """Download files, keep what is there, and note each in ``download.csv``.

    Parameters
    ----------
    products : sequence of Product
    folder : Path
    source : Source
    workers : int
        Files at once.
    overwrite : bool
        Fetch files that are there once more.

    Returns
    -------
    Outcome
        A file that fails does not stop the others.

    Raises
    ------
    InputError
        If the table of downloads cannot be written.
    """
    remove_partials(folder)
    downloads, outcome, stop = Downloads(folder), Outcome(), Event()
    wanted, rows = to_fetch(products, folder, overwrite), downloads.rows()
    coming = {one.name for one in wanted}
    for product in products:
        if product.name not in coming:
            _keep(product, place_of(product, folder), downloads, rows, outcome)
    with _Bar(total_bytes(wanted)) as bar, ThreadPoolExecutor(workers, thread_name_prefix="download") as pool:
        tasks = [
            pool.submit(_one, one, place_of(one, folder), downloads, source, bar.of_file(), stop, overwrite)
            for one in wanted
        ]
        try:
            for task in as_completed(tasks):
                try:
                    outcome.came.append(task.result())
                except InputError as error:
                    outcome.failures.append(str(error))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    outcome.came.sort()
    return outcome


def fetch_one(product: Product, path: Path, downloads: Downloads, source: Source, stop: Event) -> None:
    """Download one file without a word, and note it."""
    _one(product, path, downloads, source, lambda size: None, stop, overwrite=False)


def _one(
    product: Product,
    path: Path,
    downloads: Downloads,
    source: Source,
    arrived: Callable[[int], object],
    stop: Event,
    overwrite: bool,
) -> Path:
    if stop.is_set():
        raise StoppedError
    if overwrite:
        # Beside the old one, which stays until the new one is whole.
        fresh = path.with_name(f".fresh-{path.name}")
        download(product, fresh, source, arrived, stop)
        take_place(fresh, path)
    else:
        download(product, path, source, arrived, stop)
    downloads.add(product, path)
    return path


def _keep(product: Product, path: Path, downloads: Downloads, rows: Mapping[str, Row], outcome: Outcome) -> None:
    tidy_up(path)
    row = rows.get(path.relative_to(downloads.folder).as_posix())
    size = path.stat().st_size
    if row is None or row.size != size:
        reason = fault(path)
        if reason:
            outcome.failures.append(
                f"{path}: exists but is not a complete FITS file ({reason}); remove it, or set overwrite=true"
            )
            return
        downloads.add(product, path)
    if product.size > 0 and size != product.size:
        log.warning("%s: kept, although the archive now has one of another size; use overwrite=true to fetch it", path)
    outcome.kept.append(path)


class _Bar:
    """One progress bar of bytes for all files."""

    def __init__(self, total: int) -> None:
        self._bar = tqdm(
            total=total, unit="B", unit_scale=True, desc="Download", leave=False, disable=None if total else True
        )
        self._lock = Lock()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def of_file(self) -> Callable[[int], None]:
        """Make what is told how many bytes of a file there are."""
        there = 0

        def arrived(size: int) -> None:
            nonlocal there
            with self._lock:
                self._bar.update(size - there)
                there = size

        return arrived
