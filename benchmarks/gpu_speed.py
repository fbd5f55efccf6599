"""Speed on a GPU: mapping and filling a 2051 x 4096 chip, and training, each against a peer in the same run.

Mapping: the weights that deepCR publishes for ACS/WFC through ours and through the package deepCR on the same GPU, in
the fastest of its patches, and our default shape. Filling: the network of experiment=inpaint on the GPU against the
same on the CPU of the machine. Training: our loop, fed, against the same network on one fixed batch, as train_speed.py
does. Medians of several rounds after a warm-up, in turns; of filling on the CPU, one call.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from predict_speed import CHIP, away_from_seams, chip
from report import Row, parser, publish
from train_speed import measure_ours

from deepcr_lightning.inpainting.filler import load_filler
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.simulation import simulate_set

WEIGHTS = "ACS-WFC"
PATCHES = (256, 1024, 2048, 4096)
ROUNDS, BATCHES, SECONDS = 5, (16, 64), 5.0
MEGAPIXELS = CHIP[0] * CHIP[1] / 1e6
Work = Callable[[], NDArray[np.float32]]


def main() -> None:
    """Measure in turns and print the ratios."""
    options = parser(__doc__)
    options.add_argument("--fill-ckpt-path", help="best.ckpt of a run of experiment=inpaint, to fill as well")
    options.add_argument("--device", default="cuda", help="another than the GPU is for trying the benchmark out")
    chosen = options.parse_args()
    if chosen.device == "cuda":
        print(torch.cuda.get_device_name())
    warnings.simplefilter("ignore")
    rows = mapping(chosen.device)
    if chosen.fill_ckpt_path:
        rows += filling(chosen.fill_ckpt_path, chosen.device)
    publish([*rows, *training(chosen.device)], chosen.json)


def mapping(device: str) -> list[Row]:
    """Map a chip with ours and with the package, and compare the maps."""
    from deepCR import deepCR

    image = chip()
    package = deepCR(mask=WEIGHTS, device="GPU" if device == "cuda" else "CPU")

    def theirs(patch: int) -> Work:
        return lambda: package.clean(image, binary=False, segment=True, patch=patch)

    def ours(name: str) -> Work:
        finder = CosmicRayFinder(load_model(name), device=device)
        return lambda: finder.probability(image)

    ways = {f"deepCR, patch={patch}": theirs(patch) for patch in PATCHES}
    tried = {way: seconds({way: work}, 1)[way] for way, work in ways.items()}
    peer = min(tried, key=lambda way: tried[way])
    patch = int(peer.rpartition("=")[2])
    took = seconds({"ours": ours(WEIGHTS), "default": ours("universal"), "peer": ways[peer]}, ROUNDS)
    difference = away_from_seams(ours(WEIGHTS)(), ways[peer](), patch)
    speed = {way: MEGAPIXELS / one for way, one in took.items()}
    return [
        Row(f"{WEIGHTS}, 2-32", speed["ours"], "Mpix/s", peer, speed["peer"], speed["ours"] / speed["peer"]),
        Row("our default, 2-16", speed["default"], "Mpix/s", peer, speed["peer"], speed["default"] / speed["peer"]),
        Row(f"difference, {WEIGHTS}", 1e6 * difference, "x 1e-6", f"{peer}, off its seams", 0.0, 1.0),
    ]


def filling(path: str, device: str) -> list[Row]:
    """Fill a chip with 2 per cent of its pixels masked, on the device and on the CPU."""
    image = chip()
    mask = np.random.default_rng(1).random(CHIP) < 0.02
    on_gpu, on_cpu = load_filler(path, device), load_filler(path)
    took = seconds({"gpu": lambda: on_gpu(image, mask)}, ROUNDS)["gpu"]
    start = time.perf_counter()
    expected = on_cpu(image, mask)
    slow = time.perf_counter() - start
    off = np.abs(on_gpu(image, mask) - expected)[mask]
    threads = f"{torch.get_num_threads()} CPU threads"
    return [
        Row("filling", MEGAPIXELS / took, "Mpix/s", threads, MEGAPIXELS / slow, slow / took),
        Row("difference, filling", float(np.percentile(off, 99)), "e-", f"{threads}, 99th percentile", 0.0, 1.0),
    ]


def seconds(ways: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median seconds of each way, in turns, after a warm-up. The maps come back to the CPU: none is still at work."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            found[way].append(time.perf_counter() - start)
    return {way: median(values) for way, values in found.items()}


def training(device: str) -> list[Row]:
    """Train networks with the tiles on the device, fed and on a fixed batch in turns."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        simulate_set(folder, filters=["F814W"], exposures=8, darks=6, size=(512, 1024), chips=1, progress=False)
        for hidden, norm in ((32, "batch"), (16, "none")):
            for batch in BATCHES:
                settings = folder, hidden, norm, "calibrated_bce", 0, torch.device(device)
                found = measure_ours(*settings, batch=batch, seconds=SECONDS)
                name = f"U-Net 2-{hidden}, batch of {batch}"
                rows.append(Row(name, found["fed"], "tiles/s", "the network alone", found["alone"], found["share"]))
    return rows


if __name__ == "__main__":
    main()
