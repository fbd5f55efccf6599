"""Time and memory of a work in a fork of this process, which has imported all that it needs."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The campaigns have what begins scripts in forks and looks at them.
sys.path.append(str(Path(__file__).parents[1] / "reliability"))

from looks import Look, looks
from scripts_in_forks import start


@dataclass(frozen=True)
class Taken:
    """What a work took.

    Attributes
    ----------
    seconds : float
        Time of the processor, of all its threads.
    memory : int
        Most bytes that were in memory, what it imports included.
    """

    seconds: float
    memory: int


def measure(work: Callable[[], object], folder: Path, each: Callable[[Look], object] = lambda look: None) -> Taken:
    """Run a work to its end in a fork.

    Parameters
    ----------
    work : callable
        The work.
    folder : Path
        Where it is done; its log is kept there.
    each : callable
        Gets every `Look` at it while it runs.

    Returns
    -------
    Taken
    """
    log = folder / "log"
    process = start(work, folder, log)
    for look in looks(process):
        each(look)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(log.read_text()[-2000:])
    return Taken(used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)


class Steps(dict[str, float]):
    """Seconds of the processor that the steps of a work took, by their names."""

    def take(self, name: str, act: Callable[[], Any]) -> Any:
        """Do a step, and give what it gives."""
        begun = time.process_time()
        made = act()
        self[name] = time.process_time() - begun
        return made


def up_to(largest: int, sizes: tuple[int, ...]) -> Iterator[int]:
    """Give the sizes up to the largest that was asked for."""
    return (size for size in sizes if size <= largest)


def by_count(
    counts: Sequence[int], kind: str, of: Callable[[int, Path], Mapping[str, float]]
) -> dict[str, list[float]]:
    """Measure each count in a folder of its own, print what it took, and give each value by count."""
    found: dict[str, list[float]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            values = of(count, Path(name))
        print(f"{count} {kind}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return found
