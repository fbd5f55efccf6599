"""Where the tiles of a store are read from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from deepcr_lightning.batches.bank import TileBank, choose_cache
from deepcr_lightning.errors import InputError
from deepcr_lightning.tiles.build import build_store
from deepcr_lightning.tiles.store import TileStore


def test_the_place_of_the_tiles_is_chosen_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcr_lightning.batches import bank

    cpu = torch.device("cpu")
    monkeypatch.setattr(bank, "_free_memory", lambda: 1000)
    assert choose_cache("auto", 400, cpu) == "memory"
    assert choose_cache("auto", 400, cpu, processes=2) == "disk", "each process keeps its own copy"
    assert choose_cache("auto", 600, cpu) == "disk"
    assert choose_cache("memory", 900, cpu) == "memory"
    assert choose_cache("disk", 9000, cpu) == "disk"
    with pytest.raises(InputError, match=r"data\.cache=memory: the tiles need .* are free there"):
        choose_cache("memory", 1100, cpu)


def test_a_store_larger_than_the_memory_of_the_machine_is_read(survey: Path, tmp_path: Path) -> None:
    folder = build_store(
        tmp_path, sorted((survey / "science").iterdir()), sorted((survey / "darks").iterdir()), 64
    ).folder
    size = 1 << 14
    count = 1 + 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (4 * size**2)
    with np.load(folder / "table.npz") as table:
        np.savez(tmp_path / "table.npz", **{name: np.resize(column, count) for name, column in table.items()})
    os.replace(tmp_path / "table.npz", folder / "table.npz")
    info = json.loads((folder / "store.json").read_text())
    layers = [{**info["layers"][0], "start": 0, "rows": size, "columns": size}]
    (folder / "store.json").write_text(json.dumps({"tile_size": size, "tiles": count, "layers": layers}))
    for name, length in (("tiles", 4 * count), ("usable", count), ("layers", 4), ("layers_kind", 1)):
        os.truncate(folder / f"{name}.bin", length * size**2)  # holes: they take no room on the disk
    bank = TileBank(TileStore(folder))
    assert choose_cache("auto", bank.bytes, torch.device("cpu")) == "disk"
    assert bank.planes["electrons"][count - 1, -1, -3:].tolist() == [0, 0, 0]
