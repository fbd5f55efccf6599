"""Sky tiles paired with dark CR layers, drawn by numbers alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from deepcr_lightning.tiles.store import TileStore

Draw = tuple[int, int]
"""Index of a tile and the seed of everything that is drawn for it."""


class PairedTiles(Dataset[dict[str, Tensor]]):
    """Sky tiles, each with CR layers cut from random places of random darks.

    An item is a function of its `Draw` alone, whatever ran before it.

    Parameters
    ----------
    store : TileStore
    layers : ndarray of int64
        The layers to draw from.
    layer_range : (int, int)
        Number of layers a tile gets, both ends included.
    """

    def __init__(self, store: TileStore, layers: NDArray[np.int64], layer_range: tuple[int, int]) -> None:
        self.store, self.layers, self.layer_range = store, layers, layer_range
        self._layer_chips = np.array([store.layers[i].chip for i in layers])

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        index, seed = draw
        rng = np.random.default_rng(seed)
        electrons, table = self.store.electrons[index], self.store.table
        charge = np.zeros((self.layer_range[1], *electrons.shape), np.float32)
        cr = np.zeros(charge.shape, np.bool_)
        dark_time, dark_noise = np.zeros((2, self.layer_range[1]), np.float32)
        # Charge-transfer tails point away from the read-out, which lies on opposite sides of the two chips.
        same_chip = self.layers[self._layer_chips == table["chip"][index]]
        layers = same_chip if len(same_chip) else self.layers
        count = int(rng.integers(self.layer_range[0], self.layer_range[1], endpoint=True))
        for n, layer in enumerate(rng.choice(layers, count, replace=len(layers) < count)):
            place = self._place(int(layer), electrons.shape[-1], rng)
            charge[n], cr[n] = self.store.charge(layer)[place], self.store.cr(layer)[place]
            info = self.store.layers[layer]
            dark_time[n], dark_noise[n] = info.cr_time, info.noise
        item = {
            "electrons": torch.from_numpy(np.array(electrons)),
            "usable": torch.from_numpy(np.array(self.store.usable[index])),
            "sky": torch.tensor(table["sky"][index], dtype=torch.float32),
            "noise": torch.tensor(table["noise"][index], dtype=torch.float32),
            "science_time": torch.tensor(table["cr_time"][index], dtype=torch.float32),
            "charge": torch.from_numpy(charge),
            "cr": torch.from_numpy(cr),
            "dark_time": torch.from_numpy(dark_time),
            "dark_noise": torch.from_numpy(dark_noise),
            "seed": torch.tensor(seed, dtype=torch.int64),
        }
        if self.store.own_charge is not None:
            item["own_charge"] = torch.from_numpy(np.array(self.store.own_charge[index]))
        return item

    def _place(self, layer: int, size: int, rng: np.random.Generator) -> tuple[slice, slice]:
        info = self.store.layers[layer]
        y, x = (int(rng.integers(0, length - size, endpoint=True)) for length in (info.rows, info.columns))
        return slice(y, y + size), slice(x, x + size)


class TileDraws(Sampler[Draw]):
    """Draws of tiles for one epoch: a function of seed, epoch and rank, so that a resumed run goes on as it was.

    Parameters
    ----------
    tiles : ndarray of int64
        The tiles to draw from.
    seed : int
    count : int, optional
        Tiles an epoch; all of them by default. More tiles than there are repeat some.
    filters : ndarray of str, optional
        Filter of each tile: every filter is then drawn equally often.
    shuffle : bool
        False takes the tiles in order, with seeds that no epoch changes: validation and test.
    rank, world_size : int
        This process takes every `world_size`-th draw.
    """

    def __init__(
        self,
        tiles: NDArray[np.int64],
        seed: int,
        count: int | None = None,
        filters: NDArray[np.str_] | None = None,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.tiles, self.seed, self.filters, self.shuffle = tiles, seed, filters, shuffle
        self.count = count or len(tiles)
        if not shuffle:
            self.count = max(self.count, world_size)  # a process without a batch would leave the others waiting
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the trainer calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.world_size if self.shuffle else len(range(self.rank, self.count, self.world_size))

    def __iter__(self) -> Iterator[Draw]:
        if not self.shuffle:
            order = np.resize(self.tiles, self.count)
            seeds = np.random.default_rng(self.seed).integers(0, 2**62, self.count)
        else:
            rng = np.random.default_rng([self.seed, self.epoch])
            order = self._balanced(rng) if self.filters is not None else self._in_turn()
            seeds = rng.integers(0, 2**62, self.count)
        mine = slice(self.rank, None, self.world_size)
        yield from list(zip(order[mine].tolist(), seeds[mine].tolist(), strict=True))[: len(self)]

    def _balanced(self, rng: np.random.Generator) -> NDArray[np.int64]:
        assert self.filters is not None
        names, inverse = np.unique(self.filters, return_inverse=True)
        chances = 1.0 / np.bincount(inverse)[inverse] / len(names)
        return rng.choice(self.tiles, self.count, p=chances)

    def _in_turn(self) -> NDArray[np.int64]:
        # One endless row of shuffled rounds, cut into epochs: every tile comes before any comes again.
        first, last = self.epoch * self.count, (self.epoch + 1) * self.count
        rounds = range(first // len(self.tiles), -(-last // len(self.tiles)))
        row = [np.random.default_rng([self.seed, 1, n]).permutation(self.tiles) for n in rounds]
        start = first - rounds[0] * len(self.tiles)
        return np.concatenate(row)[start : start + self.count]
