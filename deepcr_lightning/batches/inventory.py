"""Counts of the exposures, tiles and darks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.tiles.store import TileStore

_ALL_BUT_FEW = (0.01, 0.99)


def take_inventory(
    store: TileStore, tiles: Mapping[str, NDArray[np.int64]], layers: Mapping[str, NDArray[np.int64]]
) -> dict[str, Any]:
    """Count the exposures, tiles and darks of each side.

    Parameters
    ----------
    store : TileStore
    tiles, layers : mapping of str to ndarray of int64
        Indices of the tiles and of the CR layers of each side.

    Returns
    -------
    dict
        Plain values. ``exposures`` by filter and side; ``exposure_time``, shortest and longest by filter, in
        seconds; ``tiles`` and ``darks`` (files) by side; ``tile_size`` in pixels.
    """
    names, files, seconds = (store.table[name] for name in ("filter", "file", "exposure_time"))
    every = np.concatenate(list(tiles.values()))
    exposures, times = {}, {}
    for name in sorted(set(names[every].tolist())):
        mine = {side: index[names[index] == name] for side, index in tiles.items()}
        exposures[name] = {side: len(np.unique(files[index])) for side, index in mine.items()}
        spread = seconds[every[names[every] == name]]
        times[name] = [float(spread.min()), float(spread.max())]
    return {
        "exposures": exposures,
        "exposure_time": times,
        "tiles": {side: len(index) for side, index in tiles.items()},
        "darks": {side: len({store.layers[i].file for i in index.tolist()}) for side, index in layers.items()},
        "tile_size": int(store.electrons.shape[-1]),
    }


def looks_of(table: Mapping[str, NDArray[Any]], tiles: NDArray[np.intp]) -> dict[str, Any]:
    """Tell what the exposures of some tiles look like: the width of their stars, how many are spectra or trailed."""
    _, first = np.unique(table["file"][tiles], return_index=True)
    one = tiles[first]
    widths = table["star_width"][one]
    known = widths[np.isfinite(widths)]
    # A hundredth on either side: a few widths are measured on CRs.
    ends = tuple(np.quantile(known, _ALL_BUT_FEW).round(2).tolist()) if len(known) else None
    spectra, trailed = (round(float(table[name][one].mean()), 4) for name in ("spectrum", "trailed"))
    return {"star_widths": ends, "spectra": spectra, "trailed": trailed}
