"""The planes of a tile store as tensors: on the accelerator, in memory, or mapped from disk."""

from __future__ import annotations

import os
import warnings

import torch
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.tiles.store import TileStore

CACHES = ("auto", "device", "memory", "disk")
_SHARE = 0.5
"""A store may take so much of what is free."""


class TileBank:
    """Sky tiles and CR layers to cut batches from, whole batches at a time.

    The same few lines serve every medium: the tensors are views of the mapped files until `load` copies them.

    Parameters
    ----------
    store : TileStore
    """

    def __init__(self, store: TileStore) -> None:
        self.size = store.electrons.shape[-1]
        self.widths = sorted({layer.columns for layer in store.layers})
        with warnings.catch_warnings():
            # PyTorch has no tensors that are read-only. These are only ever indexed, which copies.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self.planes = {name: torch.from_numpy(plane) for name, plane in store.planes().items()}

    @property
    def bytes(self) -> int:
        """What the planes take."""
        return sum(plane.nbytes for plane in self.planes.values())

    @property
    def device(self) -> torch.device:
        """Where batches are cut."""
        return self.planes["electrons"].device

    def load(self, device: torch.device) -> None:
        """Copy the planes to a device; to the memory of this process if that is the CPU."""
        self.planes = {name: plane.to(device, copy=True) for name, plane in self.planes.items()}

    def cut(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put the planes of a batch in the place of what says where they are.

        Parameters
        ----------
        batch : dict of Tensor
            ``tile`` (B,) int64, number of each tile; ``first`` and ``width`` (B, n) int64, the place of the first
            pixel of each CR layer among all pixels of layers, and its row length; ``dark_time`` (B, n) float32, 0
            where there is no layer. On the device of the bank.

        Returns
        -------
        dict of Tensor
            ``electrons`` and ``usable`` (B, S, S), ``charge`` and ``kind`` (B, n, S, S), ``own_charge`` (B, S, S) where
            the store has it, and what else the batch held.
        """
        rest = dict(batch)
        tile, first, width = (rest.pop(name) for name in ("tile", "first", "width"))
        tiles = {name: plane[tile] for name, plane in self.planes.items() if name not in ("charge", "kind")}
        none = (batch["dark_time"] == 0)[..., None, None]
        layers = {
            name: self._windows(self.planes[name], first, width).masked_fill_(none, 0) for name in ("charge", "kind")
        }
        return {**tiles, **layers, **rest}

    def _windows(self, pixels: Tensor, first: Tensor, width: Tensor) -> Tensor:
        if len(self.widths) == 1:
            return self._of_width(pixels, self.widths[0])[first]
        cut = pixels.new_zeros((*first.shape, self.size, self.size))
        for columns in self.widths:
            here = width == columns
            cut[here] = self._of_width(pixels, columns)[first[here]]
        return cut

    def _of_width(self, pixels: Tensor, columns: int) -> Tensor:
        # Every window of a layer is a strided view of the flat row of pixels: to index it copies whole rows.
        last = pixels.numel() - (self.size - 1) * columns - self.size
        return pixels.as_strided((last + 1, self.size, self.size), (1, columns, 1))


def choose_cache(asked: str, needed: int, device: torch.device, processes: int = 1) -> str:
    """Choose where the planes of a store are kept.

    Parameters
    ----------
    asked : {"auto", "device", "memory", "disk"}
        ``auto`` takes the accelerator if the planes fill at most half of what is free there, else the memory under
        the same condition, else the files as they are, which the operating system caches.
    needed : int
        Bytes of the planes.
    device : torch.device
        Where the network trains.
    processes : int
        Processes of this machine, each of which keeps its own copy.

    Returns
    -------
    str
        ``device``, ``memory`` or ``disk``.

    Raises
    ------
    InputError
        If the planes do not fit where they were asked for.
    """
    free = {"memory": _free_memory() // processes, "device": 0, "disk": needed}
    if device.type == "cuda":
        free["device"] = torch.cuda.mem_get_info(device)[0]
    if asked == "auto":
        wanted = ("device", "memory") if device.type == "cuda" else ("memory",)
        return next((place for place in wanted if needed <= _SHARE * free[place]), "disk")
    if asked == "device" and device.type == "cpu":
        return "memory" if needed <= free["memory"] else "disk"
    if needed > free[asked]:
        raise InputError(
            f"data.cache={asked}: the tiles need {needed / 2**30:.1f} GiB, but only {free[asked] / 2**30:.1f} GiB "
            "are free there; use data.cache=auto"
        )
    return asked


def _free_memory() -> int:
    # Without what the system caches of files, which it would give up: rather too little than too much.
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0
