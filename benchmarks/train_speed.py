"""Training speed: the same tiles, darks and network through our loop and through that of the package deepCR.

Both train the published network (depth 2, 32 channels, batch norm) on the same simulated tiles and dark cosmic rays,
in batches of 16; deepCR by its own class `train`, mode simulate, with the shim that its scheduler needs on today's
PyTorch. Each measurement is a process of its own, the two in turns, since the allocator is set for a whole process. The
other rows set our loop against the same network on one fixed batch, which is what the data path costs, and the
arithmetic of a step against that of a matrix product. With --curves both train for so many steps, and their losses
(plain cross-entropy, a label where the dark has a CR) are set side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from arithmetic import MATRIX, flops, matrix_peak
from report import Row, parser, publish
from torch import Tensor

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.console.allocator import keep_freed_memory
from deepcr_lightning.simulation import simulate_set
from deepcr_lightning.tiles.dark_cr import COSMIC_RAY
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

ROUNDS, SECONDS, BATCH, SIZE = 5, 12.0, 16, 256
MILD = {"turns": True, "flux": [0.5, 1.0], "sky": [-0.3, 0.5], "charge": [0.7, 1.4], "layers": [1, 2]}
PEER_HIDDEN = 32
QUARTERS = ("first quarter", "second quarter", "third quarter", "last quarter")


def main() -> None:
    """Measure in turns and print the ratios."""
    options = parser(__doc__)
    options.add_argument("--hidden", type=int, nargs="+", default=[32, 16, 8], help="widths of the network to measure")
    options.add_argument("--curves", type=int, metavar="STEPS", help="compare losses over so many steps instead")
    options.add_argument("--measure", help="used by the benchmark itself")
    chosen = options.parse_args()
    if chosen.measure:
        print(json.dumps(measure(**json.loads(chosen.measure))))
        return
    with tempfile.TemporaryDirectory() as folder:
        simulate_set(folder, filters=["F814W"], exposures=8, darks=6, size=(512, 1024), chips=1, progress=False)
        open_data(folder)  # builds the store that all processes share
        publish(curves(chosen.curves, folder) if chosen.curves else compare(chosen, folder), chosen.json)


def compare(chosen: argparse.Namespace, folder: str) -> list[Row]:
    """Measure all ways in turns, each in a process of its own."""
    ways: dict[str, dict[str, Any]] = {
        "deepCR": {"what": "deepCR", "hidden": PEER_HIDDEN},
        "ours": {"what": "ours", "hidden": PEER_HIDDEN, "norm": "batch", "loss": "bce"},
    }
    ways |= {f"2-{hidden}": {"what": "ours", "hidden": hidden} for hidden in chosen.hidden}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, asked in ways.items():
            found[way].append(run(folder=folder, **asked))

    def middle(way: str, what: str) -> float:
        return median(result[what] for result in found[way])

    ratio = median(a["fed"] / b["fed"] for a, b in zip(found["ours"], found["deepCR"], strict=True))
    name = f"U-Net 2-{PEER_HIDDEN}, batch norm, batch of {BATCH}"
    rows = [Row(name, middle("ours", "fed"), "tiles/s", "deepCR's train", middle("deepCR", "fed"), ratio)]
    for hidden in chosen.hidden:
        way = f"2-{hidden}"
        fed, alone, peer = middle(way, "fed"), middle(way, "alone"), middle("deepCR", "fed")
        rows.append(Row(f"U-Net {way}", fed, "tiles/s", "the network alone", alone, middle(way, "share")))
        rows.append(Row(f"U-Net {way}", fed, "tiles/s", "deepCR's 2-32", peer, fed / peer))
        used, peak = middle(way, "gflops"), middle(way, "peak")
        rows.append(Row(f"U-Net {way}, arithmetic", used, "Gflop/s", f"product of {MATRIX}", peak, used / peak))
    return rows


def curves(steps: int, folder: str) -> list[Row]:
    """Train both for some steps and lay their losses side by side, by quarters."""
    peer = run(folder=folder, what="deepCR", hidden=PEER_HIDDEN, steps=steps)
    ours = run(folder=folder, what="ours", hidden=PEER_HIDDEN, norm="batch", loss="bce", steps=steps)
    return [
        Row(f"loss, {part} of {steps} steps", ours[part], "", "deepCR's train", peer[part], peer[part] / ours[part])
        for part in QUARTERS
    ]


def by_quarters(losses: list[float]) -> dict[str, float]:
    """Mean loss of each quarter of the steps."""
    return {part: float(some.mean()) for part, some in zip(QUARTERS, np.array_split(losses, 4), strict=True)}


def run(**asked: Any) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, os.path.abspath(__file__), "--measure", json.dumps(asked)]
    with tempfile.TemporaryDirectory() as folder:  # deepCR leaves files where it runs
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    folder: str, what: str, hidden: int, norm: str = "none", loss: str = "calibrated_bce", steps: int = 0
) -> dict[str, float]:
    """Train in this process, for some seconds or, if they are given, for some steps."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    if what == "deepCR":
        return measure_peer(folder, hidden, steps)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    return measure_ours(folder, {"hidden": hidden, "norm": norm}, loss, steps, device)


def open_data(folder: str, batch: int = BATCH) -> LabelFreeDataModule:
    """Open the exposures as training does."""
    data = LabelFreeDataModule(
        f"{folder}/science",
        f"{folder}/darks",
        tile_size=SIZE,
        tiles_per_epoch=100_000,
        batch_size=batch,
        augmentation=MILD,
        store_dir=f"{folder}/tiles",
        cache="memory",
    )
    data.prepare_data()
    data.setup()
    return data


def measure_ours(
    folder: str,
    network: Mapping[str, Any],
    loss: str,
    steps: int,
    device: torch.device,
    batch: int = BATCH,
    seconds: float = SECONDS,
) -> dict[str, float]:
    """Train by our data module and module, fed and on a fixed batch in turns."""
    data = open_data(folder, batch)
    assert data.bank is not None
    if device.type == "cuda":
        data.bank.load(device)
    model = CosmicRaySegmenter(**network, loss=loss).to(device).train()
    optimizer = torch.optim.AdamW(model.net.parameters(), lr=3e-3, fused=True)
    losses: list[Tensor] = []

    def step(batch: dict[str, Tensor]) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(batch["image"])
        value = model.loss(logits.float(), batch["cr_mask"], batch["ignore"], batch["dark_share"])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.detach())

    with patch.object(type(data), "trainer", _Training(), create=True):
        batches = iter(data.train_dataloader())

        def composed() -> dict[str, Tensor]:
            batch = {name: tensor.to(device, non_blocking=True) for name, tensor in next(batches).items()}
            return data.on_after_batch_transfer(batch, 0)

        if steps:
            for _ in range(steps):
                step(composed())
            return by_quarters(torch.stack(losses).tolist())
        fixed = composed()
        ways: dict[str, Callable[[], None]] = {"fed": lambda: step(composed()), "alone": lambda: step(fixed)}
        # In turns: the machine's own ups and downs fall out of the share.
        speeds = in_turns(ways, device, batch, seconds)
    peak = matrix_peak(device)
    fed, alone = median(speeds["fed"]), median(speeds["alone"])
    return {
        "fed": fed,
        "alone": alone,
        "share": median(a / b for a, b in zip(speeds["fed"], speeds["alone"], strict=True)),
        "gflops": alone * flops(model, fixed) / batch / 1e9,
        "peak": peak,
    }


class _Training:
    """What the data module asks its trainer."""

    training, global_rank, world_size = True, 0, 1


def in_turns(
    ways: dict[str, Callable[[], None]], device: torch.device, batch: int, seconds: float
) -> dict[str, list[float]]:
    """Tiles a second of each way, several times in turns."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for act in ways.values():
        act()
    wait()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(speeds["alone"]) < 2:
        for way, act in ways.items():
            start, steps = time.perf_counter(), 0
            while time.perf_counter() < start + 1 or not steps:
                act()
                wait()
                steps += 1
            speeds[way].append(steps * batch / (time.perf_counter() - start))
    return speeds


def measure_peer(folder: str, hidden: int, wanted: int) -> dict[str, float]:
    """Train by the loop of the package deepCR on the same tiles and layers."""
    from deepCR import training

    data = open_data(folder)
    assert data.store is not None
    store, rng = data.store, np.random.default_rng(0)
    tiles = np.array(store.electrons)
    layers = np.stack(list(cut_layers(data, rng, len(tiles))))
    with ExitStack() as stack:
        scheduler = training.ReduceLROnPlateau
        stack.enter_context(patch.object(training, "ReduceLROnPlateau", lambda *a, verbose, **k: scheduler(*a, **k)))
        peer = training.train(
            tiles, layers, mode="simulate", aug_img=(0.5, 1.0), batch_size=BATCH, hidden=hidden, verbose=False
        )
    losses: list[float] = []
    backward = peer.backward_network

    def kept() -> Tensor:
        loss = backward()
        losses.append(float(loss))
        return loss

    peer.backward_network = kept
    peer.network.train()
    steps, start = 0, 0.0
    while True:
        for batch in peer.TrainLoader:
            if steps == 1:
                start = time.perf_counter()
            peer.optimize_network(batch)
            steps += 1
            if wanted and steps == wanted:
                return by_quarters(losses)
            if not wanted and steps > 3 and time.perf_counter() > start + SECONDS:
                return {"fed": (steps - 1) * BATCH / (time.perf_counter() - start)}


def cut_layers(data: LabelFreeDataModule, rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Cut charge and mask of CRs from darks, as many as there are tiles."""
    assert data.store is not None
    for n in range(count):
        layer = n % len(data.store.layers)
        info = data.store.layers[layer]
        y, x = (int(rng.integers(0, length - SIZE, endpoint=True)) for length in (info.rows, info.columns))
        place = np.s_[y : y + SIZE, x : x + SIZE]
        mask = data.store.kind(layer)[place] == COSMIC_RAY
        yield np.stack([data.store.charge(layer)[place], mask]).astype(np.float32)


if __name__ == "__main__":
    main()
