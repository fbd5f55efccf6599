"""How models do on the real images of ../shared/data/real and uvis_2013fy27: scores by set and their means.

Pixels that touch a true CR from outside count as neither (edge rule); the strict average precision counts them as false.
The mask is that of the model's own threshold. Star peaks: real_sky_sets.star_peaks. Sets marked * are left out of the
means: their catalogue is only a reference. Controls and sets with a handful of CRs have flagged pixels and stars alone.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_sky_sets import FEW, REFERENCE, Picture, read_sets
from report import Row

from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.exposure_scores import count_maps
from deepcr_lightning.evaluation.intervals import interval, resampled
from deepcr_lightning.evaluation.scores import Counts, score
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.training.checkpoint import Model, load_model, model_threshold

PEER = "ACS-WFC"
MODELS = ("universal", PEER, "WFC3-UVIS")
MEASURES = {
    "average_precision": "AP",
    "strict_average_precision": "AP strict",
    "completeness_at_fpr_0.001": "C at 0.1 %",
    "completeness": "C mask",
    "purity": "P mask",
    "f1": "F1 mask",
    "calibration_error_likely": "calibration",
    "flagged": "flagged",
    "stars": "stars",
}
"""Scores and their titles; those after the last but two are better when lower."""
LOWER = ("calibration_error_likely", "flagged", "stars")
ALWAYS = ("flagged", "stars")
"""What controls have, too."""

Scores = dict[str, tuple[float, float, float]]
"""Value, and its 95 % interval over images, by measure; not a number where it does not exist."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of one image: histograms against the truth; pixels outside CRs and stars, and those of them flagged."""

    counts: Counts
    outside: NDArray[np.float64]
    stars: NDArray[np.float64]


def tally(picture: Picture, maps: list[NDArray[np.float32]], threshold: float) -> Tally:
    """Count the maps of an image."""
    outside, stars = np.zeros(2), np.zeros(2)
    for chip, map_, places in zip(picture.exposure.chips, maps, picture.stars, strict=True):
        mask = threshold_mask(map_, threshold, ~chip.unusable)
        truth = picture.truth[chip.extver]
        clear = truth.counted() & ~truth.cr & ~chip.unusable
        outside += clear.sum(), (mask & clear).sum()
        stars += places.shape[1], mask[*places].sum()
    return Tally(count_maps(picture.exposure, maps, picture.truth, 1.0), outside, stars)


def set_scores(tallies: list[Tally], threshold: float, known: bool) -> Scores:
    """Score the images of a set together, with the spread over drawings of its images where there are several."""
    weights = [np.ones((1, len(tallies)))] + ([resampled(len(tallies))] if len(tallies) > 1 else [])
    columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name in MEASURES}
    for drawn in weights:
        counts = {kind: drawn @ np.array([t.counts[kind] for t in tallies]) for kind in tallies[0].counts}
        values = score(counts, threshold)
        values["f1"] = (
            2 * values["completeness"] * values["purity"] / (values["completeness"] + values["purity"] + 1e-9)
        )
        there = counts["cr"].sum(-1) > 0
        for name, parts in (("flagged", "outside"), ("stars", "stars")):
            pixels, flagged = (drawn @ np.array([getattr(t, parts) for t in tallies])).T
            values[name] = np.where(pixels > 0, flagged / np.maximum(1, pixels), np.nan)
        for name, column in columns.items():
            right = np.isfinite(values[name]) if name in ALWAYS else there & known
            column.append(np.where(right, values[name], np.nan))
    return {name: (float(value[0]), *_interval(*rest)) for name, (value, *rest) in columns.items()}


def _interval(*draws: NDArray[np.float64]) -> tuple[float, float]:
    finite = draws[0][np.isfinite(draws[0])] if draws else np.zeros(0)
    return interval(finite) if finite.size else (np.nan, np.nan)


def score_sets(model: Model, sets: dict[str, list[Picture]]) -> dict[str, Scores]:
    """Map all images with a model and score each set, and the mean of those with truth."""
    predictor, threshold = ExposurePredictor(model), model_threshold(model)
    scores = {}
    for name, pictures in sets.items():
        tallies = [tally(picture, predictor.probabilities(picture.exposure), threshold) for picture in pictures]
        scores[name] = set_scores(tallies, threshold, name not in FEW)
    return scores | {"mean": mean_scores(scores)}


def mean_scores(scores: dict[str, Scores]) -> Scores:
    """Average each measure over the sets that have it."""
    kept = [values for name, values in scores.items() if name not in REFERENCE]
    means: Scores = {}
    for measure in MEASURES:
        found = [values[measure][0] for values in kept if np.isfinite(values[measure][0])]
        means[measure] = (float(np.mean(found)) if found else np.nan, np.nan, np.nan)
    return means


def table(scores: dict[str, Scores], first: str) -> str:
    """Lay out scores, a row for each name."""
    lines = [f"| {first} | " + " | ".join(MEASURES.values()) + " |", "|" + "---|" * (len(MEASURES) + 1)]
    for name, values in scores.items():
        cells = [_cell(measure, values[measure]) for measure in MEASURES]
        lines.append(f"| {name}{'*' if name in REFERENCE else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(measure: str, value: tuple[float, float, float]) -> str:
    if not np.isfinite(value[0]):
        return "-"
    return f"{100 * value[0]:.3f} %" if measure in ALWAYS else f"{value[0]:.4f}"


def rows(scores: dict[str, dict[str, Scores]]) -> list[Row]:
    """Set every figure of every model beside the peer's."""
    made = []
    for model, by_set in scores.items():
        for name, values in by_set.items():
            for measure, (value, *_) in values.items():
                peer = scores[PEER][name][measure][0]
                if model == PEER or not np.isfinite(value):
                    continue
                above, below = (peer, value) if measure in LOWER else (value, peer)
                ratio = above / below if below else (1.0 if above == below else float("inf"))
                made.append(Row(f"{measure}, {name}, {model}", value, "share", PEER, peer, ratio))
    return made


def open_model(name: str, data: Path) -> Model:
    """Load a model by path or name; the published weights also from the data."""
    beside = data / "weights" / f"{name}.pth"
    return load_model(beside if beside.is_file() and not Path(name).is_file() else name)


def main() -> None:
    """Score the models that are named."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help="checkpoints or names of models")
    options.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data", help="real images")
    options.add_argument("--sets", nargs="+", help="sets to score; all by default")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    chosen = options.parse_args()
    names = list(chosen.models)
    if chosen.json and PEER not in names:
        names.append(PEER)
    sets = read_sets(chosen.data, chosen.sets)
    if not sets:
        raise SystemExit(f"--data={chosen.data}: holds no real images to score")
    scores: dict[str, dict[str, Scores]] = {}
    for name in names:
        begun = time.monotonic()
        try:
            scores[name] = score_sets(open_model(name, chosen.data), sets)
        except InputError as error:
            raise SystemExit(str(error)) from None
        print(f"\n{name} ({time.monotonic() - begun:.0f} s)\n\n{table(scores[name], 'set')}", flush=True)
    print("\nMeans over sets\n\n" + table({name: by_set["mean"] for name, by_set in scores.items()}, "model"))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows(scores)], indent=1) + "\n")


if __name__ == "__main__":
    main()
