"""download.csv: what came from the archive, when, and how to tell that it is still the same."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.search import day
from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError

FILE = "download.csv"


@dataclass(frozen=True)
class Row:
    """A file that came.

    Attributes
    ----------
    file : str
        Path below the folder of the table.
    uri : str
        URI of the file in the archive.
    size : int
        Bytes.
    sha256 : str
    date : str
        When it came, UTC.
    camera, filter, target, proposal, observed : str
    exposure_time : str
        Seconds; empty where it is not known.
    """

    file: str
    uri: str
    size: int
    sha256: str
    date: str
    camera: str
    filter: str
    exposure_time: str
    target: str
    proposal: str
    observed: str


class Downloads:
    """The table ``download.csv`` of a folder, shared by all processes that write there.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    InputError
        If the table cannot be read or written, or is one of another kind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be created ({error.strerror or error})") from error
        self._lock = FileLock(folder / f".{FILE}.lock")
        self.rows()

    def rows(self) -> dict[str, Row]:
        """Read the rows, by file."""
        if not self.path.exists():
            return {}
        names = [field.name for field in fields(Row)]
        try:
            with self.path.open(newline="") as file:
                table = list(csv.DictReader(file))
            if any(list(row) != names or None in row.values() for row in table):
                raise ValueError("its columns are others")
            rows = [Row(**{**row, "size": int(row["size"])}) for row in table]  # type: ignore[arg-type]
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        except (ValueError, csv.Error) as error:
            raise InputError(
                f"{self.path}: was not written by this package ({error}); remove it or choose another folder"
            ) from error
        return {row.file: row for row in rows}

    def add(self, product: Product, path: Path) -> None:
        """Note a file that has come whole, in place of an earlier row of it.

        Parameters
        ----------
        product : Product
        path : Path
            In the folder of the table.

        Raises
        ------
        InputError
            If the file cannot be read or the table not written.
        """
        try:
            self._add(product, path)
        except OSError as error:
            raise InputError(f"{path}: cannot be noted in {FILE} ({error.strerror or error})") from error

    def _add(self, product: Product, path: Path) -> None:
        with path.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        row = Row(
            file=path.relative_to(self.folder).as_posix(),
            uri=product.uri,
            size=path.stat().st_size,
            sha256=digest,
            date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            camera=product.camera,
            filter=product.filter,
            exposure_time="" if math.isnan(product.exposure_time) else f"{product.exposure_time:g}",
            target=product.target,
            proposal=product.proposal,
            observed=day(product.start),
        )
        with self._lock:
            rows = self.rows() | {row.file: row}
            write_atomically(self.path, lambda partial: _write(partial, [rows[name] for name in sorted(rows)]))


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        table: Any = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
