"""Much at once: exposures in a run and in eight, processes on one store, jobs in a table, a large image, a large store.

    python benchmarks/reliability/load.py [--exposures 2000] [--crowd 2000] [--processes 20] [--jobs 500]
        [--side 12000] [--store 40] [--json FILE]

Memory, open files and threads of a run are looked at while it goes on: those of its last third may not be above those
of the one before, and an exposure of its second half may not take much more of the processor than one of its first.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from campaign import Tally, options
from looks import looks
from scripts_in_forks import end, start, warm_up
from small_survey import make_survey
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import NO_FIGURES, cleaning, training

GROWTH = 1.1
"""Memory, files and threads may differ by so much between two thirds of a run."""
PASSING = 5
"""So many files and threads more may be there at a moment, as they come and go."""
SLOWER = 1.5
"""The second half of a run may take so many times the processor that its first half takes, an exposure."""


CROWD = 8
"""Processes that clean into one folder."""

SIZES = {"exposures": 2000, "crowd": 2000, "processes": 20, "jobs": 500, "side": 12_000, "store": 40}
"""By default; the side of the image is in pixels, the store in GB."""


def main(arguments: list[str] | None = None) -> int:
    """Put on the load that is asked for; give the number of faults."""
    parser = options(__doc__)
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value, help="0 leaves it out (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm_up()
    tally = Tally()
    for kind, work in LOADS.items():
        size = getattr(chosen, kind)
        if size:
            with tempfile.TemporaryDirectory() as name:
                outcome = work(Path(name), size)
            print(f"{kind} {size}: {outcome.words}")
            tally.add(f"{kind}, {size}", f"--{kind} {size}", outcome)
    return tally.publish(chosen.json)


def exposures(folder: Path, count: int) -> Outcome:
    """Clean many small exposures in one run."""
    many_exposures(folder, count)
    process = start(cleaning(folder / "in", folder / "out"), folder, folder / "log")
    samples = [
        (seconds, len(list((folder / "out").glob("*_crmask.fits"))), *taken) for seconds, *taken in looks(process)
    ]
    if end(process):
        return Outcome(CRASHED, (folder / "log").read_text()[-500:])
    rows = (folder / "out" / "summary.csv").read_text().splitlines()[1:]
    made = [sample for sample in samples if count / 10 < sample[1] < count]  # neither beginning nor end
    if len(rows) != count or len(made) < 6:
        return Outcome(WRONG, f"{len(rows)} rows, {len(made)} samples")
    third = len(made) // 3
    middle, last = (np.max([sample[2:] for sample in part], axis=0) for part in (made[third:-third], made[-third:]))
    halves = made[: len(made) // 2], made[len(made) // 2 :]
    rate = [(part[-1][0] - part[0][0]) / max(1, part[-1][1] - part[0][1]) for part in halves]
    words = (
        f"memory {middle[0] / 1e6:.0f} then {last[0] / 1e6:.0f} MB, files {middle[1]} then {last[1]}, "
        f"threads {middle[2]} then {last[2]}; {1e3 * rate[0]:.0f} ms of the processor an exposure in "
        f"the first half, {1e3 * rate[1]:.0f} in the second"
    )
    flat = bool((last <= GROWTH * middle + PASSING).all()) and rate[1] < SLOWER * rate[0]
    return Outcome(RIGHT if flat else WRONG, words)


def many_exposures(folder: Path, count: int) -> None:
    """Put many small exposures into ``in``: copies of a few."""
    make_survey(folder / "survey", count=6)
    sources = sorted((folder / "survey" / "science").iterdir())
    (folder / "in").mkdir()
    for number in range(count):
        shutil.copy(sources[number % 6], folder / "in" / f"ivis{number:05d}q_flc.fits")


def crowd(folder: Path, count: int) -> Outcome:
    """Clean many small exposures in eight processes, each with a list of its own, into one folder."""
    many_exposures(folder, count)
    paths = sorted((folder / "in").iterdir())
    lists = [folder / f"list{number}.txt" for number in range(CROWD)]
    for number, file in enumerate(lists):
        file.write_text("".join(f"{path}\n" for path in paths[number::CROWD]))
    logs = [folder / f"log{number}" for number in range(CROWD)]
    begun = time.monotonic()
    running = [
        start(cleaning(file, folder / "out", f"hydra.run.dir={log}_run"), folder, log)
        for file, log in zip(lists, logs, strict=True)
    ]
    if any([end(process) for process in running]):  # noqa: C419 - each of them is waited for
        return Outcome(CRASHED, "; ".join(log.read_text()[-200:] for log in logs))
    seconds, masks = time.monotonic() - begun, len(list((folder / "out").glob("[!.]*_crmask.fits")))
    rows = (folder / "out" / "summary.csv").read_text().splitlines()[1:]
    words = f"{masks} masks, {len(rows)} rows, {seconds / 60:.1f} min"
    return Outcome(RIGHT if (masks, len(rows)) == (count, count) else WRONG, words)


def processes(folder: Path, count: int) -> Outcome:
    """Let many processes want one tile store at once."""
    make_survey(folder / "survey")

    def work() -> None:
        from deepcr_lightning.tiles.build import build_store

        files = [sorted((folder / "survey" / kind).iterdir()) for kind in ("science", "darks")]
        store = build_store(folder / "tiles", *files, tile_size=32)
        print("tiles", len(store), float(store.electrons.sum()))

    running = [start(work, folder, folder / f"log{number}") for number in range(count)]
    failed = sum(end(process) != 0 for process in running)
    told = {(folder / f"log{number}").read_text().splitlines()[-1] for number in range(count)}
    stores = [path.name for path in (folder / "tiles").iterdir() if path.is_dir()]
    words = f"{failed} failed, {len(stores)} folders, {len(told)} different answers"
    return Outcome(RIGHT if (failed, len(stores), len(told)) == (0, 1, 1) else WRONG, words)


def jobs(folder: Path, count: int) -> Outcome:
    """Collect a sweep of many jobs."""
    from deepcr_lightning.sweeps.collect import collect
    from deepcr_lightning.sweeps.result import DONE, SCORE, Result, write_result

    rng = np.random.default_rng(1)
    for number in range(count):
        overrides = [f"model.depth={number % 4 + 1}", f"model.hidden={number % 7 + 4}"]
        (folder / str(number)).mkdir()
        write_result(folder / str(number), Result(str(number), DONE, overrides, {SCORE: float(rng.random())}))
    begun = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        collect(folder)
    rows = (folder / "sweep.csv").read_text().splitlines()
    words = f"{len(rows) - 1} rows in {time.process_time() - begun:.1f} s of the processor"
    return Outcome(RIGHT if len(rows) == count + 1 else WRONG, words)


def side(folder: Path, length: int) -> Outcome:
    """Clean one large square image."""
    from astropy.io import fits

    rng = np.random.default_rng(1)
    block = rng.normal(30, 5, (1000, length)).astype(np.float32)
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", length), ("NAXIS2", length)])
    header.update({"BUNIT": "ELECTRONS", "EXPTIME": 60.0})
    with fits.StreamingHDU(folder / "large.fits", header) as file:
        for row in range(0, length, 1000):
            file.write(np.roll(block, row // 7, axis=1)[: length - row])
    process = start(cleaning(folder / "large.fits", folder / "out"), folder, folder / "log")
    most = max(look.memory for look in looks(process))
    if end(process):
        return Outcome(CRASHED, (folder / "log").read_text()[-500:])
    return Outcome(RIGHT, f"{most / 1e9:.1f} GB at most, {most / length**2:.0f} bytes a pixel")


def store(folder: Path, gigabytes: int) -> Outcome:
    """Train on a tile store that has so many GB of holes behind its tiles, which take no room on the disk."""
    make_survey(folder / "survey", shape=(512, 512))
    small = ("data.tile_size=512", "data.val_tiles=4", "trainer.max_epochs=1", NO_FIGURES)
    log = folder / "log"
    if end(start(training(folder / "survey", folder / "small", *small), folder, log)):
        return Outcome(CRASHED, log.read_text()[-500:])
    (place,) = (path.parent for path in folder.glob("small_tiles/*/store.json"))
    info = json.loads((place / "store.json").read_text())
    pixels = info["tile_size"] ** 2
    count = round(gigabytes * 1e9 / (5 * pixels))
    with np.load(place / "table.npz") as table:
        columns = {name: np.resize(column, count) for name, column in table.items()}
    np.savez(place / "table.npz", **columns)
    for name, each in (("tiles", 4 * pixels), ("usable", pixels)):
        os.truncate(place / f"{name}.bin", each * count)
    (place / "store.json").write_text(json.dumps({**info, "tiles": count}))
    process = start(
        training(folder / "survey", folder / "large", *small, f"data.store_dir={place.parent}"), folder, folder / "log2"
    )
    most = max(look.memory for look in looks(process))
    said = (folder / "log2").read_text() if end(process) == 0 else ""
    words = f"{count} tiles, {most / 1e9:.1f} GB of memory at most"
    return Outcome(RIGHT, words) if "are read from the files" in said else Outcome(WRONG, f"{words}: {said[-500:]}")


LOADS: dict[str, Callable[[Path, int], Outcome]] = {
    "exposures": exposures,
    "crowd": crowd,
    "processes": processes,
    "jobs": jobs,
    "side": side,
    "store": store,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
