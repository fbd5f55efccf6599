"""Images of wild numbers in prediction and in training: no mask on pixels of no use, no weight that is no number.

    python benchmarks/reliability/wild_numbers.py [--count 400] [--seed 1] [--json FILE]

Every twentieth case trains a network for an epoch on exposures and darks of such images; the others search one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from campaign import Tally, options, until
from numpy.typing import NDArray
from scripts_in_forks import end, start, warm_up
from small_survey import make_survey
from watched import CRASHED, REFUSED, RIGHT, WRONG, Outcome, watch
from works import NO_FIGURES, training

import deepcr_lightning
from deepcr_lightning.models.model import Model

TRAIN_EVERY = 20
VALUES = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 3.4e38, 1e30, 1e20, 65535, 1e-38, 1e-45, 0, -1, -1e6])


def main(arguments: list[str] | None = None) -> int:
    """Try as many images as asked for; give the number of faults."""
    chosen = options(__doc__, 400).parse_args(arguments)
    warm_up()
    model = deepcr_lightning.load_model()
    model.clean(np.random.default_rng(0).normal(30, 5, (32, 32)))
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        make_survey(Path(name) / "survey")
        for number in until(chosen.minutes, chosen.count):
            rng = np.random.default_rng([chosen.seed, number])
            if number % TRAIN_EVERY == TRAIN_EVERY - 1:
                kind, outcome = "training", train(Path(name), Path(name) / f"case{number}", rng)
            else:
                kind, outcome = "prediction", watch(partial(search, model, wild(rng, (64, 80))))
            tally.add(kind, f"seed {chosen.seed}, case {number}", outcome)
    return tally.publish(chosen.json)


def wild(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray:
    """Draw an image with wild pixels: a few, half of them, or all; or an image of one value."""
    image = rng.normal(30, 5, shape)
    image[10:12, 20:26] += 900
    kind = rng.integers(4)
    if kind == 0:
        return np.full(shape, rng.choice(VALUES))
    share = float(rng.choice([1e-3, 0.05, 0.5, 0.99]))
    hit = rng.random(shape) < share
    image[hit] = rng.choice(VALUES, int(hit.sum())) if kind == 1 else rng.choice(VALUES)
    if kind == 3:
        image *= float(rng.choice([1e-40, 1e-20, 1e10, 1e30]))
    return image


def search(model: Model, image: NDArray) -> None:
    """Search an image, and look at what comes of it; what the model refuses is for `watch` to see."""
    with np.errstate(all="ignore"):
        found = model.clean(image)
        single = np.asarray(image).astype(np.float32)
    lost = ~np.isfinite(single)
    assert found.mask.shape == image.shape
    assert not (found.mask & lost).any(), "a mask on pixels that are no numbers"
    assert np.isfinite(found.probability).all(), "a probability that is no number"
    assert (found.probability >= 0).all(), "a probability below 0"
    assert (found.probability <= 1).all(), "a probability above 1"
    same = ~found.mask & ~lost
    assert np.array_equal(found.cleaned[same], np.asarray(image, found.cleaned.dtype)[same]), "a pixel was changed"


def train(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Train on exposures and darks of which some are wild; every weight that is kept has to be a number."""
    shutil.copytree(folder / "survey", case / "survey")
    for path in sorted((case / "survey").rglob("*.fits")):
        if rng.random() < 0.6:
            with fits.open(path, mode="update") as hdus, np.errstate(all="ignore"):
                hdus["SCI"].data[:] = wild(rng, hdus["SCI"].data.shape).astype(np.float32)
    work = training(case / "survey", case / "run", "trainer.max_epochs=1", NO_FIGURES)
    status = end(start(work, case, case / "log"))
    log = (case / "log").read_text()
    if status not in (0, 1) or "Traceback" in log:
        return Outcome(CRASHED, " | ".join(log.strip().splitlines()[-5:])[-900:])
    checkpoints = list(case.glob("run/checkpoints/*.ckpt"))
    for path in checkpoints:
        weights = torch.load(path, weights_only=True)["state_dict"]
        if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
            return Outcome(WRONG, f"{path.name} has weights that are no numbers")
    shutil.rmtree(case)
    if status:
        return Outcome(REFUSED, log.strip().splitlines()[-1])
    return Outcome(RIGHT, "") if checkpoints else Outcome(WRONG, "trained, and kept no weights")


if __name__ == "__main__":
    sys.exit(bool(main()))
