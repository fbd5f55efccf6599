"""A sweep with joblib and a search with Optuna, killed again and again; then the same command goes on to its end."""

from __future__ import annotations

import csv
import json
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import optuna
import torch
from killed_runs import other_weights
from killing import Killer, tail
from optuna.trial import TrialState
from scripts_in_forks import script
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import kept_epochs, left_behind, trained_again

TRIALS = 3
OPTIONS = (
    "data.tile_size=32",
    "data.batch_size=4",
    "data.tiles_per_epoch=8",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "keep_freed_memory=false",
    "~callbacks.figures",
    "model.depth=1",
)


def killed_sweep(folder: Path, case: Path, killer: Killer) -> Outcome:
    """Kill a sweep, or its first process alone; each job ends with the weights of a sweep that nobody stopped."""
    place, log = case / "sweep", case / "log"

    def begin() -> list[Callable[[], object]]:
        return [side_by_side(folder / "survey", case, "model.hidden=2,3,4", f"hydra.sweep.dir={place}")]

    before, kept = _killed(begin, place, killer, case)
    if killer.finish(begin()[0], case, log):
        return Outcome(CRASHED, "ends with an error: " + tail(log))
    with (place / "sweep.csv").open(newline="") as file:
        rows = [row["status"] for row in csv.DictReader(file)]
    if rows != ["done"] * 3:
        return Outcome(WRONG, f"the table has {rows}")
    reference = folder / "reference_sweep"
    if not killer.moments:
        place.rename(reference)
        return Outcome(RIGHT, "")
    wrong = [job for job in "012" if other_weights(place / job, reference / job)]
    if wrong:
        return Outcome(WRONG, f"other weights in the jobs {wrong}: {tail(log)}")
    return _repeated(before, kept, case)


def killed_search(folder: Path, case: Path, killer: Killer) -> Outcome:
    """Kill a search; what it has scored stays, and it has as many trials with a score as it was asked for."""
    place, log = case / "search", case / "log"
    given = ["hparams_search=optuna", "model.hidden=2,3,4", f"hydra.sweeper.trials={TRIALS}"]

    def begin() -> list[Callable[[], object]]:
        return [script("train.py", "-m", *_data(folder / "survey", case), *given, f"hydra.sweep.dir={place}")]

    before, kept = _killed(begin, place, killer, case)
    if killer.finish(begin()[0], case, log):
        return Outcome(CRASHED, "ends with an error: " + tail(log))
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{place}/study.db")
    states = [trial.state for trial in study.trials]
    if states.count(TrialState.COMPLETE) != TRIALS or TrialState.RUNNING in states:
        return Outcome(WRONG, f"the trials are {states}")
    if states.count(TrialState.FAIL) > killer.hits.total():
        return Outcome(WRONG, f"{states.count(TrialState.FAIL)} trials are lost")
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            result = json.loads((place / str(trial.number) / "result.json").read_text())
            if result["scores"]["val/average_precision"] != trial.value:
                return Outcome(WRONG, f"trial {trial.number} has another score")
            torch.load(result["checkpoint"], weights_only=True)
    return _repeated(before, kept, case)


def done(place: Path) -> list[Path]:
    """Name the results of jobs that are done, whose epochs are not to be repeated."""
    return [path for path in place.glob("*/result.json") if json.loads(path.read_text())["status"] == "done"]


def side_by_side(survey: Path, case: Path, *given: str) -> Callable[[], object]:
    """Make the work of a sweep with two processes of joblib, which have what this one has imported."""

    def work() -> None:
        from joblib.externals.loky.backend.context import set_start_method

        # joblib warns of it; a process that begins from nothing would take most of the time to import PyTorch.
        warnings.simplefilter("ignore")
        set_start_method("fork")
        launched = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
        script("train.py", "-m", *_data(survey, case), *launched, *given)()

    return work


def _data(survey: Path, case: Path) -> list[str]:
    data = [f"data.{kind}={survey}/{kind}" for kind in ("science", "darks")]
    return [*data, f"data.store_dir={case}/tiles", *OPTIONS]


def _killed(
    begin: Callable[[], list[Callable[[], object]]], place: Path, killer: Killer, case: Path
) -> tuple[dict[Path, int], dict[Path, list[tuple[int, int]]]]:
    """Kill the work round after round; give when each result was written, and the epochs that each job kept."""
    before: dict[Path, int] = {}
    kept: dict[Path, list[tuple[int, int]]] = defaultdict(list)
    for _ in killer.rounds(begin, case, case / "log"):
        before |= {path: path.stat().st_mtime_ns for path in done(place)}
        if not killer.at_work:
            for job in place.glob("[0-9]*"):
                kept[job].append(kept_epochs(job))
    return before, kept


def _repeated(before: dict[Path, int], kept: dict[Path, list[tuple[int, int]]], case: Path) -> Outcome:
    twice = [path.parent.name for path, was in before.items() if path.stat().st_mtime_ns != was]
    if twice:
        return Outcome(WRONG, f"done again: {twice}")
    if again := sum(trained_again(job, held) for job, held in kept.items()):
        return Outcome(WRONG, f"{again} epochs again")
    left = left_behind(case)
    return Outcome(WRONG, f"left behind: {left}") if left else Outcome(RIGHT, "")
