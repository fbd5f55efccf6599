"""Which tiles of a store a run uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.first_look import filter_in
from deepcr_lightning.tiles.store import TileStore


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
    return f"data.filters: no science file is of {', '.join(missing)}; the files have {', '.join(there)}"


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
