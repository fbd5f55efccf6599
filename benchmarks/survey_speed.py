"""A survey through files: small exposures and full frames, against the network alone on the same exposures.

    python benchmarks/survey_speed.py [CKPT] [--small 100] [--full 4] [--rounds 3] [--json FILE]

Each is simulated, then cleaned as predict.py does, masks written; the network alone maps what was read before. The
shares are those of the time that reading, network and writing take in their threads; they overlap, and on a CPU two
exposures are in the network at a time. The last row of a survey sets it against the same network run as the package
deepCR runs one: in single precision, patch by patch of 256 pixels that only touch, each sent and fetched by itself,
after its exposure was read.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from report import Row, parser, publish

from deepcr_lightning.console.allocator import keep_freed_memory
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction import mapping, predictor, reader, writer
from deepcr_lightning.prediction.summary import Summary
from deepcr_lightning.simulation import simulate_set

PATCH = 256


def main() -> None:
    """Measure both surveys and print rates, ratios and shares."""
    options = parser(__doc__)
    options.add_argument("ckpt_path", nargs="?", default="universal", help="best.ckpt of a run (default: %(default)s)")
    options.add_argument("--compress", action="store_true", help="tile-compressed masks")
    options.add_argument("--small", type=int, default=100, help="subarrays; 0 leaves them out (default: %(default)s)")
    options.add_argument("--full", type=int, default=4, help="full frames, in the same way (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="after one that does not count (default: %(default)s)")
    chosen = options.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_freed_memory()
    rows = []
    kinds = (
        (f"{chosen.small} of 512 x 512", chosen.small, (512, 512), 1),
        (f"{chosen.full} full frames", chosen.full, (2051, 4096), 2),
    )
    for name, count, size, chips in kinds:
        if count:
            with tempfile.TemporaryDirectory() as folder:
                science = make(Path(folder), count, size, chips)
                rows += measure(chosen.ckpt_path, name, science, device, chosen.compress, chosen.rounds)
    publish(rows, chosen.json)


def make(folder: Path, count: int, size: tuple[int, int], chips: int) -> Path:
    """Simulate exposures, and copy them up to a number."""
    simulate_set(folder, filters=["F814W"], exposures=2, darks=1, size=size, chips=chips, progress=False)
    made = sorted((folder / "science").iterdir())
    for n in range(len(made), count):
        shutil.copy(made[n % len(made)], folder / "science" / f"isim{n:04d}q_flc.fits")
    return folder / "science"


def measure(ckpt_path: str, name: str, science: Path, device: str, compress: bool, rounds: int) -> list[Row]:
    """Clean a directory and map it from memory in turns."""
    paths = find_exposures("input", science)
    network = predictor.ExposurePredictor(load_model(ckpt_path)).to(device)
    exposures = [read_exposure(path) for path in paths]
    network.probabilities(exposures[0])
    survey, alone, peer, shares = [], [], [], defaultdict[str, list[float]](list)
    for turn in range(rounds + 1):
        with tempfile.TemporaryDirectory() as out, clocks() as spent:
            start = time.perf_counter()
            clean(paths, network.to(device), Path(out), compress)
            survey.append(time.perf_counter() - start)
        network.to(device)  # the trainer leaves it on the CPU
        start = time.perf_counter()
        for exposure in exposures:
            network.probabilities(exposure)
        alone.append(time.perf_counter() - start)
        start = time.perf_counter()
        for path, exposure in zip(paths, exposures, strict=True):
            read_exposure(path)
            in_patches(network, exposure)
        peer.append(time.perf_counter() - start)
        for stage, seconds in spent.items():
            shares[stage].append(seconds / survey[turn])
    many = 60 * len(paths)
    ratio = median(network / whole for network, whole in zip(alone[1:], survey[1:], strict=True))
    rows = [Row(name, many / median(survey[1:]), "files/min", "network alone", many / median(alone[1:]), ratio)]
    many = len(paths)
    ratio = median(theirs / whole for theirs, whole in zip(peer[1:], survey[1:], strict=True))
    rates = [many / median(seconds[1:]) for seconds in (survey, peer)]
    rows.append(Row(f"{name}: rate", rates[0], "files/s", "read, then as deepCR", rates[1], ratio))
    for stage, values in shares.items():
        rows.append(
            Row(f"{name}: {stage}", 100 * median(values[1:]), "% of time", "the whole", 100.0, median(values[1:]))
        )
    return rows


def clean(paths: dict[Path, Path], network: predictor.ExposurePredictor, out: Path, compress: bool) -> None:
    """Clean as predict.py does."""
    provenances = [Provenance("best.ckpt", part.sha256, 0.5, 0) for part in network.model.parts]
    made = writer.ProductWriter(paths, out, provenances, Summary(out), compress=compress)
    kind = "gpu" if next(network.parameters()).is_cuda else "cpu"
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator=kind,
        devices=1,
        precision="32-true",
        callbacks=[made],
        enable_model_summary=False,
        **quiet,
    )
    shares = reader.ExposureShares(list(made.places), made.missing, ReadSettings())
    trainer.predict(mapping.ExposureMapping(network, ()), shares, return_predictions=False)


@torch.inference_mode()
def in_patches(network: predictor.ExposurePredictor, exposure: Exposure) -> None:
    """Map an exposure as the package deepCR does, with the same network."""
    for chip in exposure.chips:
        levels = network.scale.levels(chip.electrons, ~chip.unusable)
        image = network.scale.apply(torch.from_numpy(chip.electrons), *levels)
        step, (rows, columns) = network.net.step, image.shape
        image = F.pad(image[None, None], (0, -columns % step, 0, -rows % step), mode="reflect")
        for y in range(0, rows, PATCH):
            for x in range(0, columns, PATCH):
                patch_of = image[..., y : y + PATCH, x : x + PATCH].contiguous()
                torch.sigmoid(network.net(patch_of.to(network.device))).cpu().numpy()


@contextmanager
def clocks() -> Iterator[dict[str, float]]:
    """Take the time that the stages spend."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(stage: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return act(*given, **named)
            finally:
                spent[stage] += time.perf_counter() - start

        return timed

    with (
        patch.object(reader, "read_exposure", clocked("read", reader.read_exposure)),
        patch.object(
            predictor.ExposurePredictor, "probabilities", clocked("network", predictor.ExposurePredictor.probabilities)
        ),
        patch.object(writer.ProductWriter, "_write_products", clocked("write", writer.ProductWriter._write_products)),
    ):
        yield spent


if __name__ == "__main__":
    main()
