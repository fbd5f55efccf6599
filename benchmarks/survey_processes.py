"""A survey in two processes against one with two threads: predict.py on the same subarrays, in turns.

    python benchmarks/survey_processes.py [--count 300] [--rounds 2] [--json FILE]

The processes share the exposures as `trainer=ddp trainer.devices=2` does, or are two commands over a list of half of
them each with one output directory, as jobs of a cluster are. Every process has as many threads as its share of two
cores. Rates are those from the first mask to the last one; the seconds of the whole command have its start, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from report import Row, parser, publish
from survey_speed import make

PREDICT = Path(__file__).parents[1] / "predict.py"
ONE = "one process, two threads"


def main() -> None:
    """Measure each way in turns."""
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=300, help="subarrays of 512 x 512 (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=2, help="of all ways (default: %(default)s)")
    chosen = options.parse_args()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        science = make(Path(name), chosen.count, (512, 512), 1)
        for turn in range(chosen.rounds):
            for number, (way, run) in enumerate(WAYS.items()):
                out = Path(name) / f"out{turn}{number}"
                begun = time.monotonic()
                run(science, out)
                seconds[way].append(time.monotonic() - begun)
                moments = sorted(path.stat().st_mtime for path in out.glob("*_crmask.fits"))
                if len(moments) != chosen.count:
                    raise SystemExit(f"{way}: {len(moments)} masks of {chosen.count}")
                rates[way].append((chosen.count - 1) / (moments[-1] - moments[0]))
                print(f"{way}: {seconds[way][-1]:.1f} s, {rates[way][-1]:.1f} files/s", flush=True)
    rows = []
    for way in WAYS:
        ratio = median(ours / theirs for ours, theirs in zip(rates[way], rates[ONE], strict=True))
        rows.append(Row(f"{way}: rate", median(rates[way]), "files/s", ONE, median(rates[ONE]), ratio))
        ratio = median(theirs / ours for ours, theirs in zip(seconds[way], seconds[ONE], strict=True))
        rows.append(Row(f"{way}: whole", median(seconds[way]), "s", ONE, median(seconds[ONE]), ratio))
    publish(rows, chosen.json)


def command(source: Path, out: Path, run: str, threads: int, *more: str) -> subprocess.Popen[str]:
    """Begin predict.py."""
    options = [f"input={source}", f"output_dir={out}", f"hydra.run.dir={out}_{run}", "trainer.accelerator=cpu", *more]
    return subprocess.Popen(
        [sys.executable, str(PREDICT), *options],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait(*running: subprocess.Popen[str]) -> None:
    """Wait for commands to end well."""
    for process in running:
        said = process.communicate()[0]
        if process.returncode:
            raise SystemExit(said[-2000:])


def one_process(science: Path, out: Path) -> None:
    """Clean with two threads."""
    wait(command(science, out, "run", 2))


def shared(science: Path, out: Path) -> None:
    """Clean in two processes of one run."""
    wait(command(science, out, "run", 1, "trainer=ddp", "trainer.devices=2"))


def lists(science: Path, out: Path) -> None:
    """Clean in two runs, over every other exposure each."""
    files = sorted(science.iterdir())
    running = []
    for number in range(2):
        part = science.parent / f"{out.name}_{number}.txt"
        part.write_text("".join(f"{path}\n" for path in files[number::2]))
        running.append(command(part, out, f"run{number}", 1))
    wait(*running)


WAYS: dict[str, Callable[[Path, Path], None]] = {ONE: one_process, "two processes": shared, "two lists": lists}


if __name__ == "__main__":
    main()
