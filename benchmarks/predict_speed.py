"""Speed and memory of mapping one 2051 x 4096 chip with the deepCR 2-32 shape on the CPU.

The peer is the same network run plainly, as deepCR runs it: 256-pixel patches that only touch, in the memory
layout and with the allocator that PyTorch comes with. Each measurement is a process of its own, since the
allocator is set for a whole process; ours and the peer's take turns.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch
from report import Row, parser, publish

from deepcr_lightning.allocator import keep_freed_memory
from deepcr_lightning.batches.normalise import normalise
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.prediction.sliding_window import predict_probability

SHAPE = (2051, 4096)
ROUNDS = 3
WARM_UP_ROWS = 256
PEER = "plain patches of 256 px"


def main() -> None:
    """Measure in turns and print the ratios."""
    options = parser(__doc__)
    options.add_argument("--tile", type=int, default=512, help="largest side of our tiles")
    options.add_argument("--measure", nargs=2, metavar=("WHAT", "THREADS"), help="used by the benchmark itself")
    chosen = options.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure[0], int(chosen.measure[1]), chosen.tile)))
        return
    rows = []
    for threads in (1, 2):
        speeds: dict[str, list[float]] = {"ours": [], "peer": []}
        memory: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(ROUNDS):
            for what in speeds:
                command = [sys.executable, __file__, "--tile", str(chosen.tile), "--measure", what, str(threads)]
                result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                speeds[what].append(result["speed"])
                memory[what].append(result["memory"])
        ours, peer = median(speeds["ours"]), median(speeds["peer"])
        rows.append(Row(f"chip, {threads} thread(s)", ours, "Mpix/s", PEER, peer, ours / peer))
        ours, peer = max(memory["ours"]), max(memory["peer"])
        rows.append(Row(f"peak above imports, {threads} thread(s)", ours, "MiB", PEER, peer, peer / ours))
    publish(rows, chosen.json)


def measure(what: str, threads: int, tile: int) -> dict[str, float]:
    """Map a chip in this process: Mpix/s after a warm-up, and peak memory above the imports in MiB."""
    torch.set_num_threads(threads)
    before = peak_memory()
    if what == "ours":
        keep_freed_memory()
    torch.manual_seed(0)
    net = UNet(2, 32).eval()
    rng = np.random.default_rng(0)
    electrons = rng.normal(30, 6, SHAPE).astype(np.float32)
    if what == "ours":
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        def run(image: np.ndarray) -> None:
            predict_probability(net, image, 30.0, 6.0, margin=net.margin, step=net.step, tile=tile)
    else:

        def run(image: np.ndarray) -> None:
            plain(net, image)

    with torch.inference_mode():
        run(electrons[:WARM_UP_ROWS])
        start = time.perf_counter()
        run(electrons)
        seconds = time.perf_counter() - start
    return {"speed": electrons.size / seconds / 1e6, "memory": peak_memory() - before}


def plain(net: UNet, electrons: np.ndarray, patch: int = 256) -> np.ndarray:
    """Map a chip in patches that only touch."""
    image = normalise(torch.from_numpy(electrons), 30.0, 6.0)
    probability = torch.empty_like(image)
    for top in range(0, image.shape[0], patch):
        for left in range(0, image.shape[1], patch):
            cut = np.s_[top : top + patch, left : left + patch]
            probability[cut] = torch.sigmoid(net(image[cut][None, None]))[0, 0]
    return probability.numpy()


def peak_memory() -> float:
    """Return the peak resident memory of this process in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
