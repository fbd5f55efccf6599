"""What the data path costs in training: steps fed by loader and composition against the network alone.

Both train the same network on the same device; alone means one fixed, composed batch, again and again. The
exposures are simulated. The two take turns, and each figure is a median over the rounds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from report import Row, parser, publish
from torch import Tensor

from deepcr_lightning.allocator import keep_freed_memory
from deepcr_lightning.batches.augment import Augmentation
from deepcr_lightning.batches.compose import compose_batch
from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.simulation import simulate_set
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

ROUNDS, STEPS, BATCH = 7, 3, 16
MILD = {"turns": True, "flux": [0.5, 1.0], "sky": [-0.3, 0.5], "charge": [0.7, 1.4], "layers": [1, 2]}


def main() -> None:
    """Measure in turns and print the ratios."""
    options = parser(__doc__)
    options.add_argument("--hidden", type=int, nargs="+", default=[32, 16, 8], help="widths of the network to measure")
    chosen = options.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder))
        publish([measure(data, hidden, device) for hidden in chosen.hidden], chosen.json)


def make_data(folder: Path) -> LabelFreeDataModule:
    """Simulate exposures and open them as training does."""
    simulate_set(folder, filters=["F814W"], exposures=6, darks=4, size=(512, 1024), chips=1, progress=False)
    data = LabelFreeDataModule(
        str(folder / "science"),
        str(folder / "darks"),
        tiles_per_epoch=10_000,
        batch_size=BATCH,
        augmentation=MILD,
        store_dir=str(folder / "tiles"),
    )
    data.prepare_data()
    data.setup()
    return data


def measure(data: LabelFreeDataModule, hidden: int, device: torch.device) -> Row:
    """Compare fed and fixed steps of one network."""
    torch.manual_seed(0)
    model = CosmicRaySegmenter(hidden=hidden).to(device)
    optimizer = torch.optim.AdamW(model.net.parameters())

    def step(batch: dict[str, Tensor]) -> None:
        logits = model(batch["image"]).float()
        loss = model.loss(logits, batch["cr_mask"], batch["ignore"], batch["dark_share"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def composed(batches: Iterator[dict[str, Tensor]]) -> dict[str, Tensor]:
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in next(batches).items()}
        generator = torch.Generator(device).manual_seed(int(batch["seed"][0]))
        return compose_batch(batch, generator, Augmentation.from_config(MILD))

    batches = iter(data.train_dataloader())
    fixed = composed(batches)
    ways: dict[str, Callable[[], None]] = {"fed": lambda: step(composed(batches)), "alone": lambda: step(fixed)}
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way, act in ways.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(STEPS):
                act()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn > 0:
                speeds[way].append(STEPS * BATCH / (time.perf_counter() - start))
    # Pairs of neighbours: the machine's own ups and downs fall out of the ratio.
    ratio = median(fed / alone for fed, alone in zip(speeds["fed"], speeds["alone"], strict=True))
    return Row(
        f"U-Net 2-{hidden}, batch of {BATCH}",
        median(speeds["fed"]),
        "tiles/s",
        "network alone",
        median(speeds["alone"]),
        ratio,
    )


if __name__ == "__main__":
    main()
