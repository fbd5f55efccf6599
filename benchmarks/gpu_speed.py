"""Speed on a GPU: chips to masks, the precision of masks, a survey, filling and training, each against a peer.

- masks: a chip in memory to its mask, chips one after another, and small images together, with the shipped model.
- deepcr: a chip with the shipped model and with the weights that deepCR publishes for ACS/WFC, against the package on
  the same GPU in the fastest of its patches.
- precision: pixels of a mask that differ from those in strict single precision.
- survey: full frames from file to mask file, the share of each stage, and the network alone.
- filling: the network that comes with the package, on the GPU against the same on the CPU of the machine.
- training: our loop, fed, against the same network on one fixed batch, as train_speed.py does.

Medians of several rounds in turns after a warm-up; of filling on the CPU, one call. All parts need PyTorch, NumPy,
SciPy and astropy; the survey also Lightning; training also Lightning, Hydra and OmegaConf; and the peer deepCR. A part
whose packages are not there is left out, and says so. ``--device cpu --small`` tries all out where there is no GPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from predict_speed import CHIP, away_from_seams, chip
from report import Row, parser, publish

from deepcr_lightning.inpainting.filler import load_filler
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.prediction.predictor import ExposurePredictor

WEIGHTS = "ACS-WFC"
PATCHES = (256, 1024, 2048, 4096)
TIMES_DEEPCR, MPIX_PER_SECOND, PIXELS_IN_1E5, OF_ALONE = 4.0, 300.0, 1.0, 0.9
NETWORKS = {
    "2-32, batch norm": {"hidden": 32, "norm": "batch"},
    "2-16": {"hidden": 16},
    "3-16-2, as shipped": {"depth": 3, "hidden": 16, "contrast": True, "fold": 2},
}
Work = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    chip: tuple[int, int] = CHIP
    small: tuple[int, int] = (512, 512)
    chips: int = 8
    images: int = 64
    frames: int = 8
    rounds: int = 5
    batches: tuple[int, ...] = (16, 64)
    seconds: float = 5.0


SMALL = Size((160, 192), (64, 64), 2, 3, 2, 1, (2,), 0.1)


def main() -> None:
    """Measure the parts that are asked for and print the ratios."""
    options = parser(__doc__)
    options.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    options.add_argument("--device", default="cuda", help="another than the GPU is for trying the benchmark out")
    options.add_argument("--small", action="store_true", help="small images and one round, for trying it out")
    chosen = options.parse_args()
    if chosen.device == "cuda":
        print(torch.cuda.get_device_name())
    warnings.simplefilter("ignore")
    rows = measured(chosen)
    publish(rows, chosen.json)


def measured(chosen: argparse.Namespace) -> list[Row]:
    """Measure part by part; one that lacks a package is left out."""
    rows: list[Row] = []
    for part in chosen.parts:
        try:
            rows += PARTS[part](chosen.device, SMALL if chosen.small else Size())
        except ImportError as error:
            print(f"{part}: left out, it needs the package {error.name}")
    return rows


def masks(device: str, size: Size) -> list[Row]:
    """Find the masks of a chip, of chips one after another, and of small images."""
    image, small = chip(size.chip), chip(size.small)
    finder = CosmicRayFinder(load_model(), device=device)
    counts = {"a chip": (image, 1), "chips in turn": (image, size.chips), "small images": (small, size.images)}
    ways: dict[str, Work] = {"a chip": lambda: finder.find_cosmic_rays(image)}
    ways |= {name: each_mask(device, [one] * count) for name, (one, count) in counts.items() if count > 1}
    took = seconds(ways, size.rounds)
    speed = {name: counts[name][0].size * counts[name][1] / 1e6 / one for name, one in took.items()}
    return [
        Row(f"{name}, arrays to masks", one, "Mpix/s", "the target", MPIX_PER_SECOND, one / MPIX_PER_SECOND)
        for name, one in speed.items()
    ]


def deepcr(device: str, size: Size) -> list[Row]:
    """Find the mask of a chip with ours and with the package, and compare the maps of the same weights."""
    image = chip(size.chip)
    shipped, published = (CosmicRayFinder(load_model(name), device=device) for name in ("universal", WEIGHTS))
    peer, patch, work = best_of_peer(image, device)
    ways: dict[str, Work] = {
        "shipped": lambda: shipped.find_cosmic_rays(image),
        WEIGHTS: lambda: published.find_cosmic_rays(image),
        peer: work,
    }
    took = seconds(ways, size.rounds)
    speed = {name: image.size / 1e6 / one for name, one in took.items()}
    rows = [Row(name, speed[name], "Mpix/s", peer, speed[peer], speed[name] / speed[peer]) for name in list(ways)[:2]]
    times = speed["shipped"] / speed[peer]
    rows.append(Row("shipped, times deepCR", times, "x", "the target", TIMES_DEEPCR, times / TIMES_DEEPCR))
    theirs = np.asarray(package(device).clean(image, binary=False, segment=True, patch=patch))
    away = away_from_seams(published.probability(image), theirs, patch)
    return [*rows, Row(f"difference, {WEIGHTS}", 1e6 * away, "x 1e-6", f"{peer}, off its seams", 0.0, 1.0)]


def each_mask(device: str, images: list[NDArray[np.float32]]) -> Work:
    """Find the masks of many images as the stack of `clean` does, without filling."""
    predictor = ExposurePredictor(load_model()).to(device)
    nothing = np.zeros(images[0].shape, bool)

    def work() -> object:
        given = ((image, nothing) for image in images)
        return list(predictor.each(given, (lambda found, usable: threshold_mask(found, 0.5, usable),)))

    return work


def best_of_peer(image: NDArray[np.float32], device: str) -> tuple[str, int, Work]:
    """Find the patch at which deepCR is fastest."""
    peer = package(device)

    def theirs(patch: int) -> Work:
        return lambda: peer.clean(image, segment=True, patch=patch, inpaint=False)

    tried = {
        patch: seconds({"": theirs(patch)}, 1)[""] for patch in PATCHES if patch <= max(image.shape) or patch == 256
    }
    patch = min(tried, key=lambda one: tried[one])
    return f"deepCR, patch={patch}", patch, theirs(patch)


def package(device: str):  # type: ignore[no-untyped-def]
    """Open the package deepCR with its weights for ACS/WFC."""
    from deepCR import deepCR

    return deepCR(mask=WEIGHTS, device="GPU" if device == "cuda" else "CPU")


def precision(device: str, size: Size) -> list[Row]:
    """Count the pixels of a mask that change with the precision, against strict single precision."""
    image = chip(size.chip)
    finder = CosmicRayFinder(load_model(), device=device)
    with strictly():
        exact = finder.find_cosmic_rays(image)
    rows = []
    for name, half in (("as prediction does it", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with torch.autocast(torch.device(device).type, half or torch.bfloat16, enabled=half is not None):
            found = finder.find_cosmic_rays(image)
        share = 1e5 * float((found != exact).mean())
        ratio = PIXELS_IN_1E5 / max(share, 1e-9)
        rows.append(Row(f"mask, {name}", share, "in 1e5", "single precision; the target", PIXELS_IN_1E5, ratio))
    return rows


@contextmanager
def strictly() -> Iterator[None]:
    """Multiply in single precision, without TF32."""
    held = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = held


def survey(device: str, size: Size) -> list[Row]:
    """Clean full frames through files, with the share of each stage."""
    from survey_speed import make, measure

    with tempfile.TemporaryDirectory() as folder:
        science = make(Path(folder), size.frames, size.chip, 2)
        return measure("universal", f"{size.frames} full frames", science, device, compress=False)


def filling(device: str, size: Size) -> list[Row]:
    """Fill a chip with 2 per cent of its pixels masked, on the device and on the CPU."""
    image = chip(size.chip)
    mask = np.random.default_rng(1).random(size.chip) < 0.02
    there, here = load_filler(device=device), load_filler()
    took = seconds({"there": lambda: there(image, mask)}, size.rounds)["there"]
    start = time.perf_counter()
    expected = here(image, mask)
    slow = time.perf_counter() - start
    away = np.abs(there(image, mask) - expected)[mask]
    threads, pixels = f"{torch.get_num_threads()} CPU threads", image.size / 1e6
    return [
        Row("filling", pixels / took, "Mpix/s", threads, pixels / slow, slow / took),
        Row("difference, filling", float(np.percentile(away, 99)), "e-", f"{threads}, 99th percentile", 0.0, 1.0),
    ]


def training(device: str, size: Size) -> list[Row]:
    """Train networks with the tiles on the device, fed and on a fixed batch in turns."""
    from train_speed import measure_ours

    from deepcr_lightning.simulation import simulate_set

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        simulate_set(folder, filters=["F814W"], exposures=8, darks=6, size=(512, 1024), chips=1, progress=False)
        for name, network in NETWORKS.items():
            for batch in size.batches:
                found = measure_ours(folder, network, "calibrated_bce", 0, torch.device(device), batch, size.seconds)
                row = f"U-Net {name}, batch of {batch}"
                rows.append(Row(row, found["fed"], "tiles/s", "the network alone", found["alone"], found["share"]))
                ratio = found["share"] / OF_ALONE
                rows.append(Row(f"{row}, share", found["share"], "of alone", "the target", OF_ALONE, ratio))
    return rows


def seconds(ways: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median seconds of each way, in turns, after a warm-up. Results come back to the CPU: none is still at work."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            found[way].append(time.perf_counter() - start)
    return {way: median(values) for way, values in found.items()}


PARTS: dict[str, Callable[[str, Size], list[Row]]] = {
    "masks": masks,
    "deepcr": deepcr,
    "precision": precision,
    "survey": survey,
    "filling": filling,
    "training": training,
}
"""What is measured, by the name that --parts takes."""

if __name__ == "__main__":
    main()
