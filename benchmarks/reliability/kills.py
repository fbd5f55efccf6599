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
from campaign import Tally, options, until
from scripts_in_forks import end, start, warm_up
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import NO_FIGURES, cleaning_survey, left_behind, survey_and_reference, training, whole

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
        survey_and_reference(folder)
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
                if after is None:
                    duration = time.monotonic() - begun
                    tally.add(f"{kind}, not killed", f"seed {chosen.seed}", outcome)
                else:
                    tally.add(f"{kind}, {sign.name}", f"seed {chosen.seed}, case {number}, {after:.2f} s", outcome)
                shutil.rmtree(case, ignore_errors=True)
    return tally.publish(chosen.json)


def killed_training(folder: Path, case: Path, after: float | None, sign: int) -> Outcome:
    """Kill a training, go on with it, and compare its weights with those of one that nobody stopped."""
    run, log = case / "run", case / "log"
    status = end(start(training(folder / "survey", run, NO_FIGURES), case, log), after, sign)
    if after is not None:
        status = end(start(training(folder / "survey", run, NO_FIGURES), case, log))
    if status:
        return Outcome(CRASHED, "ends with an error: " + _tail(log))
    wrong = []
    for name in ("best", "last"):
        ours, reference = (
            torch.load(place / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
            for place in (run, folder / "reference")
        )
        wrong += [name] if any(not torch.equal(ours[key], reference[key]) for key in reference) else []
    if wrong:
        return Outcome(WRONG, f"other weights in {wrong}: {_tail(log)}")
    left = left_behind(case)
    return Outcome(WRONG, f"left behind: {left}") if left else Outcome(RIGHT, "")


def killed_prediction(folder: Path, case: Path, after: float | None, sign: int) -> Outcome:
    """Kill two processes that clean a survey into one folder, and go on with one of them."""
    output, log = case / "out", case / "log"
    works = [cleaning_survey(folder, output, case / f"run{n}") for n in range(3)]
    running = [start(work, case, log) for work in works[: 1 if after is None else 2]]
    statuses = [end(process, after, sign) for process in running]
    before = {path: path.stat() for path in output.glob("*_*") if not path.name.startswith(".")}
    if after is not None:
        statuses = [end(start(works[2], case, log))]
    if any(statuses):
        return Outcome(CRASHED, "ends with an error: " + _tail(log))
    twice = [path.name for path, was in before.items() if path.stat().st_mtime_ns != was.st_mtime_ns]
    twice = [name for name in twice if not name.startswith("odd_exposures")]
    if twice:
        return Outcome(WRONG, f"made again: {twice}")
    return whole(folder, output)


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

    if end(start(lambda: work(10), case, case / "log"), after, sign) and after is None:
        return Outcome(CRASHED, "ends with an error: " + _tail(case / "log"))
    exposure = read_exposure(path)
    for mask in case.glob("[!.]*_crmask.fits"):
        read_mask_file(mask, exposure)
    if end(start(lambda: work(1), case, case / "log")):
        return Outcome(CRASHED, "cannot save again: " + _tail(case / "log"))
    read_mask_file(place, exposure)
    return Outcome(RIGHT, "")


def _tail(log: Path) -> str:
    return " | ".join(log.read_text().strip().splitlines()[-3:])[-600:]


KINDS: Mapping[str, Callable[[Path, Path, float | None, int], Outcome]] = {
    "predict": killed_prediction,
    "train": killed_training,
    "save": killed_saving,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
