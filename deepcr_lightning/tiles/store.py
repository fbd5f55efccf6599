"""Tiles and CR layers on disk, built once and memory-mapped."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.tiles.sky_tiles import SkyTile

_MODE: Literal["r"] = "r"
"""Read-only: what a process may write to, if only for itself, the system counts as memory of its own, and refuses a
store that is larger than the memory of the machine."""

COLUMNS = tuple(f.name for f in fields(SkyTile) if f.name not in ("electrons", "usable", "own_charge"))
"""What is kept of a tile beside its planes."""


@dataclass(frozen=True, eq=False)
class LayerInfo:
    """Where one CR layer lies in ``layers.bin`` and ``layers_kind.bin``, and which dark it came from."""

    file: str
    visit: str
    chip: int
    cr_time: float
    start: int
    rows: int
    columns: int
    noise: float = 0.0
    camera: str = ""


class TileStore:
    """Sky tiles and CR layers of one set of files, read-only.

    Parameters
    ----------
    folder : Path
        A folder that `tiles.build.build_store` made.

    Attributes
    ----------
    electrons : memory-mapped ndarray of float32, shape (N, size, size)
    usable : memory-mapped ndarray of bool, shape (N, size, size)
    table : dict of str to ndarray, shape (N,)
        The other attributes of `SkyTile`, by name.
    own_charge : memory-mapped ndarray of float32, shape (N, size, size), or None
        True charge of the tiles' own CRs, in a store that was built with truth.
    layers : list of LayerInfo

    Raises
    ------
    InputError
        If it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._open(folder)
        except Exception as error:  # JSON, NumPy and the file system raise a dozen kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{folder}: the tile store is damaged ({reason}); remove it, and it will be rebuilt"
            ) from error

    def _open(self, folder: Path) -> None:
        info = json.loads((folder / "store.json").read_text())
        size, count = info["tile_size"], info["tiles"]
        shape = (count, size, size)
        self.electrons: NDArray[np.float32] = _mapped(folder / "tiles.bin", np.float32, shape)
        self.usable: NDArray[np.bool_] = _mapped(folder / "usable.bin", np.bool_, shape)
        own = folder / "own_charge.bin"
        self.own_charge = _mapped(own, np.float32, shape) if own.exists() else None
        with np.load(folder / "table.npz") as table:
            self.table: dict[str, NDArray] = {name: table[f"tile_{name}"] for name in COLUMNS}
        self.layers = [LayerInfo(**row) for row in info["layers"]]
        _check(size, count, self.table, self.layers)
        pixels = (sum(layer.rows * layer.columns for layer in self.layers),)
        self._charge: NDArray[np.float32] = _mapped(folder / "layers.bin", np.float32, pixels)
        self._kind: NDArray[np.uint8] = _mapped(folder / "layers_kind.bin", np.uint8, pixels)

    def __len__(self) -> int:
        return len(self.electrons)

    def charge(self, layer: int) -> NDArray[np.float32]:
        """Charge of one layer (`tiles.dark_cr.CRLayer`), in electrons; shape (rows, columns), memory-mapped."""
        return self._plane(self._charge, layer)

    def kind(self, layer: int) -> NDArray[np.uint8]:
        """Kind of each pixel of one layer (`tiles.dark_cr.CRLayer`); shape (rows, columns), memory-mapped."""
        return self._plane(self._kind, layer)

    def planes(self) -> dict[str, NDArray[Any]]:
        """All pixels: ``electrons``, ``usable`` and, where there is truth, ``own_charge``; and ``charge`` and ``kind``.

        The last two are flat, layer after layer as `LayerInfo` says. All are memory-mapped.
        """
        tiles = {"electrons": self.electrons, "usable": self.usable}
        own = {} if self.own_charge is None else {"own_charge": self.own_charge}
        return {**tiles, **own, "charge": self._charge, "kind": self._kind}

    def _plane(self, planes: NDArray[Any], layer: int) -> NDArray[Any]:
        info = self.layers[layer]
        return planes[info.start : info.start + info.rows * info.columns].reshape(info.rows, info.columns)


def _check(size: int, count: int, table: dict[str, NDArray], layers: list[LayerInfo]) -> None:
    """Raise ValueError if a store does not hold together."""
    whole = [size, count, *(n for layer in layers for n in (layer.start, layer.rows, layer.columns))]
    if not all(isinstance(number, int) and number >= 0 for number in whole):
        raise ValueError("a size is not a number of pixels")
    if any(len(column) != count for column in table.values()):
        raise ValueError("its table has another length")
    start = 0
    for layer in layers:
        if layer.start != start:
            raise ValueError("its layers do not follow one another")
        start += layer.rows * layer.columns


def _mapped(path: Path, kind: type, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.memmap(path, kind, _MODE, shape=shape) if shape[0] else np.empty(shape, kind)
