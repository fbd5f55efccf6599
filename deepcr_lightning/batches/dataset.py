"""Sky tiles paired with dark CR layers, drawn by their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from deepcr_lightning.batches.bank import TileBank
from deepcr_lightning.tiles.store import TileStore

Draw = tuple[int, int]
"""Index of a tile and the seed of everything that is drawn for it."""

_COLUMNS = {"sky": "sky", "noise": "noise", "science_time": "cr_time"}


class PairedTiles(Dataset[dict[str, Tensor]]):
    """Sky tiles, each with CR layers cut from random places of random darks, a batch at a time.

    What is drawn for a tile is a function of its `Draw` alone, whatever else is in the batch.

    Parameters
    ----------
    store : TileStore
    layers : ndarray of int64
        The layers to draw from.
    layer_range : (int, int)
        Number of layers a tile gets, both ends included.
    bank : TileBank, optional
        Cuts the planes of a batch; without one a batch says where they are, for a bank on another device.
    """

    def __init__(
        self,
        store: TileStore,
        layers: NDArray[np.int64],
        layer_range: tuple[int, int],
        bank: TileBank | None = None,
    ) -> None:
        self.store, self.layer_range, self.bank = store, layer_range, bank
        self.size = store.electrons.shape[-1]
        info = [store.layers[i] for i in layers]
        self._start, self._rows, self._columns = (
            np.array([getattr(layer, name) for layer in info]) for name in ("start", "rows", "columns")
        )
        self._time, self._noise = (
            np.array([getattr(layer, name) for layer in info], np.float32) for name in ("cr_time", "noise")
        )
        self._layers = [(layer.camera, layer.chip) for layer in info]
        kinds, self._kind = np.unique([store.table[name] for name in ("camera", "chip")], axis=1, return_inverse=True)
        self._candidates = [self._of_kind(camera, int(chip)) for camera, chip in kinds.T]

    def __getitems__(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        """Make a batch; PyTorch's loader calls this with the draws of one."""
        tile, seeds = np.array(draws, np.int64).T
        layer, present, y, x = self._pairs(self._kind[tile], seeds)
        columns = self._columns[layer]
        table = {name: self.store.table[column][tile] for name, column in _COLUMNS.items()}
        where = {"tile": tile, "first": self._start[layer] + y * columns + x, "width": columns, "seed": seeds}
        darks = {"dark_time": self._time[layer] * present, "dark_noise": self._noise[layer] * present}
        floats = {name: torch.from_numpy(value.astype(np.float32)) for name, value in (table | darks).items()}
        batch = {name: torch.from_numpy(value.astype(np.int64)) for name, value in where.items()} | floats
        return self.bank.cut(batch) if self.bank is not None else batch

    def _of_kind(self, camera: str, chip: int) -> NDArray[np.int64]:
        """Find the layers whose CRs look like those of a tile."""
        # A header may name no camera.
        ours = [n for n, (of, _) in enumerate(self._layers) if of == camera or not (of and camera)]
        # Charge-transfer tails point away from the read-out, which lies on opposite sides of the two chips.
        same = [n for n in ours if self._layers[n][1] == chip]
        return np.array(same or ours, np.int64)

    def _pairs(self, kinds: NDArray[np.int64], seeds: NDArray[np.int64]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Draw layers and places in them, all of shape (B, n); `present` is False where a tile gets fewer."""
        fewest, most = self.layer_range
        if not most:
            none = np.empty((len(seeds), 0), np.int64)
            return none, none.astype(bool), none, none
        chance = iter(uniform_of(seeds, 1 + 3 * most))
        count = fewest + (next(chance) * (most - fewest + 1)).astype(np.int64)
        layer = np.empty((len(seeds), most), np.int64)
        picks = np.stack([next(chance) for _ in range(most)], axis=1)
        for kind in np.unique(kinds):
            here = kinds == kind
            layers = self._candidates[kind]
            layer[here] = layers[distinct(picks[here], len(layers))]
        y, x = (
            (np.stack([next(chance) for _ in range(most)], axis=1) * (lengths[layer] - self.size + 1)).astype(np.int64)
            for lengths in (self._rows, self._columns)
        )
        return layer, np.arange(most) < count[:, None], y, x


def uniform_of(seeds: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Turn seeds into random numbers, each seed into the same ones wherever it stands.

    Parameters
    ----------
    seeds : ndarray of int64, shape (B,)
    count : int

    Returns
    -------
    ndarray of float64, shape (count, B)
        Uniform in [0, 1).

    References
    ----------
    The SplitMix64 generator: Steele, Lea & Flood 2014 (OOPSLA).
    """
    steps = np.arange(1, count + 1, dtype=np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    z = seeds.astype(np.uint64) + steps
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def distinct(chances: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Turn random numbers into choices, no choice twice in a row of them if there are enough.

    Parameters
    ----------
    chances : ndarray of float64, shape (B, n)
        Uniform in [0, 1).
    count : int
        Number of things to choose from.

    Returns
    -------
    ndarray of int64, shape (B, n)
        From 0 to below `count`.
    """
    wanted = chances.shape[1]
    if wanted > count:
        return (chances * count).astype(np.int64)
    chosen: list[NDArray[np.int64]] = []
    for n in range(wanted):
        # One of those that are left, counted without the ones that were chosen before.
        choice = (chances[:, n] * (count - n)).astype(np.int64)
        for earlier in np.sort(np.array(chosen, np.int64).reshape(n, len(chances)), axis=0):
            choice += choice >= earlier
        chosen.append(choice)
    return np.stack(chosen, axis=1)


class TileDraws(Sampler[Draw]):
    """Draws of tiles for one epoch: a function of seed, epoch and rank, so that a resumed run goes on as it was.

    Parameters
    ----------
    tiles : ndarray of int64
        The tiles to draw from.
    seed : int
    count : int, optional
        Tiles an epoch; all of them by default. More tiles than there are repeat some.
    groups : ndarray of str, optional
        Group of each tile: every group is then drawn equally often.
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
        groups: NDArray[np.str_] | None = None,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.tiles, self.seed, self.groups, self.shuffle = tiles, seed, groups, shuffle
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
            order = self._balanced(rng) if self.groups is not None else self._in_turn()
            seeds = rng.integers(0, 2**62, self.count)
        mine = slice(self.rank, None, self.world_size)
        yield from list(zip(order[mine].tolist(), seeds[mine].tolist(), strict=True))[: len(self)]

    def _balanced(self, rng: np.random.Generator) -> NDArray[np.int64]:
        assert self.groups is not None
        names, inverse = np.unique(self.groups, return_inverse=True)
        chances = 1.0 / np.bincount(inverse)[inverse] / len(names)
        return rng.choice(self.tiles, self.count, p=chances)

    def _in_turn(self) -> NDArray[np.int64]:
        # One endless row of shuffled rounds, cut into epochs: every tile comes before any comes again.
        first, last = self.epoch * self.count, (self.epoch + 1) * self.count
        rounds = range(first // len(self.tiles), -(-last // len(self.tiles)))
        row = [np.random.default_rng([self.seed, 1, n]).permutation(self.tiles) for n in rounds]
        start = first - rounds[0] * len(self.tiles)
        return np.concatenate(row)[start : start + self.count]
