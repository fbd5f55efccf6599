"""What each choice of the universal model gains on real images: variants of its training, each with a small budget.

usage, after make universal: python benchmarks/universal_choices.py outputs/universal [--only NAME ...]

Every variant trains on the first two sets of every camera that `benchmarks/train_universal.sh` simulated, for two
epochs of 8000 tiles of 128 pixels (or as many pixels), with its schedule, and is scored on the real images beside the
checkout. "Unseen" are the sets that no variant trains on (`benchmarks/real_training.py` makes real stars and CRs into
training data). What is done already is not done again. Some four minutes each on one core; one seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from real_sky_methods import open_method
from real_sky_scores import CONTROLS, MEAN, Scores, score_sets
from real_sky_sets import DATA, REFERENCE, UVIS, UVIS_AS_IS, read_sets
from real_training import STARS

LARGE = ("data.tile_size=256", "data.tiles_per_epoch=2000")
SCIENCE, DARKS = "'{folder}/train/*_[12]/science/*.fits'", "'{folder}/train/*_[12]/darks/*.fits'"
REAL_SCIENCE, REAL_DARKS = "'{folder}/real/stars/science/*.fits'", "'{folder}/real/stars/darks/*.fits'"
RAYS = "'{folder}/real/rays/darks/*.fits'"
VARIANTS: dict[str, tuple[str, ...]] = {
    "as shipped": (),
    "no contrast plane": ("model.contrast=false",),
    "no batch norm": ("model.norm=none",),
    "full resolution, 8 channels": ("model.fold=1", "model.hidden=8"),
    "depth 2": ("model.depth=2",),
    "no gaps, no hot pixels": ("data.augmentation.gaps=0", "data.augmentation.hot=0"),
    "tiles drawn as they come": ("data.balance=[]",),
    "WFC3/UVIS alone": (
        "data.science='{folder}/train/wfc3_uvis_?/science/*.fits'",
        "data.darks='{folder}/train/wfc3_uvis_?/darks/*.fits'",
    ),
    "tiles of 256, a quarter of the steps": LARGE,
    "real star fields, too": (f"data.science=[{SCIENCE},{REAL_SCIENCE}]", f"data.darks=[{DARKS},{REAL_DARKS}]"),
    "real CRs, too": (f"data.darks=[{DARKS},{RAYS}]",),
    "both": (f"data.science=[{SCIENCE},{REAL_SCIENCE}]", f"data.darks=[{DARKS},{REAL_DARKS},{RAYS}]"),
}
COLUMNS = {
    "AP": (MEAN, "average_precision"),
    "F1": (MEAN, "f1"),
    "flagged, controls": (CONTROLS, "flagged"),
    "stars, controls": (CONTROLS, "stars"),
    "AP, wfpc2_f336w": ("wfpc2_f336w", "average_precision"),
    "purity there": ("wfpc2_f336w", "purity"),
    "AP, kast_ucsc": ("kast_ucsc", "average_precision"),
    "AP, uvis": ("uvis_2013fy27", "average_precision"),
}


def train(folder: Path, name: str) -> Path:
    """Train a variant; return its last checkpoint."""
    run = folder / "choices" / "".join(letter if letter.isalnum() else "_" for letter in name)
    checkpoint = run / "checkpoints" / "last.ckpt"
    if not (run / "done").exists():
        asked = [f"data.science={SCIENCE}", f"data.darks={DARKS}", *VARIANTS[name]]
        data = [option.format(folder=folder) for option in asked]
        common = [f"data.truth={folder}", "data.test_fraction=0", "trainer.max_epochs=2", "~callbacks.figures"]
        command = [sys.executable, "train.py", "experiment=universal", *common, *data, f"hydra.run.dir={run}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-2000:]}")
        (run / "done").touch()
    return checkpoint


def unseen(scores: dict[str, Scores]) -> float:
    """Average the average precision over the sets that no variant trained on."""
    aside = {MEAN, CONTROLS, UVIS, UVIS_AS_IS, *REFERENCE, *STARS, *(f"tr_{name}" for name in STARS)}
    found = [values["average_precision"].value for name, values in scores.items() if name not in aside]
    return float(np.nanmean(found))


def main() -> None:
    """Train and score the variants, and print a row for each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("folder", type=Path, help="where make universal left its exposures")
    options.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    options.add_argument("--data", type=Path, default=DATA, help="folder with the real images")
    chosen = options.parse_args()
    titles = ["AP, unseen", *COLUMNS]
    print(f"| variant | {' | '.join(titles)} |\n|" + "---|" * (1 + len(titles)), flush=True)
    for name in chosen.only:
        checkpoint = train(chosen.folder, name)
        scores = score_sets(open_method(str(checkpoint), chosen.data), read_sets(chosen.data))
        values = [(measure, scores[place][measure].value) for place, measure in COLUMNS.values()]
        cells = [f"{value:.2%}" if measure in ("flagged", "stars") else f"{value:.4f}" for measure, value in values]
        print(f"| {name} | {unseen(scores):.4f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
