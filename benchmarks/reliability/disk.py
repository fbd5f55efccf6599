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
from threading import Timer
from typing import Any

import numpy as np
from campaign import Tally, options, until
from faults import break_calls
from scripts_in_forks import end, start, warm_up
from watched import CRASHED, RIGHT, WRONG, Outcome
from works import cleaning_survey, left_behind, survey_and_reference, training, whole

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
        survey_and_reference(folder, count=3)
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


def full(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Let the disk be full at some byte of what a survey needs."""
    size = int(rng.integers(1, 700) * 4096 if can_mount() else rng.integers(1, 200_000))
    if not can_mount():
        return judged(folder, case, case / "out", limited(cleaning_survey(folder, case / "out", case / "run"), size))
    with disk(case / "disk", size) as become:
        work = cleaning_survey(folder, case / "disk" / "out", case / "run")
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
        work = cleaning_survey(folder, case / "disk" / "out", case / "run")

        def turned() -> None:
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
        cleaning_survey(folder, output, case / "run")()

    return judged(folder, case, output, broken)


def broken_training(folder: Path, case: Path, rng: np.random.Generator) -> Outcome:
    """Let the disk of a run and of its store be full, or a call fail, while a network is trained."""
    run, log = case / "run", case / "log"
    if rng.random() < 0.5:
        size = int(rng.integers(200, 300_000))
        work = limited(training(folder / "survey", run), size)
    else:
        number = getattr(errno, str(rng.choice(ERRORS)))
        after, once, seed = int(rng.integers(0, 25)), bool(rng.random() < 0.5), int(rng.integers(1 << 30))

        def work() -> None:
            break_calls(case, number, after, once, seed)
            training(folder / "survey", run)()

    status = end(start(work, case, log))
    if told := _traceback(log, status):
        return Outcome(CRASHED, told)
    left = _left_behind(case, log, status)
    if status and end(start(training(folder / "survey", run), case, log)):
        return Outcome(CRASHED, "does not go on: " + log.read_text()[-500:])
    left = left or left_behind(case)
    return Outcome(WRONG, f"left behind: {left}") if left else Outcome(RIGHT, "")


def judged(
    folder: Path, case: Path, output: Path, work: Callable[[], object], mend: Callable[[], object] = lambda: None
) -> Outcome:
    """Run work on a bad disk, and again on a sound one."""
    log = case / "log"
    status = end(start(work, case, log))
    if told := _traceback(log, status):
        return Outcome(CRASHED, told)
    said = log.read_text().strip().splitlines()[-1:]
    left = _left_behind(output, log, status)
    mend()
    if left:
        return Outcome(WRONG, f"left behind: {left}")
    if end(start(cleaning_survey(folder, output, case / "again"), case, log)):
        return Outcome(CRASHED, "does not go on: " + log.read_text()[-500:])
    found = whole(folder, output)
    return found if found.survived else Outcome(found.kind, f"{found.words}; before: {said}")


def _left_behind(place: Path, log: Path, status: int) -> list[str]:
    """Name what the bad disk holds half written, before the next run tidies up, unless it let nothing be removed."""
    kept = not os.access(place, os.W_OK) or "(a fault: os.unlink" in log.read_text()
    return [] if status and kept else left_behind(place)


def _traceback(log: Path, status: int) -> str:
    text = log.read_text()
    if "Traceback" in text or status not in (0, 1):
        return f"status {status}: " + " | ".join(text.strip().splitlines()[-6:])[-900:]
    return ""


KINDS: Mapping[str, Callable[[Path, Path, np.random.Generator], Outcome]] = {
    "full": full,
    "readonly": readonly,
    "fault": fault,
    "train": broken_training,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
