"""Processes killed at random moments, after which the same command goes on.

    python benchmarks/reliability/kills.py [--count 200] [--seed 1] [--kinds predict train save] [--json FILE]

Each case begins the work in a folder of its own, sends SIGKILL (or, in every fourth case, SIGTERM) after a random time
within what the work takes, runs the same command to its end and looks at all that is there: nothing may be lost, half
written or done twice, and a resumed training has to end with the weights of one that nobody stopped, to the bit.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from campaign import Tally, options, until
from scripts_in_forks import end, script, start, warm_up
from small_survey import TINY, make_survey
from watched import CRASHED, RIGHT, WRONG, Outcome

TERM_EVERY = 4


def main(arguments: list[str] | None = None) -> int:
    """Kill as often as asked for in each kind of work; give the number of faults."""
    parser = options(__doc__, 200)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="work to kill")
    chosen = parser.parse_args(arguments)
    warm_up()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_survey(folder / "survey")
        run = start(train(folder, folder / "reference"), folder, folder / "log")
        if end(run):
            raise SystemExit((folder / "log").read_text()[-2000:])
        for kind in chosen.kinds:
            duration = 0.0
            for number in until(chosen.minutes / len(chosen.kinds), chosen.count + 1):
                rng = np.random.default_rng([chosen.seed, number])
                case = folder / f"{kind}{number}"
                case.mkdir()
                begun = time.monotonic()
                # The first is not killed: it tells how long the work takes.
                after = float(rng.uniform(0, 1.05 * duration)) if number else None
                sign = signal.SIGTERM if number % TERM_EVERY == 0 else signal.SIGKILL
                outcome = KINDS[kind](folder, case, after, sign)
                if number:
                    tally.add(f"{kind}, {sign.name}", f"seed {chosen.seed}, case {number}, {after:.2f} s", outcome)
                else:
                    duration = time.monotonic() - begun
                shutil.rmtree(case, ignore_errors=True)
    return tally.publish(chosen.json)


def train(folder: Path, run: Path) -> Callable[[], object]:
    """Make the work of a training run, or of going on with it."""
    last = run / "checkpoints" / "last.ckpt"
    if last.is_file():
        return script("train.py", f"ckpt_path={last}")
    data = [f"data.{kind}={folder}/survey/{kind}" for kind in ("science", "darks")]
    return script("train.py", *data, f"data.store_dir={run}_tiles", f"hydra.run.dir={run}", *TINY)


def killed_training(folder: Path, case: Path, after: float | None, sign: int) -> Outcome:
    """Kill a training, go on with it, and compare its weights with those of one that nobody stopped."""
    run, log = case / "run", case / "log"
    end(start(train(folder, run), case, log), after, sign)
    if after is not None and end(start(train(folder, run), case, log)):
        return Outcome(CRASHED, "cannot go on: " + _tail(log), 0)
    wrong = []
    for name in ("best", "last"):
        ours, reference = (
            torch.load(place / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
            for place in (run, folder / "reference")
        )
        wrong += [name] if any(not torch.equal(ours[key], reference[key]) for key in reference) else []
    if wrong:
        return Outcome(WRONG, f"other weights in {wrong}: {_tail(log)}", 0)
    left = [str(path) for path in case.rglob(".partial-*")]
    return Outcome(WRONG, f"left behind: {left}", 0) if left else Outcome(RIGHT, "", 0)


PRODUCTS = "products=[mask,dq_copy,clean,preview,regions]"


def killed_prediction(folder: Path, case: Path, after: float | None, sign: int) -> Outcome:
    """Kill two processes that clean a survey into one folder, and go on with one of them."""
    output, log = case / "out", case / "log"
    best = folder / "reference" / "checkpoints" / "best.ckpt"
    common = [f"ckpt_path={best}", f"input={folder}/survey/science", f"output_dir={output}", PRODUCTS]
    common += ["trainer.accelerator=cpu", "keep_freed_memory=false"]
    works = [script("predict.py", *common, f"hydra.run.dir={case}/run{n}") for n in range(3)]
    running = [start(work, case, log) for work in works[: 1 if after is None else 2]]
    for process in running:
        end(process, after, sign)
    before = {path: path.stat() for path in output.glob("*_*") if not path.name.startswith(".")}
    if after is not None and end(start(works[2], case, log)):
        return Outcome(CRASHED, "cannot go on: " + _tail(log), 0)
    twice = [path.name for path, was in before.items() if path.stat().st_mtime_ns != was.st_mtime_ns]
    twice = [name for name in twice if not name.startswith("odd_exposures")]
    if twice:
        return Outcome(WRONG, f"made again: {twice}", 0)
    return whole(folder, output)


def whole(folder: Path, output: Path) -> Outcome:
    """Look whether a survey is cleaned: all products whole, and a row for each exposure."""
    names = sorted(path.name for path in (folder / "survey" / "science").iterdir())
    roots = [name.partition("_")[0] for name in names]
    endings = ("_crmask.fits", "_flc.fits", "_crclean.fits", "_crpreview.png", "_crregions.reg")
    wanted = {f"{root}{ending}" for root in roots for ending in endings}
    there = {path.name for path in output.iterdir()}
    if wanted - there:
        return Outcome(WRONG, f"lost: {sorted(wanted - there)}", 0)
    if half := [name for name in there if name.startswith(".partial-")]:
        return Outcome(WRONG, f"left behind: {half}", 0)
    for name in wanted:
        if name.endswith(".fits"):
            with fits.open(output / name) as hdus:
                if any(hdu.data is None for hdu in hdus[1:]):
                    return Outcome(WRONG, f"half written: {name}", 0)
        elif not (output / name).read_bytes().endswith((b"IEND\xaeB`\x82", b"\n")):
            return Outcome(WRONG, f"half written: {name}", 0)
    rows = (output / "summary.csv").read_text().splitlines()[1:]
    found = sorted(Path(row.partition(",")[0]).name for row in rows)
    if found != names or not all(",cleaned," in row for row in rows):
        return Outcome(WRONG, f"the table has {rows}", 0)
    return Outcome(RIGHT, "", 0)


def killed_saving(folder: Path, case: Path, after: float | None, sign: int) -> Outcome:
    """Kill the page while it saves a mended mask again and again; what is there is one that was whole."""
    from deepcr_lightning.exposures.exposure import read_exposure
    from deepcr_lightning.exposures.products import Provenance
    from deepcr_lightning.viewer.earlier import read_mask_file
    from deepcr_lightning.viewer.opened import open_exposure
    from deepcr_lightning.viewer.saving import SAVED, save

    path = next((folder / "survey" / "science").iterdir())
    place = case / "ivis_crmask.fits"

    def search(exposure: object) -> tuple[list[np.ndarray], Provenance]:
        del exposure
        return [np.full((64, 96), 0.2, np.float32)], Provenance("x", "0", 0.5, 0)

    def work(times: int) -> None:
        opened = open_exposure(path, place, search)
        for _ in range(times):
            save(opened, SAVED)

    end(start(lambda: work(10), case, case / "log"), after, sign)
    exposure = read_exposure(path)
    for mask in case.glob("[!.]*_crmask.fits"):
        read_mask_file(mask, exposure)
    if end(start(lambda: work(1), case, case / "log")):
        return Outcome(CRASHED, "cannot save again: " + _tail(case / "log"), 0)
    read_mask_file(place, exposure)
    return Outcome(RIGHT, "", 0)


def _tail(log: Path) -> str:
    return " | ".join(log.read_text().strip().splitlines()[-3:])[-600:]


KINDS: Mapping[str, Callable[[Path, Path, float | None, int], Outcome]] = {
    "predict": killed_prediction,
    "train": killed_training,
    "save": killed_saving,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
