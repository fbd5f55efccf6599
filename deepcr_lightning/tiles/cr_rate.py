"""How fast cosmic rays cover a detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.tiles.dark_cr import COSMIC_RAY
from deepcr_lightning.tiles.store import TileStore

_EVERY = 8


def cr_share_rate(store: TileStore, layers: NDArray[np.int64], tiles: NDArray[np.int64]) -> float:
    """Find the share of the pixels that cosmic rays hit in a second.

    Parameters
    ----------
    store : TileStore
        With darks or with truth.
    layers, tiles : ndarray of int64
        Those to look at: the layers, or the labels of the tiles where the store has no dark.

    Returns
    -------
    float
        Median over them.
    """
    if store.layers:
        rates = [(store.kind(i)[::_EVERY] == COSMIC_RAY).mean() / store.layers[i].cr_time for i in layers.tolist()]
    else:
        assert store.own_charge is not None
        times = store.table["cr_time"]
        rates = [(store.own_charge[i][::_EVERY] > 0).mean() / times[i] for i in tiles.tolist()]
    return float(np.median(rates))
