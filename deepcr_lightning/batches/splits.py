"""Split into training, validation and test: no exposure and no dark is on two sides."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.tiles.store import TileStore

log = logging.getLogger(__name__)

SIDES = ("train", "val", "test")


def split_by_visit(
    what: str,
    visits: Sequence[str] | NDArray[np.str_],
    exposures: Sequence[str] | NDArray[np.str_],
    fractions: tuple[float, float],
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """Split tiles or layers into train, validation and test, whole visits at a time.

    Parameters
    ----------
    what : str
        What is split, for the log.
    visits, exposures : sequence of str, length N
        Visit and exposure (its root, not its file) of each item.
    fractions : (float, float)
        Shares of validation and of test. A share above 0 gets at least one group where training keeps one too.
    seed : int
        The same seed and visits give the same split.

    Returns
    -------
    dict of str to ndarray of int64
        Indices of the items of ``train``, ``val`` and ``test``, in order.

    Notes
    -----
    With two visits the test side stays empty. With one, its exposures are split instead; a single exposure both
    trains and validates. The log says so.
    """
    groups = np.asarray(visits)
    if len(np.unique(groups)) == 1:
        log.info("A single visit of %s: split by exposure", what)
        groups = np.asarray(exposures)
    names = np.unique(groups)
    if not len(names):
        return {side: np.empty(0, np.int64) for side in SIDES}
    if len(names) == 1:
        log.warning(
            "A single exposure of %s: it is used for training and validation, so scores are optimistic; give more of "
            "them for a validation side",
            what,
        )
        everything = np.arange(len(groups))
        return {"train": everything, "val": everything, "test": everything[:0]}
    names = names[np.random.default_rng(seed).permutation(len(names))]
    sizes = _group_counts(len(names), fractions)
    bounds = np.cumsum(sizes)
    sides = dict(zip(("val", "test", "train"), np.split(names, bounds), strict=True))
    return {side: np.flatnonzero(np.isin(groups, sides[side])) for side in SIDES}


def split_by_camera(
    what: str,
    cameras: Sequence[str],
    visits: Sequence[str],
    exposures: Sequence[str],
    fractions: tuple[float, float],
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """Split tiles or layers into train, validation and test so that each side has every camera.

    Parameters
    ----------
    what, visits, exposures, fractions, seed
        As in `split_by_visit`, which splits each camera by itself.
    cameras : sequence of str, length N
        Camera of each item.

    Returns
    -------
    dict of str to ndarray of int64
        Indices of the items of ``train``, ``val`` and ``test``, in order.
    """
    sides: dict[str, list[NDArray[np.int64]]] = {side: [np.empty(0, np.int64)] for side in SIDES}
    for camera in sorted(set(cameras)):
        mine = np.flatnonzero(np.asarray(cameras) == camera)
        of_camera = what if len(set(cameras)) == 1 else f"{what} of {camera or 'no camera'}"
        split = split_by_visit(of_camera, np.asarray(visits)[mine], np.asarray(exposures)[mine], fractions, seed)
        for side in SIDES:
            sides[side].append(mine[split[side]])
    return {side: np.sort(np.concatenate(parts)) for side, parts in sides.items()}


def split_store(
    store: TileStore, tiles: NDArray[np.int64], fractions: tuple[float, float], seed: int
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """Split the tiles and the CR layers of a store into train, validation and test (`split_by_camera`).

    Parameters
    ----------
    store : TileStore
        The store.
    tiles : ndarray of int64, shape (N,)
        Indices of the tiles to split; all layers are.
    fractions : (float, float)
        Shares of validation and of test.
    seed : int
        Seed of the draw of visits.

    Returns
    -------
    tiles, layers : dict of str to ndarray of int64
        Indices of the tiles and of the layers of ``train``, ``val`` and ``test``. Tiles of a camera that has too few
        darks for a side of their own are not on that side.
    """
    cameras, visits, files = (store.table[name][tiles].tolist() for name in ("camera", "visit", "file"))
    roots = [root_of(Path(file)) for file in files]
    split = split_by_camera("science", cameras, visits, roots, fractions, seed)
    cameras, visits = ([getattr(layer, name) for layer in store.layers] for name in ("camera", "visit"))
    roots = [root_of(Path(layer.file)) for layer in store.layers]
    layers = split_by_camera("darks", cameras, visits, roots, fractions, seed)
    sides = {side: tiles[index] for side, index in split.items()}
    for side in ("val", "test"):
        # Too few darks for a side of their own: an unseen side would need CRs that trained.
        there = [store.layers[i].camera for i in layers[side]]
        if store.layers and "" not in there:
            sides[side] = sides[side][np.isin(store.table["camera"][sides[side]], [*there, ""])]
    return sides, layers


def _group_counts(groups: int, fractions: tuple[float, float]) -> tuple[int, int]:
    validation, test = (max(1, round(fraction * groups)) if fraction > 0 else 0 for fraction in fractions)
    test = min(test, max(0, groups - validation - 1))
    return min(validation, groups - 1), test
