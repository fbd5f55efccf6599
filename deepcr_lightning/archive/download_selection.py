"""All that one download takes: exposures, and darks that go with them."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock

from deepcr_lightning.archive.darks import NEAR, DarkWishes, find_darks
from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.search import day, find_science
from deepcr_lightning.archive.server import Archive
from deepcr_lightning.archive.wanted import Wanted
from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError

log = logging.getLogger(__name__)

_SPARE = 100 * 2**20
"""Bytes of a disk that a download leaves free."""


def select(archive: Archive, wanted: Wanted, darks: DarkWishes | None) -> list[Product]:
    """Find exposures and, if they are wanted, their darks, all in one calibration.

    Parameters
    ----------
    archive : Archive
    wanted : Wanted
    darks : DarkWishes or None

    Returns
    -------
    list of Product
        The exposures first.

    Raises
    ------
    InputError
        If one of the two is not there; the message names what there is.
    """
    science = find_science(archive, wanted)
    if darks is None:
        return science
    dark_products = find_darks(archive, science, darks)
    if {one.suffix for one in dark_products} == {"flt"} and "flc" in {one.suffix for one in science}:
        if wanted.product is None:
            log.info(
                "The darks are available as _flt only; the exposures are taken as _flt as well, so that CRs look alike"
            )
            science = find_science(archive, replace(wanted, product="flt"))
        else:
            log.warning(
                "The darks are available as _flt only, but the exposures are _flc: a network can learn to tell their "
                "CRs apart"
            )
    return science + dark_products


def remembered(archive: Archive, folder: Path, wanted: Wanted, darks: DarkWishes | None) -> list[Product]:
    """Select once, and take what was selected from then on: a run that goes on needs the same exposures.

    Parameters
    ----------
    archive : Archive
        Asked only the first time.
    folder : Path
        Keeps a JSON file for each selection; processes that come at once wait for one of them.
    wanted : Wanted
    darks : DarkWishes or None

    Returns
    -------
    list of Product

    Raises
    ------
    InputError
        As `select`, and if the selection cannot be written or read.
    """
    suffix = "" if darks is None else f"_darks_{darks.proposal or NEAR}"
    path = folder / "selections" / f"{wanted.label}{suffix}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if path.exists():
                log.info("The selection is that of %s; remove it to ask the archive again", path)
                return [Product(**row) for row in json.loads(path.read_text())]
            products = select(archive, wanted, darks)
            rows = json.dumps([asdict(one) for one in products], indent=1)
            write_atomically(path, lambda partial: partial.write_text(rows))
            return products
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: was not written by this package ({error}); remove it") from error


def table(products: Sequence[Product]) -> str:
    """Write what is selected as a table for the terminal, with sizes and their sum."""
    head = ("file", "for", "camera", "filter", "seconds", "date", "target", "MB", "")
    rows = [head]
    for one in products:
        seconds = "" if math.isnan(one.exposure_time) else f"{one.exposure_time:.0f}"
        open_to = "" if one.public else "not public"
        cells = (
            one.name,
            one.kind,
            one.camera,
            one.filter,
            seconds,
            day(one.start),
            one.target,
            _megabytes(one.size),
            open_to,
        )
        rows.append(cells)
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, in_all(products)])


def in_all(products: Sequence[Product]) -> str:
    """Say how many files there are, and how large they are together."""
    unknown = sum(one.size <= 0 for one in products)
    told = f"{len(products)} file{'s' * (len(products) != 1)}, {_told(total_bytes(products))}"
    return told + (f", and {unknown} of unknown size" if unknown else "")


def total_bytes(products: Sequence[Product]) -> int:
    """Add up the sizes that the archive knows."""
    return sum(max(one.size, 0) for one in products)


def require_room(folder: Path, wanted_bytes: int) -> None:
    """Refuse a download that the disk would not hold.

    Parameters
    ----------
    folder : Path
        It, or the first folder above it that exists, is asked.
    wanted_bytes : int

    Raises
    ------
    InputError
        If there is less room than that and a little more.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if wanted_bytes + _SPARE > free:
        raise InputError(
            f"{folder}: {_told(wanted_bytes)} are needed and {_told(free)} are free there; choose another directory, "
            "or fewer exposures with max="
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size > 0 else "?"


def _told(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
