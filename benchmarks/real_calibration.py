"""Shift the logits of a network by what makes its probabilities and its mask mean most on real images.

    python benchmarks/real_calibration.py MODEL.ckpt OUT.ckpt --sets wfpc2_f336w hst_pluto [--shift -0.4] [--prior 0.02]

Validation on simulated exposures calibrates a network for these. Real images have other stars, and cosmic rays are
another share of their pixels. One number makes up for the mean of that; and with --prior, the share of the pixels that
cosmic rays cover where the map is then right (that of MODEL by default), prediction lowers the map of each chip that
fewer cover. Neither changes the order of the pixels of a chip. For each shift the table has the calibration error (of
pixels above 0.01) and the F1 score of the mask at 0.5, as means over sets, without pixels that touch a cosmic ray from
outside. OUT.ckpt has the shift that is given, or that of the least error.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from real_sky_sets import DATA, Picture, read_sets
from scipy import ndimage

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.models.card_values import prior_share
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.lean import lean_checkpoint
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.prior import lower_to_share

SHIFTS = np.round(np.arange(-1.5, 1.51, 0.1), 1)
_BINS, _LEAST = 20, 0.01
_SURE = 1e-7


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", required=True, help="names of sets with truth")
    parser.add_argument("--shift", type=float, help="take this one")
    parser.add_argument(
        "--prior", type=prior_share, help="share of the pixels that cosmic rays cover where the map is right"
    )
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    model = load_model(options.model)
    prior = model.card.prior if options.prior is None else options.prior
    predictor = ExposurePredictor(replace(model, card=replace(model.card, prior=None)))
    scores = []
    for name, pictures in read_sets(options.data, options.sets).items():
        mapped = [chip for picture in pictures for chip in maps(predictor, picture)]
        scores.append([score(mapped, shift, prior) for shift in SHIFTS])
        error = [of_shift[0] for of_shift in scores[-1]]
        best = np.argmin(error)
        print(f"{name}: error {error[list(SHIFTS).index(0)]:.3f} at 0, {error[best]:.3f} at {SHIFTS[best]:+.1f}")
    means = np.mean(scores, axis=0)
    for shift, (error, f1) in zip(SHIFTS, means, strict=True):
        print(f"{shift:+.1f}: mean error {error:.4f}, F1 {f1:.4f}")
    shift = float(SHIFTS[np.argmin(means[:, 0])]) if options.shift is None else options.shift
    print(f"{options.out} has {shift:+.1f}")
    checkpoint = lean_checkpoint(options.model)
    checkpoint[DESCRIPTION_KEY] = {**shifted(checkpoint[DESCRIPTION_KEY], shift), "prior": prior}
    write_atomically(options.out, lambda partial: torch.save(checkpoint, partial))


def shifted(description: dict[str, Any], shift: float) -> dict[str, Any]:
    """Describe the model whose logits are shifted: thresholds of its curves move with its probabilities."""
    scale, before = description["calibration"]
    curves = dict(description["curves"])
    threshold = np.clip(np.asarray(curves["threshold"]), _SURE, 1 - _SURE)
    moved = 1 / (1 + (1 / threshold - 1) * np.exp(-shift))
    curves["threshold"] = [float(f"{value:.6g}") for value in moved]
    return {**description, "calibration": [scale, before + shift], "curves": curves}


@dataclass(frozen=True, eq=False)
class Mapped:
    """A chip: logits and usable pixels of shape (H, W), those with truth among them, and which are of cosmic rays.

    Without pixels that touch a cosmic ray from outside.
    """

    logits: NDArray[np.float32]
    usable: NDArray[np.bool_]
    known: NDArray[np.bool_]
    cr: NDArray[np.bool_]


def maps(predictor: ExposurePredictor, picture: Picture) -> Iterator[Mapped]:
    """Map the chips of a real image."""
    exposure = picture.exposure
    for chip, probability in zip(exposure.chips, predictor.probabilities(exposure), strict=True):
        truth, sure = picture.truth[chip.extver], np.clip(probability, _SURE, 1 - _SURE)
        touches = ndimage.binary_dilation(truth.cr, np.ones((3, 3))) & ~truth.cr
        known = truth.counted() & ~chip.unusable & ~touches
        yield Mapped(np.log(sure / (1 - sure)), ~chip.unusable, known, truth.cr[known])


def score(chips: list[Mapped], shift: float, prior: float | None) -> tuple[float, float]:
    """Calibration error over 20 bins of likely pixels, weighted by their number, and F1 score of the mask at 0.5."""
    parts = []
    for chip in chips:
        made = torch.sigmoid(torch.from_numpy(chip.logits) + shift)
        if prior is not None:
            lower_to_share(made[None], torch.from_numpy(chip.usable)[None], prior)
        parts.append(made.numpy()[chip.known])
    probability, cr = np.concatenate(parts), np.concatenate([chip.cr for chip in chips])
    likely = probability > _LEAST
    bins = np.minimum((probability[likely] * _BINS).astype(int), _BINS - 1)
    difference = np.bincount(bins, probability[likely] - cr[likely], _BINS)
    flagged = probability > 0.5
    f1 = 2 * (flagged & cr).sum() / (flagged.sum() + cr.sum())
    return float(np.abs(difference).sum() / max(likely.sum(), 1)), float(f1)


if __name__ == "__main__":
    main()
