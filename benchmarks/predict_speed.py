"""Speed and memory of mapping one 2051 x 4096 chip on the CPU, against the public package deepCR at its best.

The same weights (those that deepCR publishes) on the same chip: deepCR in patches of every size and with every number
of jobs that is tried, the fastest of which is its best; then both in turns, each measurement a process of its own, as
the allocator is set for a whole process. The last rows set other shapes of ours, named by --shapes, against it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from statistics import median
from typing import Any

import numpy as np
import torch
from report import Row, parser, publish

from deepcr_lightning.console.allocator import keep_freed_memory
from deepcr_lightning.networks.fused import fused
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.prediction.sliding_window import predict_probability

CHIP = (2051, 4096)
ROUNDS, WARM_UP_ROWS = 3, 256
WEIGHTS = ("ACS-WFC", "WFC3-UVIS")
PATCHES, JOBS = (256, 512, 1024), (1, 2)
SEAM = 8


def main() -> None:
    """Find the peer's best setting, measure in turns, print the ratios."""
    options = parser(__doc__)
    options.add_argument("--tile", type=int, default=1376, help="largest side of our tiles")
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument(
        "--shapes",
        nargs="+",
        default=["3-16-2"],
        metavar="DEPTH-HIDDEN[-FOLD]",
        help="other shapes to measure; those with a fold have a contrast plane, too",
    )
    options.add_argument("--measure", help="used by the benchmark itself")
    chosen = options.parse_args()
    if chosen.measure:
        print(json.dumps(measure(**json.loads(chosen.measure))))
        return
    rows: list[Row] = []
    for threads in chosen.threads:
        for name in WEIGHTS:
            rows += compare(name, threads, chosen.tile, chosen.shapes if name == WEIGHTS[0] else [])
    publish(rows, chosen.json)


def compare(name: str, threads: int, tile: int, shapes: list[str]) -> list[Row]:
    """Measure ours, the peer's best and our other shapes in turns."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/chip.npy", chip())
        return _compare(name, threads, tile, shapes, folder)


def _compare(name: str, threads: int, tile: int, shapes: list[str], folder: str) -> list[Row]:
    def run_way(way: str, **asked: Any) -> dict[str, float]:
        return run(threads=threads, chip_file=f"{folder}/chip.npy", map_file=f"{folder}/{way}.npy", **asked)

    settings = [{"patch": patch, "jobs": jobs} for patch in PATCHES for jobs in JOBS if jobs <= threads]
    tried = [(run_way("tried", what="deepCR", name=name, **at)["speed"], at) for at in settings]
    best = max(tried, key=lambda pair: pair[0])[1]
    peer = f"deepCR {name}, patch={best['patch']}, n_jobs={best['jobs']}"
    ways: dict[str, dict[str, Any]] = {"peer": {"what": "deepCR", "name": name, **best}}
    ways["ours"] = {"what": "ours", "name": name, "tile": tile}
    ways |= {shape: {"what": "shape", "name": shape, "tile": tile} for shape in shapes}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, asked in ways.items():
            found[way].append(run_way(way, **asked))
    difference = away_from_seams(*(np.load(f"{folder}/{way}.npy") for way in ("ours", "peer")), best["patch"])
    speed = {way: median(result["speed"] for result in results) for way, results in found.items()}
    memory = {way: max(result["memory"] for result in results) for way, results in found.items()}
    many = f"{threads} thread{'s' if threads > 1 else ''}"
    rows = [
        Row(f"{name}, {many}", speed["ours"], "Mpix/s", peer, speed["peer"], speed["ours"] / speed["peer"]),
        Row(f"memory, {name}, {many}", memory["ours"], "MiB", peer, memory["peer"], memory["peer"] / memory["ours"]),
        Row(f"difference, {name}", 1e6 * difference, "x 1e-6", f"{peer}, {SEAM} pixels off its seams", 0.0, 1.0),
    ]
    for shape in shapes:
        rows.append(Row(f"{shape}, {many}", speed[shape], "Mpix/s", peer, speed["peer"], speed[shape] / speed["peer"]))
        rows.append(
            Row(f"memory, {shape}, {many}", memory[shape], "MiB", peer, memory["peer"], memory["peer"] / memory[shape])
        )
    return rows


def run(**asked: Any) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, os.path.abspath(__file__), "--measure", json.dumps(asked)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(asked["threads"] // asked.get("jobs", 1) or 1)}
    with tempfile.TemporaryDirectory() as folder:  # deepCR leaves files where it runs
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=folder)
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    what: str, name: str, threads: int, chip_file: str, map_file: str, tile: int = 0, patch: int = 0, jobs: int = 1
) -> dict[str, float]:
    """Map a chip in this process: Mpix/s after a warm-up, and peak memory above the imports in MiB."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(max(1, threads // jobs))
    if what == "deepCR":
        from deepCR import deepCR

        before = peak_memory()
        package = deepCR(mask=name)

        def work(image: np.ndarray) -> np.ndarray:
            return package.clean(image, binary=False, segment=True, patch=patch, n_jobs=jobs)
    else:
        from deepcr_lightning.models.model import load_model
        from deepcr_lightning.networks.scale import OURS, SCALES

        before = peak_memory()
        keep_freed_memory()
        if what == "shape":
            depth, hidden, *folded = (int(number) for number in name.split("-"))
            net = UNet(depth, hidden, contrast=bool(folded), fold=folded[0] if folded else 1).eval()
            net, scale = net.to(memory_format=torch.channels_last), SCALES[OURS]
        else:
            model = load_model(name)
            net, scale = model.net, model.scale

        fast = fused(net)

        def work(image: np.ndarray) -> np.ndarray:
            levels = scale.levels(image, np.ones(image.shape, bool))
            return predict_probability(
                fast, image, *levels, scale=scale.apply, margin=net.margin, step=net.step, tile=tile
            )

    electrons = np.load(chip_file)
    work(electrons[:WARM_UP_ROWS])
    start = time.perf_counter()
    found = work(electrons)
    seconds = time.perf_counter() - start
    peak = peak_memory()
    np.save(map_file, found)
    return {"speed": electrons.size / seconds / 1e6, "memory": peak - before}


def chip(shape: tuple[int, int] = CHIP) -> np.ndarray:
    """Make a chip of noise and bright pixels."""
    rng = np.random.default_rng(0)
    electrons = rng.normal(30, 6, shape)
    electrons[rng.random(shape) < 0.02] += 500
    return electrons.astype(np.float32)


def away_from_seams(ours: np.ndarray, theirs: np.ndarray, patch: int) -> float:
    """Return the largest difference where a patch of the peer sees all that it needs."""
    shape = ours.shape
    inside = [(np.arange(length) % patch >= SEAM) & (np.arange(length) % patch < patch - SEAM) for length in shape]
    for axis, length in zip(inside, shape, strict=True):
        axis[length - SEAM :] = False
    return float(np.abs(ours - theirs)[np.ix_(*inside)].max())


def peak_memory() -> float:
    """Return the peak resident memory of this process in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
