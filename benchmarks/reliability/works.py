"""The works that campaigns disturb: training on the small survey, cleaning it, and what is to be there afterwards."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from astropy.io import fits
from scripts_in_forks import end, script, start
from small_survey import TINY, make_survey
from watched import RIGHT, WRONG, Outcome

PRODUCTS = "products=[mask,dq_copy,clean,preview,regions]"
NO_FIGURES = "~callbacks.figures"
"""For trainings whose weights are looked at: figures are three quarters of so small a run, also of its moments."""


def survey_and_reference(folder: Path, count: int = 6) -> None:
    """Write the survey into ``survey``, and train on it undisturbed into ``reference``.

    Parameters
    ----------
    folder : Path
        Where both are made.
    count : int
        Exposures of the survey.
    """
    make_survey(folder / "survey", count=count)
    log = folder / "log"
    if end(start(training(folder / "survey", folder / "reference", NO_FIGURES), folder, log)):
        raise SystemExit(log.read_text()[-2000:])


def training(survey: Path, run: Path, *more: str) -> Callable[[], object]:
    """Make the work of a training run, or of going on with it where it has begun.

    Parameters
    ----------
    survey : Path
        From `make_survey`.
    run : Path
        Folder of the run; its tiles are beside it.
    *more : str
        Options of a run that begins.

    Returns
    -------
    callable
    """
    last = run / "checkpoints" / "last.ckpt"
    if last.is_file():
        return script("train.py", f"ckpt_path={last}")
    data = [f"data.{kind}={survey}/{kind}" for kind in ("science", "darks")]
    return script("train.py", *data, f"data.store_dir={run}_tiles", f"hydra.run.dir={run}", *TINY, *more)


def cleaning(source: Path, output: Path, *more: str) -> Callable[[], object]:
    """Make the work of cleaning what a path names."""
    common = [f"input={source}", f"output_dir={output}", "trainer.accelerator=cpu", "keep_freed_memory=false"]
    return script("predict.py", *common, *more)


def cleaning_survey(folder: Path, output: Path, run: Path) -> Callable[[], object]:
    """Make the work of cleaning the survey with the network of the reference, into all products.

    Parameters
    ----------
    folder : Path
        From `survey_and_reference`.
    output : Path
        Where the products go.
    run : Path
        Where Hydra keeps its log.

    Returns
    -------
    callable
    """
    best = folder / "reference" / "checkpoints" / "best.ckpt"
    return cleaning(folder / "survey" / "science", output, f"ckpt_path={best}", PRODUCTS, f"hydra.run.dir={run}")


def kept_epochs(run: Path) -> tuple[int, int]:
    """Look at a run that was killed: the number of its next table of metrics, and the epochs in its ``last.ckpt``."""
    last = run / "checkpoints" / "last.ckpt"
    states = torch.load(last, weights_only=True)["loops"]["fit_loop"] if last.is_file() else None
    epochs = 0 if states is None else states["epoch_progress"]["total"]["processed"]
    return max([int(path.name.partition("_")[2]) + 1 for path in run.glob("metrics/version_*")], default=0), epochs


def trained_again(run: Path, kept: Iterable[tuple[int, int]]) -> int:
    """Count the epochs of a run that its ``last.ckpt`` held when it was killed (`kept_epochs`), and that came again."""
    again = 0
    for table in run.glob("metrics/version_*/metrics.csv"):
        number = int(table.parent.name.partition("_")[2])
        held = max((epochs for following, epochs in kept if number >= following), default=0)
        with table.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("val/loss") and row["epoch"]]
        again += len({int(row["epoch"]) for row in rows if int(row["epoch"]) < held})
    return again


def left_behind(folder: Path) -> list[str]:
    """Name what is half written in a folder, at any depth."""
    return sorted(path.name for path in folder.rglob(".partial-*"))


def whole(folder: Path, output: Path) -> Outcome:
    """Look whether the survey is cleaned: all products whole, and a row for each exposure."""
    names = sorted(path.name for path in (folder / "survey" / "science").iterdir())
    roots = [name.partition("_")[0] for name in names]
    endings = ("_crmask.fits", "_flc.fits", "_crclean.fits", "_crpreview.png", "_crregions.reg")
    wanted = {f"{root}{ending}" for root in roots for ending in endings}
    there = {path.name for path in output.iterdir()}
    if wanted - there:
        return Outcome(WRONG, f"lost: {sorted(wanted - there)}")
    if left := left_behind(output):
        return Outcome(WRONG, f"left behind: {left}")
    for name in wanted:
        if name.endswith(".fits"):
            with fits.open(output / name) as hdus:
                if any(hdu.data is None for hdu in hdus[1:]):
                    return Outcome(WRONG, f"half written: {name}")
        elif not (output / name).read_bytes().endswith((b"IEND\xaeB`\x82", b"\n")):
            return Outcome(WRONG, f"half written: {name}")
    rows = (output / "summary.csv").read_text().splitlines()[1:]
    found = sorted(Path(row.partition(",")[0]).name for row in rows)
    if found != names or not all(",cleaned," in row for row in rows):
        return Outcome(WRONG, f"the table has {rows}")
    return Outcome(RIGHT, "")
