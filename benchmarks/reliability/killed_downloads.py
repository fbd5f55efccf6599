"""A download from a stand-in for the archive, killed again and again; then the same command goes on to its end."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from json import loads
from pathlib import Path

from killing import Killer, tail
from scripts_in_forks import REPOSITORY, end, script, start
from watched import CRASHED, RIGHT, WRONG, Outcome

SERVER = "DEEPCR_LIGHTNING_MAST"
PACE = 0.03
"""Seconds that 16 kB take: three of them make a file."""


@contextmanager
def archive(folder: Path) -> Iterator[None]:
    """Let a stand-in for the archive hold a survey, in a process of its own, and tell all others of this campaign."""
    sys.path.append(str(REPOSITORY / "tests"))
    from archive_server import Running, StandIn

    told = folder / "address"

    def serve() -> None:
        held = StandIn(pace=PACE)
        held.fill(folder / "survey")
        (folder / "held").mkdir()
        for name, content in held.content.items():
            (folder / "held" / name).write_bytes(content)
        with Running(held):
            told.with_suffix(".new").write_text(held.url)
            told.with_suffix(".new").rename(told)
            while True:
                time.sleep(1)

    process = start(serve, folder, folder / "server.log")
    for _ in range(1000):
        if told.exists():
            break
        time.sleep(0.02)
    before = os.environ.get(SERVER)
    os.environ[SERVER] = told.read_text()
    try:
        yield
    finally:
        end(process, 0, signal.SIGKILL)
        del os.environ[SERVER]
        if before is not None:
            os.environ[SERVER] = before


def downloading(output: Path, run: Path) -> Callable[[], object]:
    """Make the work of downloading the whole survey, with its darks."""
    return script(
        "download.py", "proposal=16801", "darks=16568", f"output_dir={output}", "yes=true", f"hydra.run.dir={run}"
    )


def killed_download(folder: Path, case: Path, killer: Killer) -> Outcome:
    """Kill a download; what has come whole is not asked for again, and of the rest only what is missing."""
    output, log = case / "out", case / "log"
    whole: set[str] = set()
    asked_again: list[str] = []
    _asked()

    def begin() -> list[Callable[[], object]]:
        return [downloading(output, case / "run")]

    for _ in killer.rounds(begin, case, log):
        asked_again += [text for text in _asked() if text.partition(" ")[0] in whole]
        whole |= {path.name for path in output.glob("*/[!.]*.fits")}
    if killer.finish(begin()[0], case, log):
        return Outcome(CRASHED, "ends with an error: " + tail(log))
    asked_again += [text for text in _asked() if text.partition(" ")[0] in whole]
    if asked_again:
        return Outcome(WRONG, f"came twice: {asked_again}")
    return complete(folder, output)


def complete(folder: Path, output: Path) -> Outcome:
    """Look whether all files of the survey are there, whole and noted, and nothing else."""
    held = list((folder / "held").iterdir())
    wanted = {f"{'darks' if path.name[:4] == 'idrk' else 'science'}/{path.name}": path.read_bytes() for path in held}
    there = {str(path.relative_to(output)): path for path in output.rglob("*") if path.is_file()}
    if more := set(there) - set(wanted) - {"download.csv", ".download.csv.lock"}:
        return Outcome(WRONG, f"left behind: {sorted(more)}")
    for name, content in wanted.items():
        if name not in there or there[name].read_bytes() != content:
            return Outcome(WRONG, f"lost or damaged: {name}")
    with (output / "download.csv").open(newline="") as file:
        rows = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
    if rows != {name: hashlib.sha256(content).hexdigest() for name, content in wanted.items()}:
        return Outcome(WRONG, f"the table has {sorted(rows)}")
    return Outcome(RIGHT, "")


def _asked() -> list[str]:
    """Give the files that the archive was asked for since the last time."""
    for _ in range(100):
        # A server whose clients were just killed may have its hands full.
        with suppress(OSError), urllib.request.urlopen(f"{os.environ[SERVER]}/told") as answer:
            return [what for kind, what in loads(answer.read()) if kind == "download"]
        time.sleep(0.05)
    raise SystemExit("the stand-in for the archive does not answer")
