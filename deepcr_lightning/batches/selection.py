"""Which tiles of a store a run uses, and in which groups they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.first_look import filter_in
from deepcr_lightning.tiles.store import TileStore

CLASSES = {"camera": None, "filter": None, "exposure_time": (150.0, 700.0), "crowding": (0.05, 0.2)}
"""What tiles can be sorted by, columns of the tile store; with the limits between classes where it is a number:
seconds, and the share of pixels well above the sky (CRs alone make some hundredths of them)."""


def tiles_of_filters(store: TileStore, filters: Sequence[str]) -> NDArray[np.int64]:
    """Find the tiles that were seen through some filters.

    Parameters
    ----------
    store : TileStore
    filters : sequence of str
        In any case; none for all tiles.

    Returns
    -------
    ndarray of int64, shape (n,)
        Numbers of tiles, ascending.

    Raises
    ------
    InputError
        If the store has no tile of one of the filters.
    """
    there = sorted(set(store.table["filter"].tolist()))
    unknown = [name for name in filters if name.upper() not in there]
    if unknown:
        raise InputError(_no_file_of(unknown, there))
    wanted = [name.upper() for name in filters] or there
    return np.flatnonzero(np.isin(store.table["filter"], wanted))


def require_filters(files: Sequence[Path], filters: Sequence[str]) -> None:
    """See from their headers that files are of some filters, before any is cut into tiles.

    Parameters
    ----------
    files : sequence of Path
        Science exposures; those that cannot be read are believed.
    filters : sequence of str
        In any case.

    Raises
    ------
    InputError
        If no file is of one of the filters.
    """
    missing, there = {name.upper() for name in filters}, set()
    for path in files:
        if not missing:
            return
        found = filter_in(path)
        if found is None:
            return
        there.add(found)
        missing.discard(found)
    if missing:
        raise InputError(_no_file_of(sorted(missing), sorted(there)))


def _no_file_of(missing: Sequence[str], there: Sequence[str]) -> str:
    return f"data.filters: no science file has the filter {', '.join(missing)}; the files have {', '.join(there)}"


def evenly_spaced(tiles: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """Keep at most so many tiles, evenly spaced.

    Parameters
    ----------
    tiles : ndarray of int64, shape (n,)
    count : int, optional
        None for all.

    Returns
    -------
    ndarray of int64, shape (min(n, count),)
    """
    if count is None or len(tiles) <= count:
        return tiles
    return tiles[np.linspace(0, len(tiles) - 1, count).round().astype(np.int64)]


def check_balance(balance: str | Sequence[str]) -> list[str]:
    """Read the names by which tiles are sorted.

    Parameters
    ----------
    balance : str or sequence of str
        One name of `CLASSES`, or several.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    InputError
        If a name is not of `CLASSES`.
    """
    names = [balance] if isinstance(balance, str) else list(balance)
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        raise InputError(f"data.balance: {', '.join(unknown)}: choose from {', '.join(CLASSES)}")
    return names


def tile_groups(table: Mapping[str, NDArray], tiles: NDArray[np.int64], balance: Sequence[str]) -> NDArray[np.str_]:
    """Name the group of each tile.

    Parameters
    ----------
    table : mapping of str to ndarray
        Columns of a `tiles.store.TileStore`.
    tiles : ndarray of int64, shape (N,)
        Indices of the tiles.
    balance : sequence of str
        What to sort by, of `CLASSES`.

    Returns
    -------
    ndarray of str, shape (N,)
        Such as ``"F336W 1 0"``: filter F336W, the middle class of exposure times, the least crowded class.
    """
    parts = []
    for name in balance:
        values, limits = table[name][tiles], CLASSES[name]
        parts.append(values if limits is None else np.digitize(values, limits).astype(str))
    return np.array([" ".join(labels) for labels in zip(*parts, strict=True)], dtype=np.str_)
