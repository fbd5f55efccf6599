"""One line for each exposure of a survey, kept as the survey goes on."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError

FILE = "summary.csv"
CLEANED = "cleaned"
ODD_FACTOR = 2.0
"""An exposure looks wrong if its flagged share is this many times the expected one, or the expected one it."""
_FEWEST = 5
_TEXTS = ("file", "status", "filter", "model")
_CONTROL = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What a line of a table cannot hold as it is, and the sign that stands before what is written in its place."""
_ESCAPED = re.compile(r"\\(?:[\\nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")


@dataclass(frozen=True)
class Row:
    """What became of an exposure.

    Attributes
    ----------
    file : str
        Path or address.
    status : str
        ``"cleaned"``, or why not.
    filter : str
    exposure_time, cr_time : float
        Seconds of the exposure, and in which its pixels collected CRs; NaN where it could not be read.
    flagged, expected : float
        Share of the pixels flagged, before the mask is grown, and expected from `cr_time`; NaN where that is not
        known.
    star_width : float
        FWHM of its stars in pixels; NaN where too few stars tell.
    stars_flagged : float
        Share of its stars that are flagged at their peak; NaN where their width is not known.
    threshold : float
        On the probability.
    grow : float
        Rings of pixels added to the mask.
    seconds : float
        Spent on network and products; of two exposures that are mapped at a time, each has all of it.
    model : str
        First digits of the SHA-256 of the weights.
    """

    file: str
    status: str
    filter: str = ""
    exposure_time: float = math.nan
    cr_time: float = math.nan
    flagged: float = math.nan
    expected: float = math.nan
    star_width: float = math.nan
    stars_flagged: float = math.nan
    threshold: float = math.nan
    grow: float = math.nan
    seconds: float = math.nan
    model: str = ""

    @property
    def oddity(self) -> float:
        """Factor between the flagged share and the expected one, at least 1; 1 where one is not known."""
        if math.isnan(self.flagged) or not self.expected > 0:
            return 1.0
        ratio = max(self.flagged, 1e-9) / self.expected
        return max(ratio, 1 / ratio)


_NAMES = [field.name for field in fields(Row)]
_EARLIER_NAMES = [name for name in _NAMES if name not in ("star_width", "stars_flagged")]


class Summary:
    """The table ``summary.csv`` of an output directory, shared by all processes that write there.

    A row is appended as soon as its exposure is done, so that a run which is killed leaves what it knows.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    InputError
        If the table cannot be written there, or is one of another kind.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = FileLock(folder / f".{FILE}.lock")
        with self._locked(folder):
            if not self.path.exists() or not self.path.stat().st_size:
                # Whole: half a line of names would be a table of another kind.
                self._write([])
        names, _ = self._table()
        if names != _NAMES:
            self.tidy()

    def add(self, row: Row) -> None:
        """Append a row.

        Parameters
        ----------
        row : Row

        Raises
        ------
        InputError
            If it cannot be written.
        """
        with self._locked():
            self._append(_cells(row))

    def rows(self) -> list[Row]:
        """Read the last row of each file, sorted by file.

        Returns
        -------
        list of Row

        Raises
        ------
        InputError
            If the table is of another kind.
        """
        names, table = self._table()
        found: dict[str, Row] = {}
        for cells in table:
            if len(cells) == len(names):
                values: dict[str, Any] = dict(zip(names, cells, strict=True))
                values |= {name: _number(cell) for name, cell in values.items() if name not in _TEXTS}
                values["file"] = _ESCAPED.sub(lambda match: match[0].encode().decode("unicode_escape"), values["file"])
                found[values["file"]] = Row(**values)
        return [found[name] for name in sorted(found)]

    def tidy(self) -> list[Row]:
        """Leave one row a file.

        Returns
        -------
        list of Row
            Where the network does not know the expected share, it is that of the median rate of all rows, if there
            are five; the table does not have it then.
        """
        with self._locked():
            rows = self.rows()
            self._write(rows)
        return list(_with_expected(rows))

    @contextmanager
    def _locked(self, folder: Path | None = None) -> Iterator[None]:
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def _table(self) -> tuple[list[str], list[list[str]]]:
        with self._locked():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        # Line by line: a quote that a killed process did not close ends with its line.
        try:
            table = [next(csv.reader([line])) for line in lines if line]
        except csv.Error:
            table = []
        if not table or table[0] not in (_NAMES, _EARLIER_NAMES):
            raise InputError(f"{self.path}: was not written by this package; remove it or choose another output_dir")
        return table[0], table[1:]

    def _write(self, rows: list[Row]) -> None:
        def write(partial: Path) -> None:
            with partial.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([_NAMES, *(_cells(row) for row in rows)])

        write_atomically(self.path, write)

    def _append(self, cells: Iterable[str]) -> None:
        with self.path.open("a+", newline="", encoding="utf-8") as file:
            # A process that was killed while it wrote leaves a line cut short: it must not swallow this one.
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in ("", "\n"):
                file.write("\n")
            csv.writer(file).writerow(cells)
            file.flush()
            os.fsync(file.fileno())


def _with_expected(rows: list[Row]) -> Iterable[Row]:
    known = [row for row in rows if row.status == CLEANED and row.cr_time > 0]
    rates = [row.flagged / row.cr_time for row in known]
    rate = median(rates) if len(rates) >= _FEWEST else math.nan
    for row in rows:
        share = row.expected if row.expected > 0 else rate * row.cr_time
        yield Row(**{**asdict(row), "expected": share})


def _cells(row: Row) -> list[str]:
    # A float that is not known is an empty cell, which every reader of tables takes for missing.
    values = {**asdict(row), "status": " ".join(row.status.splitlines()), "filter": " ".join(row.filter.splitlines())}
    return [_CONTROL.sub(_as_escape, _text(value)) for value in values.values()]


def _text(value: object) -> str:
    return "" if value != value else f"{value:.6g}" if isinstance(value, float) else str(value)


def _as_escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
