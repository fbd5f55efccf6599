"""How models do on three real UVIS exposures, with the truth as it is and without its errors.

The exposures are those of docs/studies/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.truth import ChipTruth, read_matching_truth
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.bins import bin_centres
from deepcr_lightning.scores.reliability import reliability
from deepcr_lightning.scores.with_truth import KINDS, Counts, count_chip, precision_recall, score

# Faint extended sources that move by the dither, which the truth took for cosmic rays: y, x of circles.
MOVING = {
    "idsj02axq": ((380, 390), (412, 330)),
    "idsj02ayq": ((382, 395), (416, 335)),
    "idsj02azq": ((384, 392), (415, 333)),
}
CIRCLE = 12
COLUMNS = (
    "completeness_at_fpr_0.0001",
    "completeness_at_fpr_0.0005",
    "completeness_at_fpr_0.005",
    "grown_completeness_at_fpr_0.0005",
    "strict_completeness_at_fpr_0.0005",
    "completeness",
    "purity",
)


def without_moving(truth: ChipTruth, root: str) -> ChipTruth:
    """Ignore circles around the moving sources."""
    y, x = np.indices(truth.cr.shape)
    near = [np.hypot(y - row, x - column) <= CIRCLE for row, column in MOVING[root]]
    return replace(truth, ignore=truth.ignore | np.any(near, axis=0))


def count(name: str, data: Path) -> Iterator[Counts]:
    """Add up the pixels of the exposures by what the map says and the truth is: as it is, and without its errors."""
    predictor = ExposurePredictor(load_model(name))
    counts: list[list[Counts]] = [[], []]
    for root in MOVING:
        exposure = read_exposure(data / "science" / f"{root}_flc.fits")
        (chip,), (probability,) = exposure.chips, predictor.probabilities(exposure)
        truth = read_matching_truth(data / "truth" / f"{root}_truth.fits", exposure)[chip.extver]
        for members, known in zip(counts, (truth, without_moving(truth, root)), strict=True):
            members.append(count_chip(probability, known, known.cr, ~chip.unusable))
    for members in counts:
        yield {kind: np.sum([each[kind] for each in members], 0) for kind in KINDS}


def row(counts: Counts) -> str:
    """Lay out scores, the threshold of the highest F1, and how often the map is right where it says 0.3 to 0.7."""
    values = score(counts, 0.5)
    completeness, purity = precision_recall(counts["cr"], counts["other"])
    f1 = 2 * completeness * purity / np.maximum(completeness + purity, 1e-9)
    best = len(f1) - 1 - int(f1.argmax())
    threshold = 1 / (1 + np.exp(-float(bin_centres(torch.device("cpu"))[best])))
    said, seen, pixels, _ = reliability(counts["cr"], counts["other"])
    middle = (said > 0.3) & (said < 0.7)
    right = float(seen[middle] @ pixels[middle] / max(1, pixels[middle].sum()))
    cells = [f"{values['average_precision']:.5f}", *(f"{values[name]:.2%}" for name in COLUMNS)]
    return " | ".join([*cells, f"{f1.max():.3f} at {threshold:.2f}", f"{right:.0%} of {pixels[middle].sum():.0f}"])


def main() -> None:
    """Score the models that are named."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="folder with science/ and truth/")
    options.add_argument("models", nargs="+", help="names or paths of models")
    chosen = options.parse_args()
    strict = "at 0.05 %, pixels that touch a CR counted"
    rates = ("at 0.01 %", "at 0.05 %", "at 0.5 %", "at 0.05 %, masks grown by a pixel", strict)
    titles = ("average precision", *rates, "mask at 0.5: completeness", "purity")
    print(f"| model, truth | {' | '.join(titles)} | highest F1 | CRs where the map says 0.3 to 0.7 |\n|" + "---|" * 11)
    for name in chosen.models:
        for truth, counts in zip(("as it is", "moving sources ignored"), count(name, chosen.data), strict=True):
            print(f"| {Path(name).stem}, {truth} | {row(counts)} |", flush=True)


if __name__ == "__main__":
    main()
