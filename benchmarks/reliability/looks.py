"""Looks at a process while it runs: what it has used of the processor, its memory, its open files and threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAUSE = 0.05
"""Seconds between two looks."""


class Look(NamedTuple):
    """A process at a moment.

    Attributes
    ----------
    seconds : float
        Time of the processor that it has used.
    memory : int
        Bytes in memory, those that it shares included.
    files, threads : int
        Open files, and threads.
    """

    seconds: float
    memory: int
    files: int
    threads: int


def looks(process: int) -> Iterator[Look]:
    """Look at a child of this process again and again until it ends; it is still to be waited for then.

    Parameters
    ----------
    process : int
        Its number.

    Yields
    ------
    Look
    """
    place = Path(f"/proc/{process}")
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with contextlib.suppress(OSError, IndexError, ValueError):  # it may end between two looks
            used = sum(map(int, (place / "stat").read_text().rpartition(")")[2].split()[11:13]))
            resident = int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            counts = len(os.listdir(place / "fd")), len(os.listdir(place / "task"))
            if resident:  # none in the moment after its end
                yield Look(used / os.sysconf("SC_CLK_TCK"), resident, *counts)
        time.sleep(PAUSE)
