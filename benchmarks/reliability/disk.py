"""Disks that are full, become read-only, or answer with errors, while masks are written and networks trained.

    python benchmarks/reliability/disk.py [--count 100] [--seed 1] [--kinds full fault train] [--json FILE]

Each case has a disk of its own. The command has to end in a line and not in a traceback, nothing half written may stay,
and with a sound disk the same command has to finish. Full and read-only disks are file systems in memory, which only
root may mount; without that a limit on the size of files takes their place, and `readonly` is left out.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from campaign import Tally, options, until
from faults import break_calls
from kills import PRODUCTS, train, whole
from scripts_in_forks import end, script, start, warm_up
from small_survey import make_survey
from watched import CRASHED, RIGHT, WRONG, Outcome

ERRORS = ("EIO", "ESTALE", "EAGAIN", "ENOLCK", "EROFS", "ENOSPC", "EDQUOT", "EACCES")


def main(arguments: list[str] | None = None) -> int:
    """Try as many disks as asked for of each kind; give the number of faults."""
    parser = options(__doc__, 100)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="what happens")
    chosen = parser.parse_args(arguments)
    warm_up()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_survey(folder / "survey", count=3)
        if end(start(train(folder, folder / "reference"), folder, folder / "log")):
            raise SystemExit((folder / "log").read_text()[-2000:])
        for kind in chosen.kinds:
            if kind == "readonly" and not can_mount():
                print("readonly: left out, since this user may not mount")
                continue
            for number in until(chosen.minutes / len(chosen.kinds), chosen.count):
                case = folder / f"{kind}{number}"
                case.mkdir()
                rng = np.random.default_rng([chosen.seed, number])
                tally.add(kind, f"seed {chosen.seed}, case {number}", KINDS[kind](folder, case, rng))
                shutil.rmtree(case, ignore_errors=True)
    return tally.publish(chosen.json)


def can_mount() -> bool:
    """Tell whether this user may mount a file system."""
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", place], check=True)
    return True


@contextmanager
def disk(place: Path, size: int) -> Any:
    """Mount a disk of so many bytes; gives what changes it."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)

    def become(settings: str) -> int:
        return subprocess.run(["mount", "-o", f"remount,{settings}", str(place)], check=False).returncode

    try:
        yield become
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def cleaning(folder: Path, output: Path, run: Path) -> Callable[[], object]:
    """Make the work of cleaning the survey."""
    best = folder / "reference" / "checkpoints" / "best.ckpt"
    common = [f"ckpt_path={best}", f"input={folder}/survey/science", f"output_dir={output}", PRODUCTS]
    return script("predict.py", *common, "trainer.accelerator=cpu", "keep_freed_memory=false", f"hydra.run.dir={run}")


def full(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Let the disk be full at some byte of what a survey needs."""
    size = int(rng.integers(1, 700) * 4096 if can_mount() else rng.integers(1, 200_000))
    if not can_mount():
        return judged(folder, case, case / "out", limited(cleaning(folder, case / "out", case / "run"), size))
    with disk(case / "disk", size) as become:
        work = cleaning(folder, case / "disk" / "out", case / "run")
        return judged(folder, case, case / "disk" / "out", work, lambda: become("size=64m"))


def limited(work: Callable[[], object], size: int) -> Callable[[], object]:
    """Let no file grow beyond a size in some work."""

    def run() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        work()

    return run


def readonly(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Let the disk become read-only at some moment."""
    with disk(case / "disk", 1 << 26) as become:
        work = cleaning(folder, case / "disk" / "out", case / "run")

        def turned() -> None:
            from threading import Timer

            Timer(float(rng.uniform(0, 3)), lambda: become("ro")).start()
            work()

        return judged(folder, case, case / "disk" / "out", turned, lambda: become("rw"))


def fault(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Let a call of the system fail, once or from then on."""
    output = case / "out"
    number = getattr(errno, str(rng.choice(ERRORS)))
    after, once, seed = int(rng.integers(0, 25)), bool(rng.random() < 0.5), int(rng.integers(1 << 30))

    def broken() -> None:
        break_calls(output, number, after, once, seed)
        cleaning(folder, output, case / "run")()

    return judged(folder, case, output, broken)


def training(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Let the disk of a run and of its store be full, or a call fail, while a network is trained."""
    run, log = case / "run", case / "log"
    if rng.random() < 0.5:
        size = int(rng.integers(200, 300_000))
        work = limited(train(folder, run), size)
    else:
        number = getattr(errno, str(rng.choice(ERRORS)))
        after, once, seed = int(rng.integers(0, 25)), bool(rng.random() < 0.5), int(rng.integers(1 << 30))

        def work() -> None:
            break_calls(case, number, after, once, seed)
            train(folder, run)()

    status = end(start(work, case, log))
    if told := _traceback(log, status):
        return Outcome(CRASHED, told, 0)
    if status and end(start(train(folder, run), case, log)):
        return Outcome(CRASHED, "does not go on: " + log.read_text()[-500:], 0)
    left = [str(path) for path in case.rglob(".partial-*")]
    return Outcome(WRONG, f"left behind: {left}", 0) if left else Outcome(RIGHT, "", 0)


def judged(
    folder: Path, case: Path, output: Path, work: Callable[[], object], mend: Callable[[], object] = lambda: None
) -> Outcome:
    """Run work on a bad disk, and again on a sound one."""
    log = case / "log"
    status = end(start(work, case, log))
    if told := _traceback(log, status):
        return Outcome(CRASHED, told, 0)
    said = log.read_text().strip().splitlines()[-1:]
    mend()
    if left := [path.name for path in output.glob(".partial-*") if os.access(output, os.W_OK)] if not status else []:
        return Outcome(WRONG, f"left behind: {left}", 0)
    if end(start(cleaning(folder, output, case / "again"), case, log)):
        return Outcome(CRASHED, "does not go on: " + log.read_text()[-500:], 0)
    found = whole(folder, output)
    return found if found.survived else Outcome(found.kind, f"{found.words}; before: {said}", 0)


def _traceback(log: Path, status: int) -> str:
    text = log.read_text()
    if "Traceback" in text or status not in (0, 1):
        return f"status {status}: " + " | ".join(text.strip().splitlines()[-6:])[-900:]
    return ""


KINDS: Mapping[str, Callable[[Path, Path, np.random.Generator], Outcome]] = {
    "full": full,
    "readonly": readonly,
    "fault": fault,
    "train": training,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
