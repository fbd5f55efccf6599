"""Fine-tuning without labels on real exposures: before, after, from scratch (docs/studies/fine_tuning.md).

MODEL is fine-tuned as a user would, with train.py init=MODEL, on the exposures below; then train.py trains on the same
from scratch, for ten epochs, which take some ten times as long. Scored are images of ../shared/data with a truth that
no training saw:

uvis_2013fy27  five exposures and darks whose cosmic rays (CRs) are those of the five; scored on three others
resampled      the same with every exposure shifted by half a pixel along both axes (bilinear; or --shift), the darks
               not: the CRs that are added are not those of the exposures, and train.py has to say so
sbig_agsq      darks of 1200 and 360 s, two of each, in the place of exposures, and three more of 1200 s as their darks,
               hot pixels NaN in all; scored on the four
kast_ucsc      labels from three exposures of a slit (experiment=multi_exposure) in two cuts of it; trained on one
               and scored on the other, both ways

AP and F1 as in real_sky.py; CR rate as in docs/explanation/method.md, section 5, on the validation side.
"unchecked" is last.ckpt where train.py kept the model that it started from. What is trained already is not trained
again.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from real_sky import cell
from real_sky_changes import moved, moved_truth
from real_sky_methods import Method, open_method
from real_sky_scores import Scores, score_sets
from real_sky_sets import DATA, UVIS, Picture, read_sets
from report import Row
from scripts import run_script

from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import find_model_file, sha256_of

SBIG, KAST, RESAMPLED = "sbig_agsq", "kast_ucsc", "resampled"
BEFORE, AFTER, UNCHECKED, SCRATCH = "before", "after", "unchecked", "from scratch"
MEASURED = ("average_precision", "f1")
_SBIG_SCIENCE = ("dark1200_0", "dark1200_1", "dark360_0", "dark360_2")
_SBIG_DARKS = ("dark1200_2", "dark1200_3", "dark1200_4")


@dataclass(frozen=True, eq=False)
class Training:
    """Options of train.py, and the images that the network is scored on."""

    name: str
    options: tuple[str, ...]
    pictures: list[Picture]


def trainings(data: Path, out: Path, shift: float = 0.5) -> dict[str, list[Training]]:
    """Prepare the trainings of each set; copies of exposures go to `out`, some of them shifted by so many pixels."""
    sets = read_sets(data, [UVIS, SBIG, KAST])
    uvis, darks = data / UVIS, f"data.darks={data / UVIS}/darks"
    shifted = [resample(file, out / "data" / "science", shift) for file in sorted((uvis / "science").glob("idsj02b*"))]
    for picture in sets[UVIS]:
        resample(picture.exposure.path, out / "data" / "real" / RESAMPLED, shift, picture)
    for folder, kind, roots in (("real", "EXT", _SBIG_SCIENCE), ("darks", "DARK", _SBIG_DARKS)):
        for root in roots:
            without_hot(data / "real" / SBIG / f"{root}_flt.fits", out / "data" / folder / SBIG, kind)
    cold = read_sets(out / "data", [SBIG])[SBIG]
    groups = out / "data" / "groups.txt"
    groups.write_text("".join(f"{p.exposure.root} slit{p.exposure.root[-2:]}\n" for p in sets[KAST]))
    slit = ("experiment=multi_exposure", f"data.groups={groups}", "data.test_fraction=0")
    cuts = {cut: [p for p in sets[KAST] if p.exposure.root.endswith(cut)] for cut in ("_0", "_1")}
    return {
        UVIS: [Training(UVIS, (f"data.science={uvis}/science/idsj02b*", darks), sets[UVIS])],
        RESAMPLED: [
            Training(RESAMPLED, (_paths("science", shifted), darks), read_sets(out / "data", [RESAMPLED])[RESAMPLED])
        ],
        SBIG: [
            Training(
                SBIG, (_science(cold), f"data.darks={out}/data/darks/{SBIG}/*_flt.fits", "data.test_fraction=0"), cold
            )
        ],
        KAST: [
            Training(f"{KAST}{ours}", (*slit, _science(cuts[ours])), cuts[theirs])
            for ours, theirs in (("_0", "_1"), ("_1", "_0"))
        ],
    }


def resample(file: Path, folder: Path, shift: float, picture: Picture | None = None) -> Path:
    """Copy an exposure of one chip, shifted by a part of a pixel along both axes; with its truth if `picture` has it.

    A pixel of the truth that is a CR by less than a half afterwards does not count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = file.name.split("_")[0]
    made = folder / f"{root}_flt.fits"
    with fits.open(file) as hdus:
        hdus["SCI"].data = moved(hdus["SCI"].data, (shift, shift))
        bad = hdus["DQ"].data
        bad = bad | np.roll(bad, 1, 0)
        hdus["DQ"].data = bad | np.roll(bad, 1, 1)
        hdus.writeto(made, overwrite=True)
    if picture is not None:
        (truth,) = picture.truth.values()
        truth = moved_truth(truth, (shift, shift))
        planes = {"CRTRUTH": truth.cr, "IGNORE": truth.ignore}
        images = [fits.ImageHDU(plane.astype(np.uint8), name=name, ver=1) for name, plane in planes.items()]
        fits.HDUList([fits.PrimaryHDU(), *images]).writeto(folder / f"{root}_truth.fits", overwrite=True)
    return made


def without_hot(file: Path, folder: Path, kind: str) -> None:
    """Copy an exposure with its hot pixels NaN, as no table says what DQ means for its camera; and its truth."""
    folder.mkdir(parents=True, exist_ok=True)
    with fits.open(file) as hdus:
        hdus[0].header["IMAGETYP"] = kind
        hdus["SCI"].data[hdus["DQ"].data > 0] = np.nan
        hdus.writeto(folder / file.name, overwrite=True)
    truth = file.name.replace("_flt", "_truth")
    shutil.copyfile(file.with_name(truth), folder / truth)


def _science(pictures: list[Picture]) -> str:
    return _paths("science", [picture.exposure.path for picture in pictures])


def _paths(option: str, paths: Sequence[Path]) -> str:
    return f"data.{option}=[{','.join(map(str, paths))}]"


def train(out: Path, training: Training, model: str | None, threads: int) -> Path:
    """Fine-tune a model, or train from scratch without one, unless that was done; return the folder of checkpoints."""
    place = out / ("scratch" if model is None else "tuned") / training.name
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        start = ["trainer.max_epochs=10", "data.tile_size=128"] if model is None else [f"init={model}"]
        folders = [f"data.store_dir={out}/tiles", f"hydra.run.dir={place}", "~callbacks.figures"]
        run_script("train.py", *start, *training.options, *folders, "trainer.accelerator=cpu", threads=threads)
        (place / "done").touch()
    return place / "checkpoints"


def score(several: Sequence[Training], models: Mapping[str, str], data: Path) -> Scores:
    """Score models on the images of the trainings that they come from, all images together."""
    (opened,) = zip(*(open_method(models[training.name], data) for training in several), strict=True)
    by_root = {
        picture.exposure.root: method
        for training, method in zip(several, opened, strict=True)
        for picture in training.pictures
    }

    def find(exposure: Exposure) -> list[NDArray[np.float32]]:
        return by_root[exposure.root].find(exposure)

    pictures = [picture for training in several for picture in training.pictures]
    return score_sets([Method(find, opened[0].threshold)], {"all": pictures})["all"]


def keep_copy(file: Path, folder: Path) -> str:
    """Copy a model, so that all figures are of the same one; refuse a folder of runs that started from another."""
    copies = list(folder.glob("*"))
    if any(sha256_of(copy) != sha256_of(file) for copy in copies):
        raise SystemExit(f"{folder.parent}: holds runs that started from another model; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return str(shutil.copyfile(file, folder / file.name))


def is_kept(checkpoint: Path) -> bool:
    """Tell whether a fine-tuned network was kept, by what its best checkpoint says."""
    return load_model(checkpoint).card.run["judgement"]["kept"]


def cr_rates(checkpoints: Path) -> tuple[float, float]:
    """Read the first and the last CR rate of the validation side from the log of a run."""
    with (checkpoints.parent / "metrics" / "version_0" / "metrics.csv").open() as file:
        rates = [float(row["val/own_rate"]) for row in csv.DictReader(file) if row.get("val/own_rate")]
    return rates[0], rates[-1]


def main() -> None:
    """Fine-tune, train, score and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model", nargs="?", default="universal", metavar="MODEL", help="universal by default")
    options.add_argument("--out", type=Path, default=Path("outputs/finetune"), help="folder of runs and copies")
    options.add_argument("--sets", nargs="+", metavar="SET", help="all four by default")
    options.add_argument("--shift", type=float, default=0.5, help="of resampled, in pixels; a new --out for each")
    options.add_argument("--data", type=Path, default=DATA, help="folder with real and uvis_2013fy27")
    options.add_argument("--threads", type=int, default=2, help="of each training")
    options.add_argument("--no-scratch", action="store_true", help="train nothing from scratch, which takes longest")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, beside those before")
    chosen = options.parse_args()
    out = chosen.out.resolve()
    model = keep_copy(find_model_file(chosen.model), out / "start")
    rows: list[Row] = []
    head = ("set", "measure", BEFORE, AFTER, UNCHECKED, SCRATCH, "CR rate: before", "after", "from scratch")
    print(f"| {' | '.join(head)} |", "|---" * len(head) + "|", sep="\n")
    for name, several in trainings(chosen.data, out, chosen.shift).items():
        if name not in (chosen.sets or [name]):
            continue
        tuned = {training.name: train(out, training, model, chosen.threads) for training in several}
        anew = [] if chosen.no_scratch else several
        scratch = {training.name: train(out, training, None, chosen.threads) for training in anew}
        files = {
            BEFORE: dict.fromkeys(tuned, model),
            AFTER: {of: str(folder / "best.ckpt") for of, folder in tuned.items()},
        }
        if scratch:
            files[SCRATCH] = {of: str(folder / "best.ckpt") for of, folder in scratch.items()}
        if not all(is_kept(folder / "best.ckpt") for folder in tuned.values()):
            files[UNCHECKED] = {of: str(folder / "last.ckpt") for of, folder in tuned.items()}
        scores = {state: score(several, models, chosen.data) for state, models in files.items()}
        last = {of: cr_rates(folder)[1] for of, folder in scratch.items()}
        rates = np.mean([(*cr_rates(tuned[of]), last.get(of, np.nan)) for of in tuned], axis=0)
        for measure in MEASURED:
            cells = [cell(measure, scores[state][measure]) if state in scores else "" for state in head[2:6]]
            print(f"| {' | '.join([name, measure, *cells, *(f'{rate:.2f}' for rate in rates)])} |", flush=True)
            before = scores[BEFORE][measure].value
            others = {state: values[measure].value for state, values in scores.items() if state != BEFORE}
            rows += [
                Row(f"{measure}, {name}, {state}", value, "share", BEFORE, before, value / before)
                for state, value in others.items()
            ]
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
