"""Fingerprint of the data of a run by their content, independent of where the files are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.tiles.store import COLUMNS, TileStore

_KEPT = "fingerprint.txt"


def store_fingerprint(store: TileStore) -> str:
    """Return the fingerprint of all tiles and CR layers of a store.

    Every pixel counts, and so do the name of each exposure, its filter, its times and its place; the folders of the
    files, their dates and their order do not. It is computed once, at the speed at which the store can be read, and
    kept in the store.

    Parameters
    ----------
    store : TileStore

    Returns
    -------
    str
        SHA-256 in hexadecimal.

    Raises
    ------
    InputError
        If it cannot be kept.
    """
    kept = store.folder / _KEPT
    if not kept.exists():
        parts = sorted(_tiles(store)) + sorted(_layers(store))
        text = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        write_atomically(kept, lambda path: path.write_text(text))
    return kept.read_text()


def _tiles(store: TileStore) -> Iterable[str]:
    for n in tqdm(range(len(store)), desc="Fingerprint of the tiles", unit="tile", leave=False, disable=None):
        row = [_plain(name, store.table[name][n].item()) for name in COLUMNS]
        planes = [store.electrons[n], store.usable[n]]
        yield _digest(row, planes if store.own_charge is None else [*planes, store.own_charge[n]])


def _layers(store: TileStore) -> Iterable[str]:
    for n, layer in enumerate(
        tqdm(store.layers, desc="Fingerprint of the CR layers", unit="layer", leave=False, disable=None)
    ):
        row = [root_of(Path(layer.file)), layer.visit, layer.chip, layer.cr_time, layer.rows, layer.columns]
        yield _digest(row, [store.charge(n), store.kind(n)])


def _plain(name: str, value: object) -> object:
    return root_of(Path(str(value))) if name == "file" else value


def _digest(row: list[object], planes: list[NDArray]) -> str:
    digest = hashlib.sha256(repr(row).encode())
    for plane in planes:
        digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()
