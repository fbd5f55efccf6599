"""Score mask files against truth: python -m deepcr_lightning.evaluation MASKS TRUTH --science DIR."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from tqdm import tqdm

from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.figures import plot_cleaned, plot_roc
from deepcr_lightning.evaluation.scores import PixelScores, score_chip
from deepcr_lightning.evaluation.truth import ChipTruth, read_truth
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.prediction.fill import fill_median

CUTOUT = 256


@dataclass(frozen=True, eq=False)
class _ChipMask:
    mask: NDArray[np.bool_]
    probability: NDArray[np.float32] | None


def main(arguments: list[str] | None = None) -> None:
    """Print a table of scores; write scores.json and figures beside the masks."""
    parser = argparse.ArgumentParser(prog="python -m deepcr_lightning.evaluation", description=__doc__)
    parser.add_argument("masks", type=Path, help="directory of <root>_crmask.fits, as predict.py writes them")
    parser.add_argument("truth", type=Path, help="directory of <root>_truth.fits, with CRTRUTH and IGNORE a chip")
    parser.add_argument("--science", type=Path, help="directory of the exposures, for pictures of cleaned cut-outs")
    parser.add_argument("--output", type=Path, help="where scores.json and the figures go (default: MASKS)")
    options = parser.parse_args(arguments)
    try:
        evaluate(options.masks, options.truth, options.science, options.output or options.masks)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def evaluate(masks: Path, truth: Path, science: Path | None, output: Path) -> None:
    """Score the masks of a directory, draw, and print the table."""
    paths = sorted(masks.rglob("*_crmask.fits"))
    if not paths:
        raise InputError(f"{masks}: no *_crmask.fits there; run predict.py first")
    truths = {path.name.removesuffix("_truth.fits"): path for path in truth.rglob("*_truth.fits")}
    scores: dict[str, PixelScores] = {}
    groups: dict[str, list[PixelScores]] = {}
    unscored = []
    for path in tqdm(paths, desc="Scoring", unit="exposure", leave=False):
        root = path.name.removesuffix("_crmask.fits")
        if root not in truths:
            unscored.append(root)
            continue
        known = read_truth(truths[root])
        chips = _read_mask(path)
        for version, chip in chips.items():
            if version not in known or known[version].cr.shape != chip.mask.shape:
                raise InputError(f"{truths[root]}: has no CRTRUTH,{version} of the shape of {path.name}")
        scores[root] = reduce(add, (score_chip(c.mask, known[v], c.probability) for v, c in chips.items()))
        groups.setdefault(_kind_of(truths[root]), []).append(scores[root])
    if not scores:
        raise InputError(f"{truth}: holds no <root>_truth.fits for any of the masks in {masks}")
    mapped = [bool(score.cr_scores.any() or score.other_scores.any()) for score in scores.values()]
    if any(mapped) and not all(mapped):
        raise InputError(f"{masks}: some masks lack CRPROB; predict all again with save_probability=true")
    together = {"all exposures": reduce(add, scores.values())}
    if len(groups) > 1:
        together |= {kind: reduce(add, members) for kind, members in sorted(groups.items())}
    output.mkdir(parents=True, exist_ok=True)
    rows = {name: _row(score) for name, score in {**scores, **together}.items()}
    (output / "scores.json").write_text(json.dumps(rows, indent=1) + "\n")
    if together["all exposures"].cr_scores.any():
        plot_roc(output / "roc.png", together, f"{len(scores)} exposures against the truth")
    if science is not None:
        for root in _examples(scores, truths):
            _picture(output / f"{root}.png", root, science, masks, truths[root])
    print(_table(rows))
    if unscored:
        print(f"No truth for {', '.join(unscored)}: not scored")
    print(f"Scores and figures: {output}")


def _read_mask(path: Path) -> dict[int, _ChipMask]:
    chips = {}
    try:
        with fits.open(path) as hdus:
            for hdu in (h for h in hdus if h.name == "CRMASK"):
                probability = hdus["CRPROB", hdu.ver].data.astype(np.float32) if ("CRPROB", hdu.ver) in hdus else None
                chips[hdu.ver] = _ChipMask(hdu.data > 0, probability)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a mask ({error})") from error
    if not chips:
        raise InputError(f"{path}: has no CRMASK extension")
    return chips


def _kind_of(truth: Path) -> str:
    header = fits.getheader(truth)
    return str(header.get("FIELDTYP", "field of unknown type")).lower()


def _examples(scores: dict[str, PixelScores], truths: dict[str, Path]) -> list[str]:
    """One exposure of each field type, for pictures."""
    kinds = {_kind_of(truths[root]): root for root in sorted(scores, reverse=True)}
    return sorted(kinds.values())


def _picture(path: Path, root: str, science: Path, masks: Path, truth: Path) -> None:
    found = {file.name.removesuffix("_crmask.fits"): file for file in masks.rglob("*_crmask.fits")}
    files = [file for file in find_exposures("--science", science) if file.name.startswith(root)]
    if not files:
        raise InputError(f"--science {science}: holds no exposure {root}")
    exposure = read_exposure(files[0])
    chip, mask = exposure.chips[0], _read_mask(found[root])[exposure.chips[0].extver].mask
    known = read_truth(truth)[chip.extver]
    top, left = (max(0, (length - CUTOUT) // 2) for length in mask.shape)
    cut = np.s_[top : top + CUTOUT, left : left + CUTOUT]
    filled = fill_median(chip.electrons, mask, ~chip.unusable)
    title = f"{root}, {exposure.filter}, {exposure.exposure_time:.0f} s, {_kind_of(truth)}"
    plot_cleaned(
        path,
        chip.electrons[cut],
        filled[cut],
        mask[cut],
        ChipTruth(known.cr[cut], known.ignore[cut]),
        title,
    )


def _row(score: PixelScores) -> dict[str, float]:
    row = {name: getattr(score, name) for name in ("completeness", "purity", "false_positive_rate")}
    if score.cr_scores.any():
        row["average_precision"] = score.average_precision()
        row["completeness_at_fpr_0.0005"] = score.completeness_at(5e-4)
        row["completeness_at_fpr_0.005"] = score.completeness_at(5e-3)
    return row


def _table(rows: dict[str, dict[str, float]]) -> str:
    titles = ["complete", "purity", "FPR", "AP", "at FPR 0.05%", "at FPR 0.5%"]
    width = max(len(name) for name in rows)
    lines = [f"{'':{width}}  " + "  ".join(f"{title:>12}" for title in titles)]
    for name, row in rows.items():
        lines.append(f"{name:{width}}  " + "  ".join(_cell(key, value) for key, value in row.items()))
    return "\n".join(lines)


def _cell(key: str, value: float) -> str:
    if key == "average_precision":
        return f"{value:12.4f}"
    return f"{100 * value:11.3f}%" if key == "false_positive_rate" else f"{100 * value:11.2f}%"


if __name__ == "__main__":
    main()
