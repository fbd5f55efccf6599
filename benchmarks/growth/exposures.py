"""Time, memory, open files and threads against the number of exposures of one run of predict.py.

    python benchmarks/growth/exposures.py [--largest 2000] [--figure PNG] [--json FILE]

Small exposures of 64 x 96 pixels are cleaned with the model of the package, masks written. The times are those of the
processor, and begin with a process that has only imported what is needed. The last run is looked at while it goes on.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from curves import Curve, Panel, finish, options
from measured import Look, Taken, measure, up_to
from scripts_in_forks import warm_up
from small_survey import make_survey
from works import cleaning

COUNTS = (10, 30, 100, 300, 1000, 2000)


def main(arguments: list[str] | None = None) -> None:
    """Measure runs of each size, and look at the largest."""
    chosen = options(__doc__, COUNTS[-1]).parse_args(arguments)
    warm_up()
    counts, taken = list(up_to(chosen.largest, COUNTS)), list[Taken]()
    for count in counts:
        one, during = survey(count)
        taken.append(one)
        print(f"{count} exposures: {one}")
    seconds = Curve("time", "s", counts, [one.seconds for one in taken])
    memory = Curve("memory", "MB", counts, [one.memory / 1e6 for one in taken])
    done = [number for number, _ in during]
    run = {
        "memory, MB": [look.memory / 1e6 for _, look in during],
        "open files": [look.files for _, look in during],
        "threads": [look.threads for _, look in during],
    }
    flat = [Curve(name, "", done, values) for name, values in run.items()]
    ends = [Curve(f"{of.name}, of {counts[-1]}", of.unit, *at_ends(of)) for of in flat]
    finish(
        chosen,
        [seconds, memory, *ends],
        [
            Panel("exposures", "seconds of a core", [seconds]),
            Panel(f"exposures done, of {counts[-1]}", "memory, MB", flat[:1], "linear", "linear"),
            Panel(f"exposures done, of {counts[-1]}", "number", flat[1:], "linear", "linear"),
        ],
    )


def survey(count: int) -> tuple[Taken, list[tuple[int, Look]]]:
    """Clean so many exposures; give what it took, and how many were done at each look."""
    during: list[tuple[int, Look]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_survey(folder / "survey")
        sources = sorted((folder / "survey" / "science").iterdir())
        (folder / "in").mkdir()
        for number in range(count):
            shutil.copy(sources[number % len(sources)], folder / "in" / f"ivis{number:05d}q_flc.fits")
        table = folder / "out" / "summary.csv"

        def each(look: Look) -> None:
            if table.exists() and (done := table.read_bytes().count(b"\n") - 1) > 0:
                during.append((done, look))

        taken = measure(cleaning(folder / "in", folder / "out"), folder, each)
        made = len(list((folder / "out").glob("*_crmask.fits")))
    if made != count:
        raise SystemExit(f"{made} masks of {count} exposures")
    return taken, during


def at_ends(curve: Curve) -> tuple[list[float], list[float]]:
    """Take the largest value within the first tenth of a run, after its start, and within the last."""
    tenth = max(1, len(curve.sizes) // 10)
    parts = slice(tenth, 2 * tenth), slice(-tenth, None)
    return [curve.sizes[part][-1] for part in parts], [max(curve.values[part]) for part in parts]


if __name__ == "__main__":
    main()
