"""Tiles sorted into groups that are to be drawn equally often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError

CLASSES = {"camera": None, "filter": None, "exposure_time": (150.0, 700.0), "crowding": (0.05, 0.2)}
"""What tiles can be sorted by, columns of the tile store; with the limits between classes where it is a number:
seconds, and the share of pixels well above the sky (CRs alone make some hundredths of them)."""


def check_balance(balance: Sequence[str]) -> None:
    """See that tiles can be sorted that way.

    Parameters
    ----------
    balance : sequence of str

    Raises
    ------
    InputError
        If a name is not of `CLASSES`.
    """
    unknown = [name for name in balance if name not in CLASSES]
    if unknown:
        raise InputError(f"data.balance: {', '.join(unknown)}: choose from {', '.join(CLASSES)}")


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
