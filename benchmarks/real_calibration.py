"""Shift the logits of a network by what makes its probabilities mean most on real images, and write it so.

    python benchmarks/real_calibration.py MODEL.ckpt OUT.ckpt --sets wfpc2_f336w hst_pluto [--data DATA]

Validation on simulated exposures calibrates a network for these. Real images have sharper and rounder stars, more of
their kind in a place, and other cosmic rays; one number makes up for the mean of that. It changes no order of pixels,
so that the average precision is what it was. The error is the mean over sets, of pixels that touch no cosmic ray from
outside and have a probability of more than 0.01.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from real_sky_sets import DATA, Picture, read_sets
from scipy import ndimage

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.lean import lean_checkpoint
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.predictor import ExposurePredictor

SHIFTS = np.round(np.arange(-1.5, 1.51, 0.1), 1)
_BINS, _LEAST = 20, 0.01
_SURE = 1e-7


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", required=True, help="names of sets with truth")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    predictor = ExposurePredictor(load_model(options.model))
    errors = []
    for name, pictures in read_sets(options.data, options.sets).items():
        logits, cr = pixels(predictor, pictures)
        errors.append([calibration_error(1 / (1 + np.exp(-logits - shift)), cr) for shift in SHIFTS])
        best = int(np.argmin(errors[-1]))
        print(f"{name}: {errors[-1][len(SHIFTS) // 2]:.3f} as it is, {errors[-1][best]:.3f} at {SHIFTS[best]:+.1f}")
    means = np.mean(errors, axis=0)
    shift = float(SHIFTS[np.argmin(means)])
    print(f"mean: {means[len(SHIFTS) // 2]:.3f} as it is, {means.min():.3f} at {shift:+.1f}, which {options.out} has")
    checkpoint = lean_checkpoint(options.model)
    scale, before = checkpoint[DESCRIPTION_KEY]["calibration"]
    checkpoint[DESCRIPTION_KEY]["calibration"] = [scale, before + shift]
    write_atomically(options.out, lambda partial: torch.save(checkpoint, partial))


def pixels(predictor: ExposurePredictor, pictures: list[Picture]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits of the pixels of a set, and which are of cosmic rays; those that touch one from outside are left out."""
    found = []
    for picture in pictures:
        exposure = picture.exposure
        for chip, probability in zip(exposure.chips, predictor.probabilities(exposure), strict=True):
            truth = picture.truth[chip.extver]
            touches = ndimage.binary_dilation(truth.cr, np.ones((3, 3))) & ~truth.cr
            known = truth.counted() & ~chip.unusable & ~touches
            sure = np.clip(probability[known].astype(float), _SURE, 1 - _SURE)
            found.append((np.log(sure / (1 - sure)), truth.cr[known]))
    logits, cr = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return logits, cr


def calibration_error(probability: NDArray[np.float64], cr: NDArray[np.bool_]) -> float:
    """Mean distance of probability and share of cosmic rays over 20 bins of likely pixels, weighted by their number."""
    likely = probability > _LEAST
    bins = np.minimum((probability[likely] * _BINS).astype(int), _BINS - 1)
    difference = np.bincount(bins, probability[likely] - cr[likely], _BINS)
    return float(np.abs(difference).sum() / max(likely.sum(), 1))


if __name__ == "__main__":
    main()
