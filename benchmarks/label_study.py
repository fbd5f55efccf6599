"""How far is training without labels from training with them, and what closes the distance: docs/studies/label_free.md.

Simulates exposures, trains every variant with every seed on the same number of tiles, scores all of them on exposures
of other fields, and prints one table. What is done already is not done again: seeds and variants can be added later.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from study_variants import mark_found, sample_labels

FIELD_TYPES = ("sparse", "cluster", "galaxy", "nebula")
SCENES = "--filters F275W F336W F606W F814W --size 512 512 --chips 1 --exposure-times 350 1050 --fields"
BUDGET = ("data.tiles_per_epoch=320", "data.batch_size=4", "trainer.max_epochs=12", "data.test_fraction=0")
NARROW = ("model.hidden=8",)
ORACLE = ("experiment=oracle", "data.truth={train}/truth")


@dataclass(frozen=True)
class Variant:
    """A way to train: what it is called, what it sets, and the function of `study_variants` that it needs.

    The exposures of a judged one were looked at before, by networks trained on the other half of them.
    """

    title: str
    overrides: tuple[str, ...] = ()
    patch: str = ""
    judged: bool = False


HALVES = ("half_a", "half_b")
VARIANTS = {
    "label_free": Variant("label-free, 16 channels: the default"),
    "oracle": Variant("oracle, 16 channels", ORACLE),
    "label_free_32": Variant("label-free, 32 channels", ("model.hidden=32",)),
    "narrow": Variant("label-free, 8 channels: what follows differs from it in one thing", NARROW),
    "narrow_oracle": Variant("oracle", (*ORACLE, *NARROW)),
    "plain": Variant("plain BCE", (*NARROW, "loss=bce")),
    "snr_1.5": Variant("`label_snr` 1.5", (*NARROW, "data.label_snr=1.5")),
    "snr_3": Variant("`label_snr` 3", (*NARROW, "data.label_snr=3")),
    "darks_5": Variant("5 darks instead of 16", (*NARROW, "data.darks={few}")),
    "depth_3": Variant("depth 3", (*NARROW, "model.depth=3")),
    "softening_5": Variant("softening at 5 sigma", NARROW, "soften_earlier"),
    "no_ema": Variant("no averaging of the weights (EMA)", (*NARROW, "~callbacks.average")),
    "stars": Variant("loss four times as heavy on light above 3 sigma", NARROW, "weigh_light"),
    "cleaned": Variant("a self-cleaning round", (*NARROW, "data.science={cleaned}"), judged=True),
    "cleaned_plain": Variant(
        "a self-cleaning round, plain BCE", (*NARROW, "data.science={cleaned}", "loss=bce"), judged=True
    ),
    "em": Variant(
        "EM: own CRs labelled as drawn from the first map",
        (*NARROW, "experiment=oracle", "data.truth={sampled}"),
        judged=True,
    ),
    "half_a": Variant("one half of the visits", (*NARROW, "data.science={half_a}")),
    "half_b": Variant("the other half", (*NARROW, "data.science={half_b}")),
}


@dataclass(frozen=True)
class Study:
    """Where a study lies, and how a run of it is started."""

    folder: Path
    threads: int

    def run(self, script: str, *arguments: str, patch: str = "") -> None:
        """Run one of the project's scripts, after a change to the method if one is asked for."""
        prelude = f"import study_variants; study_variants.{patch}(); " if patch else ""
        code = f"{prelude}import runpy; runpy.run_path({script!r}, run_name='__main__')"
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONPATH": str(Path(__file__).parent.resolve()),
        }
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{script} {' '.join(arguments)}\n{done.stdout[-500:]}{done.stderr[-2000:]}")

    def simulate(self) -> None:
        """Make the exposures to train on and those to score on."""
        for name, exposures, seed in (("train", "24", "11"), ("test", "16", "12")):
            made = [sys.executable, "-m", "deepcr_lightning.simulation", str(self.folder / name), "--seed", seed]
            subprocess.run(
                [*made, "--exposures", exposures, "--darks", "16", *SCENES.split(), *FIELD_TYPES], check=True
            )

    def train(self, name: str, seed: int) -> None:
        """Train one variant and score it, unless that was done."""
        variant, run = VARIANTS[name], self.folder / "runs" / f"{name}_{seed}"
        if scores_of(run):
            return
        places = self._places(seed)
        data = (f"data.science={places['train']}/science", f"data.darks={places['train']}/darks")
        store = f"store_dir={self.folder}/tiles"
        settings = [setting.format(**places) for setting in variant.overrides]
        run_dir = f"hydra.run.dir={run}"
        self.run("train.py", *data, f"data.{store}", *BUDGET, *settings, f"seed={seed}", run_dir, patch=variant.patch)
        test = self.folder / "test"
        scored = (f"input={test}/science", f"truth={test}/truth", f"output_dir={run}/scores", f"{run_dir}/evaluate")
        self.run("evaluate.py", f"ckpt_path={run}/checkpoints/best.ckpt", *scored, patch=variant.patch)
        found = scores_of(run)
        assert found is not None
        print(f"{name}, seed {seed}: {found['all']['average_precision']['value']:.4f}", flush=True)

    def _places(self, seed: int) -> dict[str, str]:
        train = self.folder / "train"
        few = ",".join(str(path) for path in sorted((train / "darks").iterdir())[:5])
        halves = {
            half: "[" + ",".join(f"'{train}/science/{pattern}'" for pattern in patterns.split(",")) + "]"
            for half, patterns in visits_of_halves(train).items()
        }
        judged = {way: str(self.folder / f"{way}_{seed}") for way in ("cleaned", "sampled")}
        return {"train": str(train), "few": f"[{few}]", **halves, **judged}

    def judge(self, seed: int) -> None:
        """Let the network of each half say where the CRs of the other half are."""
        places, maps = self._places(seed), self.folder / f"maps_{seed}"
        if (self.folder / f"sampled_{seed}").exists():
            return
        for half, other in (("half_a", "half_b"), ("half_b", "half_a")):
            checkpoint = f"ckpt_path={self.folder}/runs/{half}_{seed}/checkpoints/best.ckpt"
            wanted = ("products=[mask]", "save_probability=true", "overwrite=true", f"hydra.run.dir={maps}/{half}")
            self.run("predict.py", checkpoint, f"input={places[other]}", f"output_dir={maps}", *wanted)
        for way in ("cleaned", "sampled"):
            shutil.rmtree(places[way], ignore_errors=True)
        science, half_made = Path(places["train"]) / "science", self.folder / f"half_made_{seed}"
        mark_found(science, maps, Path(places["cleaned"]))
        shutil.rmtree(half_made, ignore_errors=True)
        sample_labels(science, maps, half_made, seed)
        half_made.rename(places["sampled"])


def visits_of_halves(train: Path) -> dict[str, str]:
    """Split the visits so that each half has every field type: each type's visits go to the halves in turn."""
    visits = sorted({path.name[:6] for path in (train / "science").iterdir()})
    kinds = len(FIELD_TYPES)
    sides = [(number // kinds + number % kinds) % 2 for number in range(len(visits))]
    return {
        half: ",".join(f"{visit}*" for visit, at in zip(visits, sides, strict=True) if at == side)
        for side, half in enumerate(HALVES)
    }


def scores_of(run: Path) -> dict[str, dict[str, dict[str, float]]] | None:
    """Read the scores against truth of a run, by group, if it is finished."""
    file = run / "scores/evaluation.json"
    return json.loads(file.read_text())["with_truth"] if file.exists() else None


def table(folder: Path, seeds: list[int]) -> Iterator[str]:
    """Lay out the rows of the variants that are finished."""
    columns = ("seeds", "all", *FIELD_TYPES, "completeness at 0.05 %", "at 0.5", "calibration")
    yield "| | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1)
    for name, variant in VARIANTS.items():
        found = (scores_of(folder / "runs" / f"{name}_{seed}") for seed in seeds)
        reports = [report for report in found if report]
        if not reports:
            continue
        precision = {
            group: [report[group]["average_precision"]["value"] for report in reports]
            for group in ("all", *FIELD_TYPES)
        }
        spread = f" ± {stdev(precision['all']):.4f}" if len(reports) > 1 else ""
        cells = [str(len(reports)), f"{mean(precision['all']):.4f}{spread}"]
        cells += [f"{mean(precision[group]):.4f}" for group in FIELD_TYPES]
        for score in ("completeness_at_fpr_0.0005", "completeness"):
            cells.append(f"{mean(report['all'][score]['value'] for report in reports):.1%}")
        cells.append(f"{mean(report['all']['calibration_error_likely']['value'] for report in reports):.3f}")
        yield f"| {variant.title} | " + " | ".join(cells) + " |"


def main() -> None:
    """Train what is asked for and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path, help="folder of the study")
    options.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    options.add_argument("--jobs", type=int, default=2, help="runs at a time")
    chosen = options.parse_args()
    study = Study(chosen.out.resolve(), max(1, (os.cpu_count() or 1) // chosen.jobs))
    study.simulate()
    with ThreadPoolExecutor(chosen.jobs) as pool:
        if any(VARIANTS[name].judged for name in chosen.variants):
            list(pool.map(lambda job: study.train(*job), [(half, s) for s in chosen.seeds for half in HALVES]))
            list(pool.map(study.judge, chosen.seeds))
        list(pool.map(lambda job: study.train(*job), [(v, s) for s in chosen.seeds for v in chosen.variants]))
    print("\n".join(table(study.folder, chosen.seeds)))


if __name__ == "__main__":
    main()
