"""The same seed twice: the same losses and weights to the bit, the same masks in tiles of any size.

    python benchmarks/reliability/determinism.py [--count 25] [--seed 1] [--json FILE]

In turns: two trainings of one seed on one thread; two on two threads; a training that is stopped after each of its
epochs, in a process of its own each, against one that is not; an image in tiles of three sizes; and a survey that is
cleaned by one process, and by two at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.io import fits
from campaign import Tally, options, until
from scripts_in_forks import end, start, warm_up
from small_survey import EPOCHS, make_survey
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import NO_FIGURES, cleaning, training

from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.predictor import ExposurePredictor

TOLERANCE = 1e-5
"""Of a probability, between tiles of two sizes: sums are taken in another order."""


def main(arguments: list[str] | None = None) -> int:
    """Try as often as asked for; give the number of faults."""
    chosen = options(__doc__, 25).parse_args(arguments)
    warm_up()
    torch.set_num_threads(1)  # a fork of a process that has used more of them waits for ever
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        make_survey(Path(name) / "survey")
        for number in until(chosen.minutes, chosen.count):
            kind = list(KINDS)[number % len(KINDS)]
            case = Path(name) / f"case{number}"
            case.mkdir()
            outcome = KINDS[kind](Path(name), case, chosen.seed + number // len(KINDS))
            tally.add(kind, f"seed {chosen.seed + number // len(KINDS)}", outcome)
            shutil.rmtree(case)
    return tally.publish(chosen.json)


def train(folder: Path, run: Path, seed: int, threads: int = 1) -> Callable[[], object]:
    """Make the work of a training run, or of going on with it, on so many threads."""
    work = training(folder / "survey", run, NO_FIGURES, f"seed={seed}")

    def on_threads() -> None:
        torch.set_num_threads(threads)
        work()

    return on_threads


def alike(one: Path, other: Path, log: Path) -> Outcome:
    """Compare the weights and the losses of two runs."""
    for name in ("best", "last"):
        states = [torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for run in (one, other)]
        if states[0]["epoch"] != states[1]["epoch"]:
            return Outcome(WRONG, f"{name} is of epochs {states[0]['epoch']} and {states[1]['epoch']}")
        for key, value in states[0]["state_dict"].items():
            if not torch.equal(value, states[1]["state_dict"][key]):
                return Outcome(WRONG, f"{name}: {key} differs: {log.read_text()[-300:]}")
    return Outcome(RIGHT, "")


def _twice(folder: Path, case: Path, seed: int, threads: int) -> Outcome:
    for run in ("one", "other"):
        if end(start(train(folder, case / run, seed, threads), case, case / "log")):
            return Outcome(CRASHED, (case / "log").read_text()[-500:])
    return alike(case / "one", case / "other", case / "log")


def resumed(folder: Path, case: Path, seed: int) -> Outcome:
    """Kill a run after each of its epochs, and go on with it in another process."""
    if end(start(train(folder, case / "one", seed), case, case / "log")):
        return Outcome(CRASHED, (case / "log").read_text()[-500:])
    for wanted in (*(-signal.SIGKILL,) * EPOCHS, 0):
        work = until_epoch(train(folder, case / "other", seed))
        status = end(start(work, case, case / "log"))
        if status != wanted:
            return Outcome(CRASHED, f"status {status}: " + (case / "log").read_text()[-500:])
    return alike(case / "one", case / "other", case / "log")


def until_epoch(work: Callable[[], object]) -> Callable[[], object]:
    """Kill a training as soon as the last state of an epoch is kept."""

    def killed() -> None:
        from deepcr_lightning.training.checkpoint_io import RunCheckpoint

        true = RunCheckpoint.on_train_epoch_end

        def on_train_epoch_end(self: RunCheckpoint, *arguments: Any) -> None:
            true(self, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        RunCheckpoint.on_train_epoch_end = on_train_epoch_end  # type: ignore[method-assign]
        work()

    return killed


def tiles(folder: Path, case: Path, seed: int) -> Outcome:
    """Search one image in tiles of three sizes."""
    del folder, case
    rng = np.random.default_rng(seed)
    shape = tuple(int(length) for length in rng.integers(150, 420, 2))
    image = rng.normal(30, 5, shape).astype(np.float32)
    for _ in range(60):
        row, column = (int(rng.integers(0, length - 6)) for length in shape)
        image[row, column : column + 5] += rng.uniform(50, 5000)
    unusable = rng.random(shape) < 0.01
    model = load_model()
    maps = [ExposurePredictor(model, tile).chip_probability(image, unusable) for tile in (1024, 256, 97)]
    furthest = max(float(np.abs(maps[0] - other).max()) for other in maps[1:])
    if furthest > TOLERANCE:
        return Outcome(WRONG, f"maps differ by {furthest:.2g}")
    return Outcome(RIGHT, "")


def processes(folder: Path, case: Path, seed: int) -> Outcome:
    """Clean the survey in one process, and in two that share a folder, and compare masks."""
    threshold = f"threshold={np.random.default_rng(seed).uniform(0.05, 0.95):.3f}"
    science = folder / "survey" / "science"
    for name, count in (("one", 1), ("two", 2)):
        works = [cleaning(science, case / name, threshold, f"hydra.run.dir={case}/run_{name}{n}") for n in range(count)]
        begun = [start(work, case, case / "log") for work in works]
        statuses = [end(child) for child in begun]
        if any(statuses):
            return Outcome(CRASHED, (case / "log").read_text()[-500:])
    masks = [sorted((case / name).glob("*_crmask.fits")) for name in ("one", "two")]
    if [path.name for path in masks[0]] != [path.name for path in masks[1]] or not masks[0]:
        return Outcome(WRONG, f"{len(masks[0])} and {len(masks[1])} masks")
    for one, other in zip(*masks, strict=True):
        if not np.array_equal(fits.getdata(one), fits.getdata(other)):
            return Outcome(WRONG, f"{one.name} differs")
    return Outcome(RIGHT, "")


KINDS: Mapping[str, Callable[[Path, Path, int], Outcome]] = {
    "two runs, one thread": lambda folder, case, seed: _twice(folder, case, seed, 1),
    "two runs, two threads": lambda folder, case, seed: _twice(folder, case, seed, 2),
    "resumed after every epoch": resumed,
    "tiles of three sizes": tiles,
    "cleaned by one process and by two": processes,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
