"""Processes killed at random moments, after which the same command goes on.

    python benchmarks/reliability/kills.py [--count 200] [--seed 1] [--kinds predict train sweep ...] [--json FILE]

Each case begins the work in a folder of its own and is killed four times (``--times``), each after a random part of
what the work takes, by SIGKILL or, every fourth, by SIGTERM; then the same command runs to its end. Nothing may be
lost, half written or done twice, and a resumed training has to end with the weights of one that nobody stopped, to the
bit. What is counted are signals that met a process at work.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from campaign import Tally, options, until
from killed_downloads import archive, killed_download
from killed_runs import killed_prediction, killed_saving, killed_training
from killed_sweeps import killed_search, killed_sweep
from killing import Killer
from scripts_in_forks import warm_up
from small_survey import make_survey
from watched import Outcome
from works import survey_and_reference

KINDS: Mapping[str, Callable[[Path, Path, Killer], Outcome]] = {
    "predict": killed_prediction,
    "train": killed_training,
    "save": killed_saving,
    "sweep": killed_sweep,
    "search": killed_search,
    "download": killed_download,
}


def main(arguments: list[str] | None = None) -> int:
    """Kill as often as asked for in each kind of work; give the number of faults."""
    parser = options(__doc__, 200)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="work to kill")
    parser.add_argument("--times", type=int, default=4, help="kills a case (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm_up()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if {"predict", "train"} & set(chosen.kinds):
            survey_and_reference(folder, count=4)
        else:
            make_survey(folder / "survey", count=4)
        if "download" in chosen.kinds:
            stack.enter_context(archive(folder))
        for kind in chosen.kinds:
            duration, kills = 0.0, 0
            for number in until(chosen.minutes / len(chosen.kinds), 2 * chosen.count):
                if kills >= chosen.count:
                    break
                # The first is not killed: it tells how long the work takes.
                moments = np.random.default_rng([chosen.seed, number]).uniform(0, 1.05 * duration, chosen.times)
                killer = Killer(list(moments) if number else [])
                case = folder / f"{kind}{number}"
                case.mkdir()
                begun = time.monotonic()
                outcome = KINDS[kind](folder, case, killer)
                duration = duration or time.monotonic() - begun
                kills += sum(killer.hits.values())
                told = f"seed {chosen.seed}, case {number}"
                for sign, times in killer.hits.items() or [("not killed", 1)]:
                    tally.add(f"{kind}, {sign}", told, outcome, times)
                shutil.rmtree(case, ignore_errors=True)
            print(f"{kind}: {duration:.1f} s undisturbed, {kills} kills", flush=True)
    return tally.publish(chosen.json)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(bool(main()))
