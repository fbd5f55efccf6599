"""Disks that are full, become read-only, answer with errors or are slow, while commands write on them.

    python benchmarks/reliability/disk.py [--count 50] [--seed 1] [--kinds full ...] [--works train ...] [--json FILE]

Each case has a disk of its own. The command has to end in a line and not in a traceback, nothing half written may stay,
and with a sound disk the same command has to finish. Full and read-only disks are file systems in memory, which only
root may mount; without that a limit on the size of files takes their place, and `readonly` is left out. How large a
disk is, and when it fails, is drawn from what the work needs undisturbed.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import numpy as np
from campaign import Tally, options, until
from disturbed import WORKS, Work
from faults import break_calls, slow_calls
from killed_downloads import archive
from scripts_in_forks import end, start, warm_up
from watched import CRASHED, WRONG, Outcome
from works import left_behind, survey_and_reference

ERRORS = ("EIO", "ESTALE", "EAGAIN", "ENOLCK", "EROFS", "ENOSPC", "EDQUOT", "EACCES")
PAGE = 4096
LARGE = 1 << 28


@dataclass(frozen=True)
class Case:
    """One command on one disk.

    Attributes
    ----------
    folder : Path
        Folder of the campaign.
    place : Path
        The disk.
    work : Work
        What is done there.
    seconds, bytes : float, int
        What it takes undisturbed.
    rng : Generator
        Draws how the disk fails.
    """

    folder: Path
    place: Path
    work: Work
    seconds: float
    bytes: int
    rng: np.random.Generator


def main(arguments: list[str] | None = None) -> int:
    """Try as many disks as asked for of each kind in each work; give the number of faults."""
    parser = options(__doc__, 50)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="what happens")
    parser.add_argument("--works", nargs="+", default=list(WORKS), choices=list(WORKS), help="what is disturbed")
    chosen = parser.parse_args(arguments)
    warm_up()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        survey_and_reference(folder, count=3)
        if "download" in chosen.works:
            stack.enter_context(archive(folder))
        for named in chosen.works:
            seconds, used = undisturbed(folder, folder / f"{named}0", WORKS[named])
            for kind in chosen.kinds:
                if kind == "readonly" and not can_mount():
                    print("readonly: left out, since this user may not mount")
                    continue
                for number in until(chosen.minutes / len(chosen.kinds) / len(chosen.works), chosen.count):
                    rng = np.random.default_rng([chosen.seed, number])
                    place = folder / f"{named}_{kind}{number}"
                    outcome = KINDS[kind](Case(folder, place, WORKS[named], seconds, used, rng))
                    tally.add(f"{named}, {kind}", f"seed {chosen.seed}, case {number}", outcome)
                    shutil.rmtree(place, ignore_errors=True)
                    Path(f"{place}.log").unlink(missing_ok=True)
    return tally.publish(chosen.json)


def undisturbed(folder: Path, place: Path, work: Work) -> tuple[float, int]:
    """Do a work once, and look at what comes of it; give its seconds, and the bytes that it leaves."""
    place.mkdir()
    begun, log = time.monotonic(), Path(f"{place}.log")
    if end(start(work.begin(folder, place), folder, log)):
        raise SystemExit(log.read_text()[-2000:])
    assert work.judge(folder, place).survived
    used = sum(-(-path.stat().st_size // PAGE) * PAGE for path in place.rglob("*") if path.is_file())
    return time.monotonic() - begun, used


def can_mount() -> bool:
    """Tell whether this user may mount a file system."""
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", place], check=True)
    return True


@contextmanager
def disk(place: Path, size: int) -> Iterator[Callable[[str], int]]:
    """Mount a disk of so many bytes; gives what changes it."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)

    def become(settings: str) -> int:
        return subprocess.run(["mount", "-o", f"remount,{settings}", str(place)], check=False).returncode

    try:
        yield become
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def full(case: Case) -> Outcome:
    """Let the disk be full at some byte of what the work writes."""
    size = int(case.rng.integers(1, case.bytes // PAGE)) * PAGE
    if not can_mount():
        case.place.mkdir()

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 8, resource.RLIM_INFINITY))
            case.work.begin(case.folder, case.place)()

        return judged(case, limited)
    with disk(case.place, size) as become:
        return judged(case, case.work.begin(case.folder, case.place), lambda: become(f"size={LARGE}"))


def readonly(case: Case) -> Outcome:
    """Let the disk become read-only at some moment."""
    with disk(case.place, LARGE) as become:

        def turned() -> None:
            Timer(float(case.rng.uniform(0, case.seconds)), lambda: become("ro")).start()
            case.work.begin(case.folder, case.place)()

        return judged(case, turned, lambda: become("rw"))


def fault(case: Case) -> Outcome:
    """Let a call of the system fail, once or from then on."""
    case.place.mkdir()
    number = getattr(errno, str(case.rng.choice(ERRORS)))
    after, once, seed = int(case.rng.integers(0, 25)), bool(case.rng.random() < 0.5), int(case.rng.integers(1 << 30))

    def broken() -> None:
        break_calls(case.place, number, after, once, seed)
        case.work.begin(case.folder, case.place)()

    return judged(case, broken)


def slow(case: Case) -> Outcome:
    """Let the disk take 1 MB a second, and kill every second work that waits for it."""
    case.place.mkdir()
    killed = case.rng.random() < 0.5

    def waits() -> None:
        slow_calls(1e6)
        case.work.begin(case.folder, case.place)()

    if not killed:
        return judged(case, waits)
    end(
        start(waits, case.folder, Path(f"{case.place}.log")),
        float(case.rng.uniform(0, 2 * case.seconds)),
        signal.SIGKILL,
    )
    return finished(case, "killed")


def judged(case: Case, work: Callable[[], object], mend: Callable[[], object] = lambda: None) -> Outcome:
    """Do a work on a bad disk, and go on with it on a sound one."""
    log = Path(f"{case.place}.log")
    status = end(start(work, case.folder, log))
    text = log.read_text()
    if "Traceback" in text or status not in (0, 1):
        mend()
        return Outcome(CRASHED, f"status {status}: " + " | ".join(text.strip().splitlines()[-6:])[-900:])
    # Before the next run tidies up, unless the bad disk let nothing be removed.
    kept = status and (not os.access(case.place, os.W_OK) or "(a fault: os.unlink" in text)
    left = [] if kept else left_behind(case.place)
    mend()
    if left:
        return Outcome(WRONG, f"left behind: {left}")
    return finished(case, " | ".join(text.strip().splitlines()[-1:]))


def finished(case: Case, before: str) -> Outcome:
    """Go on with a work on a sound disk, and look at what came of it."""
    log = Path(f"{case.place}.log")
    if end(start(case.work.begin(case.folder, case.place), case.folder, log)):
        return Outcome(CRASHED, f"does not go on: {log.read_text()[-500:]}; before: {before}")
    found = case.work.judge(case.folder, case.place)
    return found if found.survived else Outcome(found.kind, f"{found.words}; before: {before}")


KINDS: Mapping[str, Callable[[Case], Outcome]] = {"full": full, "readonly": readonly, "fault": fault, "slow": slow}


if __name__ == "__main__":
    sys.exit(bool(main()))
