"""What a model for every filter costs: the universal model beside networks of one filter, by filter and field.

Simulates exposures that trained nothing, trains networks of single filters, scores all of them on the same exposures,
and prints two tables (docs/reference/universal.md). What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.io import fits

from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import UNIVERSAL
from deepcr_lightning.simulation.filters import FILTERS

SINGLE = ("F275W", "F336W", "F606W", "F814W", "F350LP")
FIELDS = ("sparse", "cluster", "galaxy", "nebula")
SETS = {
    "test": ("--exposures", "8", "--darks", "4", "--seed", "101"),
    "narrow": ("--exposures", "24", "--darks", "16", "--seed", "2"),
}
SHAPE = ("--size", "512", "512", "--chips", "1")
BUDGET = ("data.tiles_per_epoch=320", "data.batch_size=4", "data.test_fraction=0", "trainer.max_epochs=12")

Report = dict[str, dict[str, Any]]


def run(*arguments: object) -> None:
    """Run a script or module of the project, and stop if it fails."""
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def simulate(folder: Path, alone: bool) -> None:
    """Make the exposures to score on and, if there are any, those that the networks of one filter train on."""
    for name, numbers in SETS.items():
        if name == "narrow" and not alone:
            continue
        every = ("--filters", *FILTERS, "--fields", *FIELDS)
        run("-m", "deepcr_lightning.simulation", folder / name, *every, *SHAPE, *numbers, "--quiet")


def train(folder: Path, name: str) -> Path:
    """Train a network of one filter with the budget of the demo; return its checkpoint."""
    place = folder / "single" / name
    if not (place / "done").exists():
        data = (f"data.science={folder}/narrow/science", f"data.darks={folder}/narrow/darks")
        run("train.py", f"experiment={name.lower()}", *data, *BUDGET, f"hydra.run.dir={place}")
        (place / "done").touch()
    return place / "checkpoints" / "best.ckpt"


def score(folder: Path, checkpoint: str | Path, filters: tuple[str, ...], place: Path) -> Report:
    """Score a network on the test exposures of some filters, by group."""
    report = place / "evaluation.json"
    if not report.exists() or json.loads(report.read_text()).get("parts") != [
        part.sha256 for part in load_model(checkpoint).parts
    ]:
        files = sorted((folder / "test" / "science").glob("*.fits"))
        chosen = ",".join(f"'{file}'" for file in files if fits.getval(file, "FILTER") in filters)
        given = (f"ckpt_path={checkpoint}", f"input=[{chosen}]", f"truth={folder}/test/truth")
        run("evaluate.py", *given, f"output_dir={place}", f"hydra.run.dir={place}")
    return json.loads(report.read_text())["with_truth"]


def precision(report: Report, group: str) -> float:
    """Average precision of a group of exposures."""
    return report[group]["average_precision"]["value"]


def by_filter(report: Report) -> Iterator[str]:
    """Lay out the scores of the universal model, a row for each filter and field type."""
    yield "| | all | " + " | ".join(FIELDS) + " | at 0.5: completeness | purity | false positives |\n|" + "---|" * 8
    for name in (*FILTERS, "all"):
        groups = (name, *(field if name == "all" else f"{name} {field}" for field in FIELDS))
        cells = [f"{precision(report, group):.4f}" for group in groups]
        cells += [f"{report[name][key]['value']:.1%}" for key in ("completeness", "purity")]
        yield f"| {name} | " + " | ".join(cells) + f" | {report[name]['false_positive_rate']['value']:.3%} |"
    yield "\n| | completeness | purity | false positives | calibration error |\n|" + "---|" * 5
    for field in FIELDS:
        cells = [f"{report[field][key]['value']:.1%}" for key in ("completeness", "purity")]
        cells.append(f"{report[field]['false_positive_rate']['value']:.3%}")
        yield f"| {field} | " + " | ".join(cells) + f" | {report[field]['calibration_error_likely']['value']:.3f} |"


def against_single(universal: Report, single: dict[str, Report]) -> Iterator[str]:
    """Lay out what universality costs, a row for each filter."""
    yield "| | universal | that filter alone | cost, in points |\n|" + "---|" * 4
    for name, report in single.items():
        ours, theirs = precision(universal, name), precision(report, "all")
        yield f"| {name} | {ours:.4f} | {theirs:.4f} | {100 * (theirs - ours):.2f} |"


def draw(path: Path, universal: Report, single: dict[str, Report]) -> None:
    """Draw average precision by filter and field, the networks of one filter beside it."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = sorted(FILTERS, key=lambda name: FILTERS[name].pivot_nm)
    figure, axes = plt.subplots(1, len(FIELDS), figsize=(12, 3.2), sharey=True, layout="constrained")
    for field, axis in zip(FIELDS, axes, strict=True):
        axis.plot(names, [precision(universal, f"{name} {field}") for name in names], "o-", label="universal")
        there = [name for name in names if name in single]
        alone = [precision(single[name], field) for name in there]
        axis.plot(there, alone, "s", mfc="none", color="C1", label="that filter alone")
        axis.set_title(field)
        axis.tick_params(axis="x", rotation=90)
    axes[0].set_ylabel("average precision")
    axes[0].set_yticks(np.arange(0.84, 1.001, 0.04))
    axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train, score, print and draw."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path, help="folder of the exposures, the networks and the scores")
    options.add_argument("--ckpt-path", default=UNIVERSAL, help="another model than the one in the package")
    options.add_argument("--single", nargs="*", choices=FILTERS, default=list(SINGLE), help="networks of one filter")
    options.add_argument("--picture", type=Path, help="figure to draw")
    chosen = options.parse_args()
    simulate(chosen.out, bool(chosen.single))
    universal = score(chosen.out, chosen.ckpt_path, tuple(FILTERS), chosen.out / "scores" / "universal")
    print("\n".join(by_filter(universal)), flush=True)
    single = {
        name: score(chosen.out, train(chosen.out, name), (name,), chosen.out / "scores" / name)
        for name in chosen.single
    }
    print("\n" + "\n".join(against_single(universal, single)))
    if chosen.picture:
        draw(chosen.picture, universal, single)


if __name__ == "__main__":
    main()
