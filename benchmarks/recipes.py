"""The published recipes and ours, trained on the same exposures and scored on the same pixels: docs/studies/recipes.md.

Simulates dithered visits of several filters to train on, and exposures of other fields to score on. Trains ours, ours
with the 32 channels of the published networks, the label-free recipe of Chen et al. (2024) and that of Zhang & Bloom
(2020), whose labels come from co-adds of visits, on the same number of tiles, and lets evaluate.py compare them with
L.A.Cosmic. Then our network by three kinds of labels: of added cosmic rays, of co-adds, and the true ones
(docs/studies/multi_exposure.md). What is done already is not done again.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from report import Row, parser, publish
from scripts import run_script

FIELDS = ("sparse", "cluster", "galaxy")
SCENES = ("--filters", "F275W", "F336W", "F606W", "F814W", "--size", "512", "512", "--chips", "1", "--fields", *FIELDS)
SETS = {
    "train": ("--exposures", "24", "--dithers", "4", "--darks", "16", "--seed", "31"),
    "test": ("--exposures", "6", "--darks", "1", "--seed", "32"),
}
BUDGET = ("data.tiles_per_epoch=320", "trainer.max_epochs=12", "data.test_fraction=0")
DARKS = "data.darks={train}/darks"
RECIPES = {
    "ours": ("data.batch_size=4", DARKS),
    "ours_32": ("data.batch_size=4", "model.hidden=32", DARKS),
    "chen_2024": ("experiment=chen_2024", DARKS),
    "deepcr_2020": ("experiment=deepcr_2020",),
    # How much of a difference is the draw of the training.
    "ours_again": ("data.batch_size=4", "seed=2", DARKS),
    "deepcr_2020_again": ("experiment=deepcr_2020", "seed=2"),
}
LABELS = {
    "multi_exposure": ("experiment=multi_exposure", "data.batch_size=4"),
    "oracle": ("experiment=oracle", "data.batch_size=4", "data.truth={train}/truth", DARKS),
}
SCORES = {"average precision": "average_precision"} | {
    f"completeness at {rate}": f"completeness_at_fpr_{number}"
    for rate, number in (("0.05 %", "0.0005"), ("0.5 %", "0.005"))
}


def train(folder: Path, name: str, hidden: int | None, threads: int) -> Path:
    """Train by one recipe, unless that was done; return the checkpoint."""
    place = folder / (f"runs_{hidden}" if hidden else "runs") / name
    if not (place / "done").exists():
        recipe = [argument.format(train=folder / "train") for argument in (RECIPES | LABELS)[name]]
        given = [f"data.science={folder}/train/science", f"data.store_dir={folder}/tiles", f"hydra.run.dir={place}"]
        if hidden:
            given.append(f"model.hidden={hidden}")
        run_script("train.py", *recipe, *given, *BUDGET, threads=threads)
        (place / "done").touch()
    return place / "checkpoints" / "best.ckpt"


def compared(evaluation: Path) -> list[Row]:
    """Read what evaluate.py wrote: our scores and those of each other, of all exposures and of each field type."""
    groups = json.loads(evaluation.read_text())["peers"]["groups"]
    rows = []
    for group in ("all", *FIELDS):
        mine, *theirs = groups[group].items()
        for score, key in SCORES.items():
            value = mine[1][key]["value"]
            for name, other in theirs:
                if key in other:
                    peer = other[key]["value"]
                    rows.append(Row(f"{group}, {score}", value, "", name, peer, value / peer if peer else float("inf")))
    return rows


def main() -> None:
    """Train, compare and print."""
    options = parser(__doc__)
    options.add_argument("out", type=Path, help="folder of the exposures, the networks and the scores")
    options.add_argument("--hidden", type=int, help="train all with so many channels; as the recipes say by default")
    options.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    options.add_argument("--picture", type=Path, help="where to copy the figure")
    chosen = options.parse_args()
    out = chosen.out.resolve()
    threads = max(1, (os.cpu_count() or 1) // chosen.jobs)
    for name, numbers in SETS.items():
        run_script("-m", "deepcr_lightning.simulation", out / name, *SCENES, *numbers, "--quiet", threads=1)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        names = (*RECIPES, *LABELS)
        made = dict(zip(names, pool.map(lambda name: train(out, name, chosen.hidden, threads), names), strict=True))
    rows = []
    rivals = [name for name in RECIPES if name != "ours"]
    others_of = {"scores": ("lacosmic", *rivals), "label_scores": tuple(LABELS)}
    for folder, others in others_of.items():
        peers = ",".join(str(made.get(name, name)) for name in others)
        places = (f"input={out}/test/science", f"truth={out}/test/truth", f"output_dir={out}/{folder}")
        given = (f"ckpt_path={made['ours']}", *places, f"peers=[{peers}]", f"hydra.run.dir={out}/evaluate")
        print(run_script("evaluate.py", *given, threads=threads * chosen.jobs))
        rows += compared(out / folder / "evaluation.json")
    if chosen.picture:
        shutil.copyfile(out / "scores" / "peers.png", chosen.picture)
    publish(rows, chosen.json)


if __name__ == "__main__":
    main()
