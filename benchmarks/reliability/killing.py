"""Who kills: moments drawn before, and what they met."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts_in_forks import clear, end, start

TERM_EVERY, ALONE_EVERY = 4, 3
"""One signal in so many is SIGTERM, and meets the first process alone and not those that it has started."""


class Killer:
    """Kill one kind of work as often as moments were drawn.

    Parameters
    ----------
    moments : list of float
        Seconds after which each beginning of the work is killed.

    Attributes
    ----------
    hits : Counter of str
        Signals by name that met a process at work.
    at_work : bool
        Whether the last signal met the first process alone, so that others may still be at work.
    """

    def __init__(self, moments: list[float]) -> None:
        self.moments, self.hits = moments, Counter[str]()
        self.at_work = False
        self._begun: list[int] = []

    def rounds(self, make: Callable[[], list[Callable[[], object]]], case: Path, log: Path) -> Iterator[None]:
        """Begin works, kill each, and give the caller a look at what they left; again for each moment.

        Parameters
        ----------
        make : callable
            Gives the works that run at once.
        case : Path
            Where they run.
        log : Path
            Gets what they print.

        Yields
        ------
        None
            When all are dead.
        """
        for number, after in enumerate(self.moments, start=1):
            sign = signal.SIGTERM if number % TERM_EVERY == 0 else signal.SIGKILL
            alone = self.at_work = number % ALONE_EVERY == 0
            running = [start(work, case, log) for work in make()]
            for process in running:
                # An interrupt or an error is no hit: its status is not that of the signal.
                if end(process, after, sign, alone) in (-sign, 128 + sign):
                    self.hits[sign.name] += 1
            self._begun += running
            yield

    def finish(self, work: Callable[[], object], case: Path, log: Path) -> int:
        """Run the work to its end, and then kill what it and earlier ones have left running; give its status."""
        last = start(work, case, log)
        status = end(last)
        for process in [*self._begun, last]:
            clear(process)
        return status


def tail(log: Path) -> str:
    """Give the last lines of a log."""
    return " | ".join(log.read_text().strip().splitlines()[-3:])[-600:]
