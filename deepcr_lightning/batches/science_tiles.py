"""Science tiles as they are, without added cosmic rays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.batches.bank import TileBank
from deepcr_lightning.tiles.store import TileStore

_AT_ONCE = 64


def science_tiles(
    store: TileStore, bank: TileBank, tiles: NDArray[np.int64], device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Give tiles in batches.

    Parameters
    ----------
    store : TileStore
    bank : TileBank
        Bank of the store.
    tiles : ndarray of int64, shape (n,)
        Their numbers.
    device : torch.device
        Where they are wanted.

    Yields
    ------
    dict of Tensor
        ``electrons`` (B, 1, S, S) float32 and ``usable`` (B, 1, S, S) bool; ``sky`` and ``noise`` (B, 1, 1, 1)
        float32, in electrons.
    """
    for some in torch.from_numpy(tiles).split(_AT_ONCE):
        planes = {name: bank.planes[name][some.to(bank.device)] for name in ("electrons", "usable")}
        for name in ("sky", "noise"):
            planes[name] = torch.from_numpy(store.table[name][some.numpy()].astype(np.float32))[:, None, None]
        yield {name: plane[:, None].to(device) for name, plane in planes.items()}
