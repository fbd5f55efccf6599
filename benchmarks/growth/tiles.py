"""Time, memory and disk against the number of tiles of a store: opening it, setting a run up, drawing batches.

    python benchmarks/growth/tiles.py [--largest 1000000] [--figure PNG] [--json FILE]

The stores are simulated: their tables are those of full frames of many visits, their pixels are holes, which take no
room on the disk and read as zeros. A batch is drawn, cut and composed as in training, and no network sees it; a disk
that has to find real pixels takes longer. The disk that a real store takes is the size of its files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from curves import Curve, Panel, finish, options
from measured import Steps, by_count, measure, up_to
from scripts_in_forks import warm_up

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.tiles.store import COLUMNS, LayerInfo, TileStore

COUNTS = (1000, 10_000, 100_000, 1_000_000)
SIZE, TILES_A_FRAME, FRAMES_A_VISIT, DARKS = 256, 288, 4, 16
BATCHES, BATCH = 50, 16


def main(arguments: list[str] | None = None) -> None:
    """Measure stores of each size."""
    chosen = options(__doc__, COUNTS[-1]).parse_args(arguments)
    warm_up()
    counts = list(up_to(chosen.largest, COUNTS))
    found = by_count(counts, "tiles", store_of)
    units = {"a batch": "ms", "memory": "GB", "pixels": "GB", "table": "GB"}
    curves = {name: Curve(name, units.get(name, "s"), counts, values) for name, values in found.items()}
    room = [curves.pop(name) for name in ("pixels", "table", "memory")]
    batch = curves.pop("a batch")
    finish(
        chosen,
        [*curves.values(), batch, *room],
        [
            Panel("tiles", "seconds of a core", list(curves.values())),
            Panel("tiles", f"milliseconds a batch of {BATCH}", [batch], y="linear"),
            Panel("tiles", "GB", room),
        ],
    )


def store_of(count: int, folder: Path) -> dict[str, float]:
    """Measure a store of so many tiles."""
    simulate_store(folder / "store", count)
    pixels = sum(path.stat().st_size for path in (folder / "store").glob("*.bin"))
    table = (folder / "store" / "table.npz").stat().st_size
    taken = measure(lambda: use(folder), folder)
    steps = json.loads((folder / "steps.json").read_text())
    return {**steps, "memory": taken.memory / 1e9, "pixels": pixels / 1e9, "table": table / 1e9}


def simulate_store(folder: Path, count: int) -> None:
    """Write a store whose pixels are holes."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    frame, place = np.divmod(np.arange(count), TILES_A_FRAME)
    visit = frame // FRAMES_A_VISIT
    names = np.array([f"i{n:05d}" for n in range(visit[-1] + 1)])
    files = np.array([f"/data/survey/i{n // FRAMES_A_VISIT:05d}a{n % FRAMES_A_VISIT}q_flc.fits" for n in set(frame)])
    columns = {
        "sky": rng.uniform(20, 60, count),
        "noise": rng.uniform(4, 8, count),
        "filter": np.array(["F336W", "F814W"])[frame % 2],
        "visit": names[visit],
        "file": np.sort(files)[frame],
        "camera": np.full(count, "WFC3/UVIS 1x1"),
        "exposure_time": np.full(count, 500.0),
        "cr_time": np.full(count, 590.0),
        "chip": 1 + place // (TILES_A_FRAME // 2) % 2,
        "y": place,
        "x": place,
        "crowding": rng.uniform(0, 0.2, count),
        "star_width": np.full(count, 1.8),
        "spectrum": np.zeros(count, bool),
        "trailed": np.zeros(count, bool),
    }
    np.savez(folder / "table.npz", **{f"tile_{name}": columns[name] for name in COLUMNS})
    shape, chips = (2051, 4096), 2 * DARKS
    layers = [
        LayerInfo(f"/data/darks/idrk{n // 2:02d}d1q_flt.fits", f"idrk{n // 2:02d}", 1 + n % 2, 960.0,
                  n * shape[0] * shape[1], *shape, 3.0, "WFC3/UVIS 1x1")
        for n in range(chips)
    ]  # fmt: skip
    info = {"tile_size": SIZE, "tiles": count, "layers": [vars(layer) for layer in layers]}
    (folder / "store.json").write_text(json.dumps(info))
    (folder / "fingerprint.txt").write_text("simulated")  # of pixels, at the speed of the disk
    for name, length in (("tiles", 4 * count), ("usable", count)):
        _hole(folder / f"{name}.bin", length * SIZE**2)
    for name, length in (("layers", 4), ("layers_kind", 1)):
        _hole(folder / f"{name}.bin", length * chips * shape[0] * shape[1])


def _hole(path: Path, length: int) -> None:
    path.touch()
    os.truncate(path, length)


def use(folder: Path) -> None:
    """Open a store, set a run up, and draw batches as training does; leave the times."""
    steps = Steps()
    store = steps.take("open", lambda: TileStore(folder / "store"))
    data = LabelFreeDataModule("science", "darks", tile_size=SIZE, batch_size=BATCH, balance=["filter", "crowding"])
    data._open_store = lambda: store  # type: ignore[method-assign]  # it would look for the files of the table
    steps.take("set up", data.setup)
    steps.take("card", lambda: (data.card(), data.state_dict()))
    loader = data.train_dataloader()
    batches: Iterator[object] = steps.take("first batch", lambda: _begun(iter(loader), data))
    begun = time.process_time()
    for batch in islice(batches, BATCHES):
        data.on_after_batch_transfer(batch, 0)
    steps["a batch"] = 1e3 * (time.process_time() - begun) / BATCHES
    (folder / "steps.json").write_text(json.dumps(steps))


def _begun(batches: Iterator[object], data: LabelFreeDataModule) -> Iterator[object]:
    data.on_after_batch_transfer(next(batches), 0)
    return batches


if __name__ == "__main__":
    main()
