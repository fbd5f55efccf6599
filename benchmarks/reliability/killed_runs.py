"""Cleaning, training and saving, killed again and again; then the same command goes on to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from killing import Killer, tail
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import NO_FIGURES, cleaning_survey, kept_epochs, left_behind, trained_again, training, whole


def killed_training(folder: Path, case: Path, killer: Killer) -> Outcome:
    """Kill a training, go on with it, and compare its weights with those of one that nobody stopped."""
    run, log, kept = case / "run", case / "log", []
    for _ in killer.rounds(lambda: [training(folder / "survey", run, NO_FIGURES)], case, log):
        kept.append(kept_epochs(run))
    if killer.finish(training(folder / "survey", run, NO_FIGURES), case, log):
        return Outcome(CRASHED, "ends with an error: " + tail(log))
    if wrong := other_weights(run, folder / "reference"):
        return Outcome(WRONG, f"other weights in {wrong}: {tail(log)}")
    if again := trained_again(run, kept):
        return Outcome(WRONG, f"{again} epochs again")
    left = left_behind(case)
    return Outcome(WRONG, f"left behind: {left}") if left else Outcome(RIGHT, "")


def other_weights(run: Path, reference: Path) -> list[str]:
    """Name the checkpoints of a run whose weights are not those of another run, to the bit."""
    wrong = []
    for name in ("best", "last"):
        ours, theirs = (
            torch.load(place / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
            for place in (run, reference)
        )
        wrong += [name] if any(not torch.equal(ours[key], theirs[key]) for key in theirs) else []
    return wrong


def killed_prediction(folder: Path, case: Path, killer: Killer) -> Outcome:
    """Kill two processes that clean a survey into one folder, and go on with one of them."""
    output, log = case / "out", case / "log"
    count, before = iter(range(100)), dict[Path, int]()

    def work() -> Callable[[], object]:
        clean = cleaning_survey(folder, output, case / f"run{next(count)}")

        def on_two_threads() -> None:
            torch.set_num_threads(2)  # with which two exposures are mapped at a time
            clean()

        return on_two_threads

    for _ in killer.rounds(lambda: [work(), work()], case, log):
        places = [path for path in output.glob("*_*") if not path.name.startswith((".", "odd_exposures"))]
        before = {path: path.stat().st_mtime_ns for path in places} | before
    if killer.finish(work(), case, log):
        return Outcome(CRASHED, "ends with an error: " + tail(log))
    twice = [path.name for path, was in before.items() if not path.exists() or path.stat().st_mtime_ns != was]
    return Outcome(WRONG, f"made again: {twice}") if twice else whole(folder, output)


def killed_saving(folder: Path, case: Path, killer: Killer) -> Outcome:
    """Kill the page while it saves a mended mask again and again; what is there is one that was whole."""
    from deepcr_lightning.exposures.exposure import read_exposure
    from deepcr_lightning.exposures.products import Provenance
    from deepcr_lightning.viewer.earlier import read_mask_file
    from deepcr_lightning.viewer.opened import open_exposure
    from deepcr_lightning.viewer.saving import SAVED, save

    path = min((folder / "survey" / "science").iterdir())
    place = case / "ivis_crmask.fits"

    def search(exposure: object) -> tuple[list[np.ndarray], Provenance]:
        del exposure
        return [np.full((64, 96), 0.2, np.float32)], Provenance("x", "0", 0.5, 0)

    def work() -> None:
        opened = open_exposure(path, place, search)
        for _ in range(4):
            save(opened, SAVED)

    exposure = read_exposure(path)
    for _ in killer.rounds(lambda: [work], case, case / "log"):
        for mask in case.glob("[!.]*_crmask.fits"):
            read_mask_file(mask, exposure)
    if killer.finish(work, case, case / "log"):
        return Outcome(CRASHED, "cannot save again: " + tail(case / "log"))
    read_mask_file(place, exposure)
    left = left_behind(case)
    return Outcome(WRONG, f"left behind: {left}") if left else Outcome(RIGHT, "")
