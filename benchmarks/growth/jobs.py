"""Time and memory against the number of jobs of a sweep: what a job takes beside its training.

    python benchmarks/growth/jobs.py [--largest 64] [--figure PNG] [--json FILE]

Each job is a tiny network that learns from one batch, so that what is measured is what comes around a training: its
config, its folder and record, the model, the trainer, the checkpoints. The jobs run one after the other in one process,
as `train.py -m` does without a launcher, on one tile store that is there before. Times are those of the processor.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path

from curves import Curve, Panel, finish, options
from measured import Taken, measure, up_to
from scripts_in_forks import script, warm_up
from small_survey import TINY, make_survey

COUNTS = (4, 8, 16, 32, 64)
ONE_BATCH = ("trainer.max_epochs=1", "data.tiles_per_epoch=4", "data.val_tiles=4", "~callbacks.figures")


def main(arguments: list[str] | None = None) -> None:
    """Measure sweeps of each size."""
    chosen = options(__doc__, COUNTS[-1]).parse_args(arguments)
    warm_up()
    counts, taken = list(up_to(chosen.largest, COUNTS)), list[Taken]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_survey(folder / "survey")
        alone = measure(training(folder, "hydra.run.dir=alone"), folder)
        print(f"a run by itself, with the store: {alone}")
        for count in counts:
            seeds = ",".join(map(str, range(count)))
            taken.append(measure(training(folder, "-m", f"seed={seeds}", f"hydra.sweep.dir=sweep{count}"), folder))
            with (folder / f"sweep{count}" / "sweep.csv").open() as file:
                done = [row["status"] for row in csv.DictReader(file)]
            if done != ["done"] * count:
                raise SystemExit(f"{done} of {count} jobs")
            print(f"{count} jobs: {taken[-1]}")
    whole = Curve("sweep", "s", counts, [one.seconds for one in taken])
    each = Curve("a job", "s", counts, [one.seconds / count for one, count in zip(taken, counts, strict=True)])
    memory = Curve("memory", "MB", counts, [one.memory / 1e6 for one in taken])
    panels = [
        Panel("jobs", "seconds of a core", [whole]),
        Panel("jobs", "seconds of a core a job", [each], y="linear"),
        Panel("jobs", "memory, MB", [memory], y="linear"),
    ]
    finish(chosen, [whole, each, memory], panels)


def training(folder: Path, *more: str) -> Callable[[], object]:
    """Make the work of train.py on the survey."""
    data = [f"data.{kind}={folder}/survey/{kind}" for kind in ("science", "darks")]
    tiny = [option for option in TINY if not option.startswith(("trainer.max_epochs", "data.tiles_per", "callbacks."))]
    return script("train.py", *more, *data, f"data.store_dir={folder}/tiles", *tiny, *ONE_BATCH)


if __name__ == "__main__":
    main()
