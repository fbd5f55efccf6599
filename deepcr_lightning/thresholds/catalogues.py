"""Catalogues that another program made at each threshold: DOLPHOT's, and tables with a column map."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.layout import GZIP_MAGIC, open_fits
from deepcr_lightning.photometry.star_lists import Stars
from deepcr_lightning.thresholds.good_stars import NEEDED, Cuts, good_stars
from deepcr_lightning.thresholds.star_counts import ChipStars, chip_stars

NO_MASK = "none"
_PLACES = {"extension": "Extension", "chip": "Chip", "x": "Object X position", "y": "Object Y position"}
_QUANTITIES = {
    "magnitude": "Instrumental VEGAMAG magnitude",
    "signal_to_noise": "Signal-to-noise",
    "sharpness": "Sharpness",
    "crowding": "Crowding",
}
_FAINTEST = 90.0
_LINE = re.compile(r"(\d+)\.\s+(.+)")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Stars of all filters, each in one row.

    Attributes
    ----------
    name : str
        Name of the file.
    filters : dict of str to astropy.table.Table
        With ``chip``, ``y``, ``x`` (pixels of the reference image), ``magnitude``, ``signal_to_noise``,
        ``sharpness`` and ``crowding``.
    """

    name: str
    filters: dict[str, Table]


def find_catalogues(folder: str | Path) -> tuple[Path, dict[float, Path]]:
    """Find the catalogue without a mask and those of the thresholds.

    Parameters
    ----------
    folder : str or Path
        Holds ``none.phot`` and, for each threshold, ``0.1.phot``; or tables of other endings, named likewise.

    Returns
    -------
    legacy : Path
    masked : dict of float to Path
        By threshold, ascending.

    Raises
    ------
    InputError
        If the folder does not hold them.
    """
    place = Path(folder).expanduser()
    files = [path for path in sorted(place.glob("*")) if path.is_file() and path.suffix not in ("", ".columns")]
    named: dict[str, Path] = {}
    for path in files:
        if path.stem == NO_MASK or re.fullmatch(r"0?\.\d+", path.stem):
            if path.stem in named:
                raise InputError(f"catalogues={folder}: {path.name} and {named[path.stem].name}; remove one of them")
            named[path.stem] = path
    legacy = named.pop(NO_MASK, None)
    if legacy is None or not named:
        raise InputError(
            f"catalogues={folder}: contains no none.phot and 0.1.phot, one for each threshold, or similar tables"
        )
    return legacy, {float(stem): path for stem, path in sorted(named.items(), key=lambda item: float(item[0]))}


def read_catalogue(path: Path, columns: Mapping[str, Any] | None = None) -> Catalogue:
    """Read a catalogue.

    Parameters
    ----------
    path : Path
        DOLPHOT's output, with its ``.columns`` beside it, or any table that astropy reads: Parquet, HDF5, FITS, ECSV.
    columns : mapping, optional
        Columns of a table: ``x``, ``y``, perhaps ``chip``, and for each filter the names of its ``magnitude``,
        ``signal_to_noise``, ``sharpness`` and ``crowding``.

    Returns
    -------
    Catalogue

    Raises
    ------
    InputError
        If it cannot be read, or columns are missing; the message names them.
    """
    if path.with_name(f"{path.name}.columns").is_file():
        return _read_dolphot(path)
    if path.suffix == ".phot":
        raise InputError(f"{path}: {path.name}.columns is missing; it lies beside DOLPHOT's output")
    if columns is None:
        raise InputError(f"{path}: a table; say which column is what with columns= (docs/guide/dolphot.md)")
    try:
        with path.open("rb") as file:
            first = file.read(6)
        if first == b"SIMPLE" or first.startswith(GZIP_MAGIC):
            with open_fits(path):  # which refuses what would keep astropy busy for ever
                pass
        table = Table.read(path)
    except Exception as error:  # every format has errors of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as a table ({reason})") from error
    shared = {name: str(columns[name]) for name in ("x", "y", "chip") if name in columns}
    filters = {str(name): dict(value) for name, value in columns.items() if isinstance(value, Mapping)}
    if not filters:
        raise InputError("columns=: names no filter; give F475W: {magnitude: ..., signal_to_noise: ..., ...}")
    found: dict[str, Table] = {}
    for name, quantities in filters.items():
        wanted = shared | {key: str(value) for key, value in quantities.items()}
        unsaid = [column for column in NEEDED if column not in wanted]
        if unsaid:
            raise InputError(f"columns=: does not say which column is the {', '.join(unsaid)} of {name}")
        missing = [column for column in wanted.values() if column not in table.colnames]
        if missing:
            raise InputError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(table.colnames)}")
        found[name] = Table({key: np.ma.filled(table[column], np.nan) for key, column in wanted.items()})
        if "chip" not in wanted:
            found[name]["chip"] = np.zeros(len(table), np.int64)
    return Catalogue(path.name, found)


def _read_dolphot(path: Path) -> Catalogue:
    described = path.with_name(f"{path.name}.columns")
    names = {}
    for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
        matched = _LINE.match(line.strip())
        if matched:
            names[matched[2].strip()] = int(matched[1]) - 1
    places = {key: _first(described, names, start) for key, start in _PLACES.items()}
    # Columns of single images end in brackets, those of a filter in its name.
    combined = [name for name in names if name.startswith(_QUANTITIES["magnitude"]) and not name.endswith(")")]
    cameras = [name.rpartition(", ")[2] for name in combined]
    if not cameras:
        raise InputError(f"{described}: has no column {_QUANTITIES['magnitude']}, CAMERA_FILTER")
    wanted = {
        camera: {key: _first(described, names, f"{start}, {camera}") for key, start in _QUANTITIES.items()}
        for camera in cameras
    }
    used = sorted({*places.values(), *(number for columns in wanted.values() for number in columns.values())})
    try:
        values = np.loadtxt(path, usecols=used, ndmin=2)
    except Exception as error:  # it unpacks, too, and every packer has errors of its own
        raise InputError(f"{path}: does not fit {described.name} ({error}); it may be truncated") from error
    column = {number: values[:, nth] for nth, number in enumerate(used)}
    chip = 1000 * column[places["extension"]] + column[places["chip"]]
    return Catalogue(
        path.name,
        {
            camera.rpartition("_")[2]: Table(
                {"chip": chip, "y": column[places["y"]], "x": column[places["x"]]}
                | {key: column[number] for key, number in columns.items()}
            )
            for camera, columns in wanted.items()
        },
    )


def _first(described: Path, names: Mapping[str, int], start: str) -> int:
    found = [number for name, number in names.items() if name.startswith(start)]
    if not found:
        raise InputError(f"{described}: has no column {start}")
    return min(found)


def stars_of(catalogue: Catalogue, filters: tuple[str, ...], cuts: Cuts) -> dict[int, Stars]:
    """Take the stars that are good in all filters.

    Parameters
    ----------
    catalogue : Catalogue
    filters : tuple of str
        One or two.
    cuts : Cuts

    Returns
    -------
    dict of int to Stars
        By chip.

    Raises
    ------
    InputError
        If a filter is not there.
    """
    missing = [name for name in filters if name not in catalogue.filters]
    if missing:
        raise InputError(f"{catalogue.name}: has no {', '.join(missing)}; it has {', '.join(catalogue.filters)}")
    tables = [catalogue.filters[name] for name in filters]
    good = np.all([good_stars(table, cuts, catalogue.name) for table in tables], axis=0)
    # DOLPHOT writes 99.999 where it has no magnitude.
    magnitudes = np.column_stack([np.asarray(table["magnitude"], float) for table in tables])
    good &= (magnitudes < _FAINTEST).all(1)
    first, chips = tables[0], np.asarray(tables[0]["chip"]).astype(np.int64)
    y, x = np.asarray(first["y"], float), np.asarray(first["x"], float)
    by_chip = {}
    for chip in np.unique(chips):
        chosen = good & (chips == chip)
        by_chip[int(chip)] = Stars(y[chosen], x[chosen], magnitudes[chosen], np.ones(int(chosen.sum()), bool))
    return by_chip


def compare_catalogues(
    legacy: Catalogue, masked: list[Catalogue], filters: tuple[str, ...], cuts: Cuts
) -> list[ChipStars]:
    """Match the good stars of each catalogue with those of the catalogue without a mask.

    Parameters
    ----------
    legacy : Catalogue
    masked : list of Catalogue
        One a threshold.
    filters : tuple of str
        One or two.
    cuts : Cuts

    Returns
    -------
    list of ChipStars
        One a chip of the reference image.
    """
    before = stars_of(legacy, filters, cuts)
    after = [stars_of(catalogue, filters, cuts) for catalogue in masked]
    nothing = Stars(np.empty(0), np.empty(0), np.empty((0, len(filters))), np.empty(0, bool))
    chips = []
    for chip in sorted({*before, *(number for stars in after for number in stars)}):
        lists = [stars.get(chip, nothing) for stars in (before, *after)]
        shape = tuple(int(np.ceil(max([1.0, *(float(p.max(initial=0)) for p in axis)]))) for axis in _axes(lists))
        chips.append(chip_stars(f"{legacy.name} chip {chip}", (shape[0], shape[1]), lists[0], lists[1:]))
    return chips


def _axes(lists: list[Stars]) -> tuple[list[Any], list[Any]]:
    return [stars.y for stars in lists], [stars.x for stars in lists]
