"""Which files of a command would be lost or empty if the power went when it has ended.

    python benchmarks/reliability/synced.py [--json FILE]

Training, cleaning, a search and a download run once, while all that they put on the disk is noted: contents of files,
and names in folders. Printed is what they leave that they have not waited for. SQLite syncs by itself, unseen.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from campaign import Tally, options
from durable import lost, noted_syncs
from killed_downloads import archive, downloading
from scripts_in_forks import end, script, start, warm_up
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import cleaning_survey, survey_and_reference, training

BY_OTHERS = ("/.hydra/", "/metrics/", ".log", ".lock", "/study.db")
"""What Hydra and Lightning write by themselves: settings, logs and tables of losses; locks; and SQLite."""


def main(arguments: list[str] | None = None) -> int:
    """Run each command once; give the number of files that are not safe and should be."""
    chosen = options(__doc__).parse_args(arguments)
    warm_up()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        survey_and_reference(folder, count=2)
        with archive(folder):
            for kind, work in works(folder).items():
                case = folder / kind
                case.mkdir()
                outcome, others = judged(case, work)
                tally.add(kind, "", outcome)
                for reason, names in others.items():
                    print(f"{kind}, by others, {reason}: {', '.join(names)}")
    return tally.publish(chosen.json)


def works(folder: Path) -> dict[str, Callable[[], object]]:
    """Make the works, each of which writes into a folder of its name."""
    survey = folder / "survey"
    data = [f"data.{kind}={survey}/{kind}" for kind in ("science", "darks")]
    small = ["data.tile_size=32", "data.batch_size=4", "data.tiles_per_epoch=8", "trainer.accelerator=cpu"]
    small += ["trainer.max_epochs=1", "model.depth=1", "keep_freed_memory=false", "hydra.sweeper.trials=1"]
    search = ["hparams_search=optuna", "model.hidden=2,3", "data.num_workers=0", f"hydra.sweep.dir={folder}/search/s"]
    return {
        "train": training(survey, folder / "train" / "deep" / "run"),
        "predict": cleaning_survey(folder, folder / "predict" / "deep" / "out", folder / "predict" / "run"),
        "search": script("train.py", "-m", *data, *small, *search, f"data.store_dir={folder}/search/tiles"),
        "download": downloading(folder / "download" / "deep" / "out", folder / "download" / "run"),
    }


def judged(case: Path, work: Callable[[], object]) -> tuple[Outcome, dict[str, list[str]]]:
    """Run a work, and tell what of it is not on the disk; what others write is told apart."""
    notes = case.with_name(f"{case.name}.notes")

    def watched() -> None:
        with noted_syncs(notes):
            work()

    log = case.with_name(f"{case.name}.log")
    if end(start(watched, case, log)):
        return Outcome(CRASHED, log.read_text()[-500:]), {}
    others = defaultdict(list)
    ours = []
    for path, what in lost(case, notes).items():
        told = str(path.relative_to(case))
        if of_others(path):
            others[what].append(told)
        elif path != case:  # which was made before
            ours.append(f"{told} ({what})")
    return (Outcome(WRONG, f"not on the disk: {ours}") if ours else Outcome(RIGHT, "")), dict(others)


def of_others(path: Path) -> bool:
    """Tell whether Hydra, Lightning or SQLite have written a file, or all files of a folder."""
    if path.is_dir():
        return all(of_others(inner) for inner in path.iterdir())
    return any(f"/{path}".endswith(sign) or sign in f"{path.parent}/" for sign in BY_OTHERS)


if __name__ == "__main__":
    sys.exit(bool(main()))
